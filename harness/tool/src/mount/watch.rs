//! How the disks of a mount are, and since when: what changes becomes an event.
//!
//! Who brings nodes back is somebody else; this only looks.

use std::cell::RefCell;
use std::time::Duration;

use hammer2_core::cluster::{MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::Timestamp;
use hammer2_host::clock::HostClock;
use hammer2_host::time_source::HostTime;

use super::journal::About;
use super::server::Server;
use crate::admin::{Errors, EventKind};

/// How soon a change is seen.
const NOTICED_EVERY: Duration = Duration::from_millis(500);

/// How a node was when it was looked at last.
struct Seen {
    state: MemberState,
    since: Timestamp,
    errors: Errors,
}

/// How the nodes were.
#[derive(Default)]
pub(super) struct Watch(RefCell<Vec<Seen>>);

impl Watch {
    /// Since when a node is as it is, as far as this mount has seen it.
    pub(super) fn since(&self, node: NodeIndex) -> Option<Timestamp> {
        self.0.borrow().get(usize::from(node.0)).map(|seen| seen.since)
    }
}

/// Looks as long as the mount lives.
pub(super) async fn watch(server: &Server, clock: &HostClock, repairs: bool) {
    let mut had_quorum = true;
    let mut was_fenced = false;
    let missing = server.fs.missing_members();
    for member in &missing {
        let disk = server.administration.images.missing_disk(missing.len());
        let about = About { disk, fsid: Some(member.fsid.to_string()) };
        server.journal.note(EventKind::MemberMissing, about, "the member isn't there");
    }
    loop {
        server.fs.member_statuses().for_each(|member| server.look_at(&member));
        let has_quorum = !repairs || server.fs.has_quorum();
        if had_quorum != has_quorum {
            had_quorum = has_quorum;
            let (kind, text) = match has_quorum {
                true => (EventKind::QuorumBack, "enough members are in step: changes go on"),
                false => {
                    (EventKind::QuorumLost, "too few members are in step: nothing is changed until enough are back")
                }
            };
            server.journal.note(kind, About::default(), text);
        }
        if let Some((node, fault)) = server.fs.fenced().filter(|_| !was_fenced) {
            was_fenced = true;
            let disk = Some(server.administration.images.of(node).join(":"));
            server.journal.note(EventKind::Fenced, About { disk, fsid: None }, fault);
        }
        clock.sleep(NOTICED_EVERY).await;
    }
}

impl Server {
    fn look_at(&self, member: &MemberStatus) {
        let now = Seen { state: member.state, since: HostTime.now(), errors: Errors::of(member) };
        let mut all = self.watch.0.borrow_mut();
        let place = usize::from(member.node.0);
        let Some(seen) = all.get_mut(place) else {
            // All nodes are there from the beginning, in order, or come in one by one.
            all.push(Seen { errors: Errors::default(), ..now });
            drop(all);
            match member.state {
                MemberState::InSync => {}
                state => self.note_state(member, state),
            }
            return self.look_at(member);
        };
        let (old_state, old) = (seen.state, std::mem::replace(&mut seen.errors, now.errors));
        if old_state != now.state {
            (seen.state, seen.since) = (now.state, now.since);
        }
        drop(all);
        if old_state != now.state {
            self.note_state(member, now.state);
        }
        let new = |kind: EventKind, old: u64, new: u64, what: &str| {
            if new > old {
                self.journal.note(kind, self.about(member), format_args!("{} {what}", new - old));
            }
        };
        new(EventKind::DeviceErrors, old.read, now.errors.read, "reads failed");
        new(EventKind::DeviceErrors, old.write, now.errors.write, "writes failed");
        new(EventKind::BadBlocks, old.check, now.errors.check, "blocks weren't what they should have been");
        new(EventKind::Repaired, old.repaired, now.errors.repaired, "blocks were written anew from other members");
    }

    fn note_state(&self, member: &MemberStatus, state: MemberState) {
        let (kind, text) = match state {
            MemberState::InSync => (EventKind::MemberInSync, "it is in step".to_owned()),
            MemberState::Behind(_) => (EventKind::MemberBehind, "it is behind".to_owned()),
            MemberState::Ejected(why) => {
                (EventKind::MemberLeft, format!("it left: {}", self.administration.images.why(member.node, why)))
            }
            MemberState::Aside(_) => (EventKind::MemberAside, "it is no part of the mount".to_owned()),
        };
        self.journal.note(kind, self.about(member), text);
    }

    fn about(&self, member: &MemberStatus) -> About {
        let disk = self.administration.images.of(member.node).join(":");
        About { disk: Some(disk), fsid: Some(member.fsid.to_string()) }
    }
}
