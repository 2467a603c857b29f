//! One writer at a time (protocol 8): a mount that changes something holds its nodes by a heartbeat.
//!
//! Only nodes that other machines can reach have one; others are locked by the host. Before anything is written to them, every
//! heartbeat is looked at, and one that wasn't released is watched for two periods and a half. When it moves, the node has a
//! writer, and the mount is refused. When it doesn't, its writer is dead or asleep; the mount writes its own heartbeat on all
//! nodes, and goes on if a quorum has it. Whoever slept finds out before its next header, and writes nothing any more.

use core::convert::Infallible;
use core::future::pending;

use super::join::join_all;
use super::keeper::LOOKS;
use super::member::Member;
use super::vote::{NodeSet, Refusal, State};
use super::{Cluster, MAX_NODES, MemberState, NodeIndex, OpError, Rule};
use crate::io::{Disk, Duration, Instant, TimeSource, announce_watch};
use crate::media::heartbeat::HEARTBEAT_PERIOD;
use crate::media::{Heartbeat, MountNonce};
use crate::node::{NodeError, NodeFault};

/// How often heartbeats are looked at that are watched.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The hold of a mount on its nodes.
#[derive(Clone, Copy)]
pub(super) struct Hold {
    nonce: MountNonce,
    time: &'static dyn TimeSource,
    counter: u64,
    /// When the next is due, on each node.
    next_beats: [Instant; MAX_NODES],
}

impl Hold {
    fn heartbeat(&self, is_released: bool) -> Heartbeat {
        let Self { nonce, time, counter, .. } = *self;
        let (time, host) = (time.now(), time.host_name());
        Heartbeat { nonce, counter, time, host, period: HEARTBEAT_PERIOD, is_released }
    }
}

/// Who holds a node, as far as a look at it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
    /// It is this mount.
    pub is_own: bool,
}

impl Cluster {
    /// Takes hold of the nodes that others can reach. To be done before anything is written to them; nobody else changes them
    /// from then on, or this mount doesn't.
    pub async fn take_hold(&self, time: &'static dyn TimeSource) -> Result<(), OpError> {
        if self.hold.get().is_some() || !self.has(Rule::Heartbeat) {
            return Ok(());
        }
        let is_shared = |member: &Member| is_used(member.state()) && member.node.is_shared();
        let nodes: NodeSet = self.members().filter(|(_, member)| is_shared(member)).map(|(index, _)| index).collect();
        let Some(clock) = self.root_disk(nodes) else { return Ok(()) };
        self.watch(nodes).await?;
        let next_beats = [clock.now().after(HEARTBEAT_PERIOD); MAX_NODES];
        self.hold.set(Some(Hold { nonce: MountNonce(time.random()), time, counter: 0, next_beats }));
        self.beat_on(nodes).await?;
        for index in nodes.iter().filter(|index| self.member(*index).node.is_held()) {
            self.check_as_opened(index).await?;
        }
        Ok(())
    }

