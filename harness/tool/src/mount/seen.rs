//! How the disks of a mount were when they were looked at last, and since when.

use std::cell::RefCell;

use hammer2_core::cluster::{MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::Timestamp;
use hammer2_host::time_source::HostTime;

use crate::admin::Errors;

/// How a node was when it was looked at last.
struct SeenNode {
    state: MemberState,
    since: Timestamp,
    errors: Errors,
}

/// How the nodes were.
#[derive(Default)]
pub(super) struct LastSeen(RefCell<Vec<SeenNode>>);

impl LastSeen {
    /// Since when a node is as it is, as far as this mount has seen it.
    pub(super) fn since(&self, node: NodeIndex) -> Option<Timestamp> {
        self.0.borrow().get(usize::from(node.0)).map(|seen| seen.since)
    }

    /// Takes note of how a node is. Whether it has changed since, and the errors that it had.
    pub(super) fn note(&self, member: &MemberStatus, errors: Errors) -> (bool, Errors) {
        let mut all = self.0.borrow_mut();
        let now = SeenNode { state: member.state, since: HostTime.now(), errors };
        let Some(seen) = all.get_mut(usize::from(member.node.0)) else {
            // All nodes are there from the beginning, in order, or come in one by one.
            all.push(now);
            return (member.state != MemberState::InSync, Errors::default());
        };
        let old = std::mem::replace(&mut seen.errors, errors);
        let has_changed = seen.state != now.state;
        if has_changed {
            (seen.state, seen.since) = (now.state, now.since);
        }
        (has_changed, old)
    }
}
