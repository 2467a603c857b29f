//! A member: one node, its role in the cluster, and whether it still takes part.

use core::cell::Cell;

use super::vote::{Role, State};
use crate::io::Instant;
use crate::media::{ModifyTid, Uuid};
use crate::memory::{Box, NoMemory};
use crate::node::{Node, NodeError, NodeFault};

/// Whether a member takes part; only those in sync do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has executed every command, and every commit includes it.
    InSync,
    /// It has another version of the PFS.
    Behind(Debt),
    /// It is no part of this mount, for this reason.
    Aside(State),
    /// It left, because it failed or answered otherwise than the others. Nothing more is written to it.
    Ejected(Ejection),
}

/// What it takes to bring a node in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// It has everything up to this operation.
    pub since: ModifyTid,
    /// True when transaction ids can't tell what it wrongly has from what it should have.
    pub thorough: bool,
    /// Inodes that haven't changed since this operation were copied ahead; the node has no commit with them yet.
    pub ahead: ModifyTid,
}

impl Debt {
    /// Nothing is known of what the node has.
    pub const EVERYTHING: Self = Self { since: ModifyTid(0), thorough: true, ahead: ModifyTid(0) };

    /// The node has everything up to `tid`, and nothing else.
    pub fn since(tid: ModifyTid) -> Self {
        Self { since: tid, thorough: false, ahead: ModifyTid(0) }
    }
}

/// Why a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ejection {
    /// A fault of its own.
    #[error("{0}")]
    Fault(NodeFault),
    /// It had no room where others had.
    #[error("it has no room left")]
    NoSpace,
    /// It had no memory where others had.
    #[error("it ran out of memory")]
    NoMemory,
    /// It answered otherwise than the others: its content is wrong.
    #[error("its content differs from the others'")]
    Dissent,
}

impl From<NoMemory> for Ejection {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl Ejection {
    /// True when the node's content is wrong, as opposed to what it could do.
    pub fn is_about_content(self) -> bool {
        matches!(self, Self::Dissent | Self::Fault(NodeFault::Corrupt { .. }))
    }

    pub(super) fn of(error: NodeError) -> Self {
        match error {
            NodeError::NoMemory => Self::NoMemory,
            NodeError::NoSpace => Self::NoSpace,
            NodeError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The error that made the node leave.
impl From<Ejection> for NodeError {
    fn from(why: Ejection) -> Self {
        match why {
            Ejection::Fault(fault) => Self::Fault(fault),
            Ejection::NoSpace => Self::NoSpace,
            Ejection::NoMemory | Ejection::Dissent => Self::NoMemory,
        }
    }
}

/// One node of a cluster.
pub(super) struct Member {
    pub(super) node: Box<Node>,
    pub(super) role: Cell<Role>,
    state: Cell<MemberState>,
    /// Why its PFS couldn't be read when it was last looked at.
    pub(super) unreadable: Cell<Option<Ejection>>,
    /// How often it has left the sync set.
    departures: Cell<u32>,
    /// How many file blocks it couldn't read and had written to it anew.
    repaired_blocks: Cell<u64>,
    /// Until when other nodes are asked first, because one of them was faster.
    pub(super) slow_until: Cell<Option<Instant>>,
    /// The id of its PFS.
    pub(super) fsid: Cell<Uuid>,
}

impl Member {
    pub(super) fn new(node: Box<Node>) -> Self {
        Self {
            node,
            role: Cell::new(Role::Master),
            state: Cell::new(MemberState::InSync),
            unreadable: Cell::new(None),
            departures: Cell::new(0),
            repaired_blocks: Cell::new(0),
            slow_until: Cell::new(None),
            fsid: Cell::new(Uuid([0; 16])),
        }
    }

    pub(super) fn state(&self) -> MemberState {
        self.state.get()
    }

    pub(super) fn set_state(&self, state: MemberState) {
        let leaves = self.is_in_sync() && state != MemberState::InSync;
        self.departures.set(self.departures.get().wrapping_add(u32::from(leaves)));
        self.state.set(state);
    }

    pub(super) fn is_in_sync(&self) -> bool {
        self.state.get() == MemberState::InSync
    }

    /// Why it left the sync set, if it still says so.
    pub(super) fn why_it_left(&self) -> Ejection {
        match self.state() {
            MemberState::Ejected(why) => why,
            _ => Ejection::Dissent,
        }
    }

    /// Counts a file block that it couldn't read and that was written to it anew.
    pub(super) fn note_repair(&self) {
        self.repaired_blocks.set(self.repaired_blocks.get() + 1);
    }

    /// How many file blocks were repaired.
    pub(super) fn repaired_blocks(&self) -> u64 {
        self.repaired_blocks.get()
    }

    /// How often it has left the sync set. A caller that reads it as one in sync starts again when this changes.
    pub(super) fn departures(&self) -> u32 {
        self.departures.get()
    }
}
