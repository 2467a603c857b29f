//! Watches the disks of a mount: each change of their state becomes an event.
//! This only looks; another task brings nodes back.

use std::time::Duration;

use hammer2_core::cluster::{MemberState, MemberStatus};
use hammer2_host::clock::HostClock;

use super::journal::About;
use super::server::Server;
use crate::admin::{Errors, EventKind};

/// How soon a change is seen.
const NOTICED_EVERY: Duration = Duration::from_millis(500);

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
        let now = Errors::of(member);
        let (has_changed, old) = self.last_seen.note(member, now);
        if has_changed {
            self.note_state(member, member.state);
        }
        let new = |kind: EventKind, old: u64, new: u64, what: &str| {
            if new > old {
                self.journal.note(kind, self.about(member), format_args!("{} {what}", new - old));
            }
        };
        new(EventKind::DeviceErrors, old.read, now.read, "reads failed");
        new(EventKind::DeviceErrors, old.write, now.write, "writes failed");
        new(EventKind::BadBlocks, old.check, now.check, "blocks weren't what they should have been");
        new(EventKind::Repaired, old.repaired, now.repaired, "blocks were written anew from other members");
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
