//! The nodes of a mounted cluster: those that leave are told of, and brought back by the mount itself.
//!
//! A node that left is looked at again after a while, and later and later when that doesn't help: its disk may be gone for good,
//! and resetting a device that hangs takes its time. A node that is behind is brought in step at once, beside others.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{Ejection, Health, MemberState, MemberStatus, NodeFault, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_core::io::{Clock, Instant};

use super::counters::add;
use super::server::Server;
use super::under_way::UnderWay;
use crate::admin::{Copied, Known};
use crate::clock::HostClock;

/// How soon it is told that a node left.
const NOTICED_EVERY: Duration = Duration::from_secs(1);

/// When a node that left is looked at again, the first time and at the longest.
const FIRST_LOOK_AFTER: Duration = Duration::from_secs(5);
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(300);

/// A node and what is known of it.
struct Watched {
    node: NodeIndex,
    state: MemberState,
    /// It is in sync, and it was seen to that it has the snapshots, too.
    is_complete: bool,
    /// It was looked at before.
    is_known: bool,
    /// Blocks repaired on it, as it was told.
    repaired_blocks: u64,
    /// It is being brought back.
    is_returning: bool,
    /// Why it could not be brought back, as it was told.
    told: Option<String>,
    next_look: Instant,
    between_looks: Duration,
}

/// Looks after the nodes as long as the mount lives. Without `repairs` it only tells how they are.
pub(super) async fn look_after(server: &Server, under_way: &UnderWay, clock: &HostClock, repairs: bool) {
    if server.fs.cluster_status().is_none() {
        return;
    }
    for member in server.fs.missing_members() {
        let fsid = member.fsid;
        let place = server.administration.images.place();
        log::warn!("the cluster's member {fsid} is missing; `hammer2 cluster add {place} IMAGE` brings it back");
    }
    let begin = |member: MemberStatus| Watched {
        node: member.node,
        // Who isn't in sync at the beginning is told of like one that leaves.
        state: MemberState::InSync,
        is_complete: false,
        is_known: false,
        repaired_blocks: 0,
        is_returning: false,
        told: None,
        next_look: clock.now(),
        between_looks: FIRST_LOOK_AFTER,
    };
    let mut nodes = Vec::new();
    let mut returning = FuturesUnordered::new();
    let mut had_quorum = true;
    loop {
        // Where nothing is changed, nobody misses it.
        let has_quorum = !repairs || server.fs.has_quorum();
        if had_quorum != has_quorum {
            had_quorum = has_quorum;
            match has_quorum {
                true => log::info!("there is a quorum again: changes go on"),
                false => log::error!(
                    "too few nodes are left: nothing is changed until enough are back; away: {}",
                    away(server).join(", ")
                ),
            }
        }
        nodes.extend(server.fs.member_statuses().skip(nodes.len()).map(begin));
        for watched in &mut nodes {
            watched.notice(server, clock);
            let repairs = repairs && !server.administration.busy.get();
            if repairs && watched.is_due(clock) {
                watched.is_returning = true;
                returning.push(bring_back(server, under_way, watched.node, watched.state));
            }
        }
        let sleep = pin!(clock.sleep(NOTICED_EVERY));
        if returning.is_empty() {
            sleep.await;
        } else if let Either::Right((Some((node, outcome)), _)) = select(sleep, returning.next()).await
            && let Some(watched) = nodes.iter_mut().find(|watched| watched.node == node)
        {
            watched.returned(server, clock, outcome);
        }
    }
}

/// The nodes that aren't in step, and the members that aren't there.
fn away(server: &Server) -> Vec<String> {
    let apart = server.fs.member_statuses().filter(|member| member.state != MemberState::InSync);
    let nodes = apart.map(|member| server.administration.images.called(member.node));
    let missing = server.fs.missing_members();
    nodes.chain(missing.iter().map(|member| format!("member {}", member.fsid))).collect()
}

/// Brings a node in step if it can be; what came of it.
async fn bring_back(
    server: &Server,
    under_way: &UnderWay,
    node: NodeIndex,
    state: MemberState,
) -> (NodeIndex, Result<ResyncCounts, String>) {
    let _begun = under_way.begin();
    (node, try_to_bring_back(server, node, state).await)
}

async fn try_to_bring_back(server: &Server, node: NodeIndex, state: MemberState) -> Result<ResyncCounts, String> {
    if matches!(state, MemberState::Ejected(_)) {
        let looked = server.fs.look_again(node).await;
        let images = &server.administration.images;
        looked.map_err(|error| Known::of_mount(images, server.fs.member_statuses()).return_error(&error))?;
    }
    let brought = if state == MemberState::InSync {
        server.fs.complete(node).await
    } else if server.fs.nodes_behind().any(|behind| behind == node) {
        server.fs.resync(node).await
    } else {
        return Ok(ResyncCounts::default());
    };
    brought.map_err(|error| error.to_string())
}

impl Watched {
    fn status_now(&self, fs: &FileSystem) -> Option<MemberStatus> {
        fs.member_statuses().find(|member| member.node == self.node)
    }

