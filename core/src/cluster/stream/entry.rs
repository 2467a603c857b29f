//! The entries of the stream.

use super::super::agree::Said;
use super::super::join::Answers;
use super::super::vote::NodeSet;
use super::super::{Modification, Outcome, Slot};
use super::recorded::Recorded;
use crate::io::Instant;
use crate::media::cluster_record::ClusterRecord;
use crate::media::{Inum, ModifyTid};
use crate::memory::{Box, Heap, NoMemory};
use crate::node::{NodeError, NodeFault};

/// A command of the stream, and its result so far.
pub(in crate::cluster) struct Entry {
    pub(super) work: Work,
    /// The nodes' answers so far.
    pub(in crate::cluster) answers: Answers<Result<Outcome, NodeError>>,
    pub(super) verdict: Verdict,
    /// For a commit: the nodes on which everything before it is durable.
    pub(super) staged: NodeSet,
    /// True when a caller waits for the verdict.
    pub(super) is_awaited: bool,
    /// A node that hasn't executed it by then leaves.
    pub(super) late_at: Instant,
    /// Memory it takes.
    pub(super) bytes: usize,
}

/// The work that a node is to do.
pub(super) enum Work {
    /// A modification of the content.
    Change(ModifyTid, Recorded),
    /// Makes a slot name an inode.
    Name { pfs: Slot, inum: Inum, into: Slot },
    /// Forgets a slot.
    Close(Slot),
    /// Makes everything before durable, and writes a header with this record.
    Commit(Option<Box<ClusterRecord>>),
}

/// The cluster's decision on an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Verdict {
    /// Too few have answered yet.
    Open,
    /// A quorum has answered this, or all nodes that are left.
    Agreed(Said<Outcome>),
    /// No node could read the blocks that it needs, so none has executed it.
    Unreadable(NodeFault),
    /// The remaining nodes contradict each other, or too few remain.
    None,
}

impl Entry {
    fn new(work: Work, late_at: Instant) -> Self {
        let bytes = size_of::<Self>()
            + match &work {
                Work::Change(_, recorded) => recorded.bytes(),
                Work::Commit(Some(_)) => size_of::<ClusterRecord>(),
                Work::Name { .. } | Work::Close(_) | Work::Commit(None) => 0,
            };
        // Work that only concerns a node's own tables needs no agreement.
        let verdict = match work {
            Work::Name { .. } | Work::Close(_) => Verdict::Agreed(Said::Value(Outcome::Done)),
            Work::Change(..) | Work::Commit(_) => Verdict::Open,
        };
        Self { work, answers: Answers::new(), verdict, staged: NodeSet::EMPTY, is_awaited: false, late_at, bytes }
    }

    /// Makes an entry for a modification that some nodes haven't executed.
    pub(in crate::cluster) fn change(
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        late_at: Instant,
        heap: Heap,
    ) -> Result<Self, NoMemory> {
        Ok(Self::new(Work::Change(tid, Recorded::of(modification, heap)?), late_at))
    }

    /// Makes an entry for a slot that some nodes have yet to open.
    pub(in crate::cluster) fn name(pfs: Slot, inum: Inum, into: Slot, late_at: Instant) -> Self {
        Self::new(Work::Name { pfs, inum, into }, late_at)
    }

    /// Makes an entry for a slot that some nodes have yet to forget.
    pub(in crate::cluster) fn close(slot: Slot, late_at: Instant) -> Self {
        Self::new(Work::Close(slot), late_at)
    }

    /// Makes an entry for a commit with this record.
    pub(in crate::cluster) fn commit(record: Option<Box<ClusterRecord>>, late_at: Instant) -> Self {
        Self::new(Work::Commit(record), late_at)
    }

    pub(super) fn is_commit(&self) -> bool {
        matches!(self.work, Work::Commit(_))
    }
}
