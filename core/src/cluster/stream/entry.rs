//! What the stream is made of.

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

/// A command of the stream, and what became of it.
pub(in crate::cluster) struct Entry {
    pub(super) work: Work,
    /// What nodes said of it so far.
    pub(in crate::cluster) answers: Answers<Result<Outcome, NodeError>>,
    pub(super) verdict: Verdict,
    /// Of a commit: who has everything before it durable.
    pub(super) staged: NodeSet,
    /// Somebody waits for the verdict.
    pub(super) is_awaited: bool,
    /// Who hasn't executed it by then has left.
    pub(super) late_at: Instant,
    /// Memory it takes.
    pub(super) bytes: usize,
}

/// What a node is to do.
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

/// What holds for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Verdict {
    /// Too few have answered yet.
    Open,
    /// A quorum has said so, or all that are left.
    Agreed(Said<Outcome>),
    /// Nobody could read what it is about: nobody has executed it.
    Unreadable(NodeFault),
    /// Those that are left contradict each other, or too few are.
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
        // What only concerns a node's own tables has nothing to be agreed on.
        let verdict = match work {
            Work::Name { .. } | Work::Close(_) => Verdict::Agreed(Said::Value(Outcome::Done)),
            Work::Change(..) | Work::Commit(_) => Verdict::Open,
        };
        Self { work, answers: Answers::new(), verdict, staged: NodeSet::EMPTY, is_awaited: false, late_at, bytes }
    }

    /// A modification that some haven't executed.
    pub(in crate::cluster) fn change(
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        late_at: Instant,
        heap: Heap,
    ) -> Result<Self, NoMemory> {
        Ok(Self::new(Work::Change(tid, Recorded::of(modification, heap)?), late_at))
    }

    /// A slot that some are to be told of.
    pub(in crate::cluster) fn name(pfs: Slot, inum: Inum, into: Slot, late_at: Instant) -> Self {
        Self::new(Work::Name { pfs, inum, into }, late_at)
    }

    /// A slot that some are to forget.
    pub(in crate::cluster) fn close(slot: Slot, late_at: Instant) -> Self {
        Self::new(Work::Close(slot), late_at)
    }

    /// A commit with this record.
    pub(in crate::cluster) fn commit(record: Option<Box<ClusterRecord>>, late_at: Instant) -> Self {
        Self::new(Work::Commit(record), late_at)
    }

    pub(super) fn is_commit(&self) -> bool {
        matches!(self.work, Work::Commit(_))
    }
}