    /// Somebody else may have changed a node after it was opened, and before it was held.
    async fn check_as_opened(&self, index: NodeIndex) -> Result<(), OpError> {
        match self.member(index).node.is_as_opened().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(OpError::Refused(Refusal::ChangedMeanwhile { node: index })),
            Err(error) => self.failed(index, error),
        }
    }

    /// Takes hold of one more node, if the mount holds the others.
    pub(super) async fn hold_another(&self, index: NodeIndex) -> Result<(), OpError> {
        let node = &self.member(index).node;
        if self.hold.get().is_none() || !node.is_shared() || node.is_held() {
            return Ok(());
        }
        self.watch(NodeSet::only(index)).await?;
        self.beat_once(index).await?;
        self.check_as_opened(index).await
    }

    /// Waits until it is sure that none of these nodes has a writer. One that most of them have is told of at once.
    async fn watch(&self, nodes: NodeSet) -> Result<(), OpError> {
        let held = self.heartbeats(nodes).await?;
        let Some(watch) = held.iter().map(|(_, heartbeat)| heartbeat.watch()).max() else { return Ok(()) };
        let Some(disk) = self.root_disk(held.iter().map(|(index, _)| *index).collect()) else { return Ok(()) };
        announce_watch(disk);
        let end = disk.now().after(watch);
        loop {
            let next_look = disk.now().after(BETWEEN_LOOKS).min(end);
            disk.sleep_until(next_look).await;
            let is_over = disk.now() >= end;
            let now_held = self.heartbeats(nodes).await?;
            let mut moved = now_held.iter().filter(|now| !held.contains(now)).peekable();
            let Some((node, Heartbeat { host, time, .. })) = moved.peek().copied() else {
                if is_over {
                    return Ok(());
                }
                continue;
            };
            // Of a writer that has lost some of its nodes, those are to be told that it has still.
            let has_most = 2 * moved.count() >= nodes.len();
            if is_over || has_most {
                return Err(OpError::Refused(Refusal::InUse { node: *node, host: *host, time: *time }));
            }
        }
    }

    /// The disk of the first of these nodes that says who writes, by whose clock all of them are looked at.
    fn root_disk(&self, nodes: NodeSet) -> Option<&Disk> {
        let root = self.member(nodes.first()?).node.volumes().root()?;
        Some(&root.disk)
    }

    /// The heartbeats of other mounts that weren't released.
    async fn heartbeats(
        &self,
        nodes: NodeSet,
    ) -> Result<heapless::Vec<(NodeIndex, Heartbeat), { MAX_NODES }>, OpError> {
        let own = self.hold.get().map(|hold| hold.nonce);
        let look = |index| self.member(index).node.heartbeat();
        let mut held = heapless::Vec::new();
        for (index, found) in join_all(self.heap, nodes.iter(), look).await? {
            match found {
                Ok(Some(found)) if !found.is_released && Some(found.nonce) != own => drop(held.push((index, found))),
                Ok(_) => {}
                Err(error) => self.failed(index, error)?,
            }
        }
        Ok(held)
    }

    /// Says that the mount still is there, on the nodes where it is time to. Whoever serves a mount does this again and again.
    pub async fn beat(&self) -> Result<(), OpError> {
        self.beat_on(self.due(self.members().map(|(index, _)| index).collect())).await
    }

    /// The same on one node, for as long as it is polled: one that is silent keeps the others from nothing.
    pub(super) async fn keep_beating(&self, index: NodeIndex) -> Infallible {
        while self.pause(LOOKS).await {
            if usize::from(index.0) < self.members.len()
                && let Err(error) = self.beat_on(self.due(NodeSet::only(index))).await
            {
                log::debug!("no heartbeat: {error}");
            }
        }
        pending().await
    }

    /// Those of the nodes on which a heartbeat is due; it is regarded as written.
    fn due(&self, nodes: NodeSet) -> NodeSet {
        let Some(mut hold) = self.hold.get() else { return NodeSet::default() };
        let is_held = |index: &NodeIndex| self.member(*index).node.is_held();
        let held: NodeSet = nodes.iter().filter(is_held).collect();
        let Some(clock) = self.root_disk(held) else { return NodeSet::default() };
        let now = clock.now();
        let due: NodeSet = held.iter().filter(|index| now >= hold.next_beats[usize::from(index.0)]).collect();
        due.iter().for_each(|index| hold.next_beats[usize::from(index.0)] = now.after(HEARTBEAT_PERIOD));
        hold.counter += u64::from(!due.is_empty());
        self.hold.set(Some(hold));
        due
    }

    /// The same in the middle of something long; that finds out by itself if it can't go on.
    pub(super) async fn beat_on_the_way(&self) {
        if let Err(error) = self.beat().await {
            log::debug!("no heartbeat: {error}");
        }
    }

    async fn beat_on(&self, nodes: NodeSet) -> Result<(), OpError> {
        let beat = |index| self.beat_once(index);
        for (index, done) in join_all(self.heap, nodes.iter(), beat).await? {
            if let Err(error) = done {
                self.failed(index, error)?;
            }
        }
        Ok(())
    }

    async fn beat_once(&self, index: NodeIndex) -> Result<(), NodeError> {
        let Some(hold) = self.hold.get() else { return Ok(()) };
        self.member(index).node.beat(&hold.heartbeat(false)).await
    }

    /// Lets the nodes go: the next mount needn't wait. Nothing may be written to them from here on.
    pub async fn release(&self) {
        let Some(hold) = self.hold.take() else { return };
        let heartbeat = hold.heartbeat(true);
        for (index, member) in self.members().filter(|(_, member)| member.node.is_held()) {
            if let Err(error) = member.node.beat(&heartbeat).await {
                log::warn!("{}: wasn't released: {}", self.called(index), super::Ejection::of(error));
            }
        }
    }

    /// Lets go of a member that has no vote, in the middle of the mount: its devices are closed, and it is no part of anything
    /// until it is [looked at](Self::look_again) again. All that was done is on it, in its header; nothing may be changed
    /// meanwhile. False if it isn't in step, or has a vote.
    pub async fn detach(&self, index: NodeIndex) -> Result<bool, OpError> {
        self.level_with(NodeSet::only(index)).await?;
        let member = self.member(index);
        if !self.is_in_sync(index) || self.voters().contains(index) {
            return Ok(false);
        }
        member.set_state(MemberState::Aside(State::Apart));
        self.stream.forget(index);
        self.judge_all();
        if let Some(hold) = self.hold.get().filter(|_| member.node.is_held())
            && let Err(error) = member.node.beat(&hold.heartbeat(true)).await
        {
            log::warn!("{}: wasn't released: {}", self.called(index), super::Ejection::of(error));
        }
        member.node.volumes().iter().for_each(|volume| volume.disk.close());
        Ok(true)
    }

    /// Who holds a node, if anybody does.
    pub async fn holder(&self, index: NodeIndex) -> Option<Holder> {
        let node = &self.member(index).node;
        let heartbeat = node.heartbeat().await.ok().flatten().filter(|heartbeat| !heartbeat.is_released)?;
        Some(Holder { heartbeat, is_own: self.hold.get().is_some_and(|hold| hold.nonce == heartbeat.nonce) })
    }

    /// What another mount has done to this one, if one has taken over.
    pub(super) fn fence(&self) -> Option<NodeFault> {
        self.fenced().map(|(_, fault)| fault)
    }

    /// A node that another mount has taken over, if there is one, and the fault that says so.
    pub fn fenced(&self) -> Option<(NodeIndex, NodeFault)> {
        self.members().find_map(|(index, _)| match self.fault_of(index) {
            Some(fault @ NodeFault::Fenced { .. }) => Some((index, fault)),
            _ => None,
        })
    }

    /// The nodes whose devices don't answer at the moment: what they were given isn't lost.
    pub fn late(&self) -> NodeSet {
        let is_late = |index: &NodeIndex| self.fault_of(*index).is_some_and(|fault| fault.is_timeout());
        self.members().map(|(index, _)| index).filter(is_late).collect()
    }

    /// What keeps a node from taking part, or made it leave.
    fn fault_of(&self, index: NodeIndex) -> Option<NodeFault> {
        let member = self.member(index);
        match member.state() {
            MemberState::Ejected(super::Ejection::Fault(fault)) => Some(fault),
            MemberState::InSync => member.node.fault(),
            _ => None,
        }
    }
}

fn is_used(state: MemberState) -> bool {
    matches!(state, MemberState::InSync | MemberState::Behind(_))
}
