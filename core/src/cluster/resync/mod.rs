//! Resynchronization: bringing a node in step with the others (protocol 5.4).
//!
//! What the target lacks is found by comparing trees of elements, skipping what hasn't changed since the last version that the
//! target holds whole: only transaction ids are needed for that. The copy is written to new places and committed as one, by the
//! commit that makes the target a member of the sync set again; until then its last header leads to what it had before.
//!
//! Changes go on meanwhile: rounds *ahead* copy what was durable when they began, inode by inode, and leave later changes to the
//! next round. Only the last round, which finds little, holds up changes.

mod children;
mod expected;
mod inodes;
mod listing;
mod room;
mod snapshots;
mod task;

pub use children::ResyncCounts;
pub(super) use listing::Listing;
pub use room::Room;

use super::{Debt, Ejection, NodeIndex, OpError, Slot};
use crate::media::ModifyTid;
use crate::memory::NoMemory;
use crate::node::NodeError;

/// Source and target of a copy, and how much is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copying {
    /// The root of the PFS, on both.
    pub(super) pfs: Slot,
    pub(super) source: NodeIndex,
    /// How often the source had left when the copy began. If it leaves again, what it holds is unknown.
    pub(super) departures: u32,
    pub(super) target: NodeIndex,
    /// What the target has.
    pub(super) debt: Debt,
    /// Inodes that changed after this operation are left to the next round; none in the last round.
    pub(super) until: Option<ModifyTid>,
    /// Bytes that must stay free on the target.
    pub(super) keep_free: u64,
}

/// Why a copy stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResyncError {
    /// Something on the source can't be read.
    #[error("the source: {0}")]
    Source(Ejection),
    /// The target failed.
    #[error("{0}")]
    Target(Ejection),
    /// The cluster can't commit it.
    #[error("{0}")]
    Cluster(#[from] OpError),
}

impl From<NoMemory> for ResyncError {
    fn from(error: NoMemory) -> Self {
        Self::Cluster(error.into())
    }
}

impl ResyncError {
    fn source(error: NodeError) -> Self {
        Self::Source(Ejection::of(error))
    }

    fn target(error: NodeError) -> Self {
        Self::Target(Ejection::of(error))
    }
}
