//! The last seen states of a mount's disks, and since when they have these.

use std::cell::RefCell;

use hammer2_core::cluster::{MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::Timestamp;
use hammer2_host::time_source::HostTime;

use crate::admin::Errors;

/// The last seen state of a node.
struct SeenNode {
    state: MemberState,
    since: Timestamp,
    errors: Errors,
}

/// The last seen states of all nodes.
#[derive(Default)]
pub(super) struct LastSeen(RefCell<Vec<SeenNode>>);

impl LastSeen {
    /// Since when a node has its state, as far as this mount has seen.
    pub(super) fn since(&self, node: NodeIndex) -> Option<Timestamp> {
        self.0.borrow().get(usize::from(node.0)).map(|seen| seen.since)
    }

    /// Takes note of a node's state. Returns whether it has changed since the last look, and the errors of that look.
    pub(super) fn note(&self, member: &MemberStatus, errors: Errors) -> (bool, Errors) {
        let mut all = self.0.borrow_mut();
        let now = SeenNode { state: member.state, since: HostTime.now(), errors };
        let Some(seen) = all.get_mut(usize::from(member.node.0)) else {
            // Nodes are there from the beginning, in order, or come in one by one.
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