    fn state_now(&self, fs: &FileSystem) -> MemberState {
        self.status_now(fs).map_or(self.state, |member| member.state)
    }

    /// What it is called.
    fn called(&self, server: &Server) -> String {
        server.administration.images.called(self.node)
    }

    /// Tells of what was repaired on a node.
    fn notice_repairs(&mut self, server: &Server) {
        let now = self.status_now(&server.fs).map_or(0, |member| member.repaired_blocks);
        let new = now.saturating_sub(std::mem::replace(&mut self.repaired_blocks, now));
        if new > 0 {
            log::warn!("{}: {new} bad blocks were written anew from the other nodes", self.called(server));
        }
    }

    /// Tells of a node that left, or was not in step from the beginning.
    fn notice(&mut self, server: &Server, clock: &HostClock) {
        self.notice_repairs(server);
        let was_known = std::mem::replace(&mut self.is_known, true);
        let state = self.state_now(&server.fs);
        if state == self.state {
            return;
        }
        self.state = state;
        self.is_complete = false;
        match state {
            MemberState::InSync => {}
            MemberState::Behind(_) => self.next_look = clock.now(),
            // Somebody had it removed, and was told so; or an order that is being carried out makes it a member.
            MemberState::Aside(State::Outside) if was_known || server.administration.busy.get() => {}
            MemberState::Aside(_) => log::warn!("{} {}", self.called(server), Shown(state)),
            // That is told once for all of them.
            MemberState::Ejected(Ejection::Fault(NodeFault::Fenced { .. })) => {}
            MemberState::Ejected(_) => {
                add(&server.counters.nodes_left, 1);
                log::warn!("{} {}", self.called(server), Shown(state));
                self.between_looks = FIRST_LOOK_AFTER;
                self.next_look = clock.now().after(FIRST_LOOK_AFTER);
            }
        }
    }

    /// True when it is time to bring it back, or to see what it lacks.
    fn is_due(&self, clock: &HostClock) -> bool {
        let lacks_something = match self.state {
            MemberState::Ejected(_) | MemberState::Behind(_) => true,
            MemberState::InSync => !self.is_complete,
            MemberState::Aside(_) => false,
        };
        lacks_something && !self.is_returning && clock.now() >= self.next_look
    }

    /// It was brought in step, or not.
    fn returned(&mut self, server: &Server, clock: &HostClock, outcome: Result<ResyncCounts, String>) {
        self.is_returning = false;
        let now = self.state_now(&server.fs);
        let was = std::mem::replace(&mut self.state, now);
        self.is_complete = self.state == MemberState::InSync;
        if self.is_complete && was == MemberState::InSync {
            if let Ok(counts) = outcome
                && counts.snapshots_copied > 0
            {
                log::info!("{} has what it lacked: {}", self.called(server), Copied::from(counts));
            }
            return;
        }
        let trouble = match outcome {
            Ok(counts) if self.state == MemberState::InSync => {
                add(&server.counters.nodes_back, 1);
                log::info!("{} is in sync again: {}", self.called(server), Copied::from(counts));
                self.told = None;
                return;
            }
            // Too few are there still, and it counts again.
            Err(trouble) if self.state == MemberState::InSync => {
                add(&server.counters.nodes_back, 1);
                log::info!("{} follows the others again; {trouble}", self.called(server));
                self.told = None;
                return;
            }
            Ok(_) => Shown(self.state).to_string(),
            Err(trouble) => trouble,
        };
        if self.told.as_ref() != Some(&trouble) {
            log::warn!("{} can't be brought back: {trouble}", self.called(server));
            self.told = Some(trouble);
        }
        if !server.fs.has_quorum() {
            // Everybody waits for it.
            self.between_looks = FIRST_LOOK_AFTER;
        }
        self.next_look = clock.now().after(self.between_looks);
        self.between_looks = (2 * self.between_looks).min(MOST_BETWEEN_LOOKS);
    }
}

/// How a node is, as part of a sentence.
struct Shown(MemberState);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MemberState::InSync => write!(f, "is in sync"),
            MemberState::Behind(_) => write!(f, "is behind"),
            MemberState::Aside(_) => write!(f, "is no part of this mount; see `hammer2 cluster status`"),
            MemberState::Ejected(why) => write!(f, "left the cluster: {why}"),
        }
    }
}

/// A cluster and its nodes in a line, for whoever asks for the counters.
pub(super) struct ClusterLine<'f>(pub(super) &'f FileSystem);

impl fmt::Display for ClusterLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(status) = self.0.cluster_status() else { return Ok(()) };
        let health = match status.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Stopped => "stopped",
        };
        write!(f, "; cluster {health}, version {}", status.version)?;
        for member in self.0.member_statuses() {
            write!(f, ", node {} {}", member.node.0, Shown(member.state))?;
        }
        let missing = self.0.missing_members().len();
        if missing > 0 { write!(f, ", {missing} missing") } else { Ok(()) }
    }
}
