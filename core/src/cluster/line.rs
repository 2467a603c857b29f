//! The line of commits that a mount continues: the cluster's record, and which of it is acknowledged.

use core::cell::{Cell, Ref, RefCell, RefMut};

use super::MAX_NODES;
use super::vote::CommitId;
use super::vote::succession::next_commit;
use crate::io::{Turn, Turns};
use crate::media::cluster_record::ClusterRecord;
use crate::media::{ModifyTid, Uuid};
use crate::memory::Heap;

/// What was committed last, and the turn to commit.
pub(super) struct Line {
    /// Turns to commit.
    turns: Turns,
    /// The cluster's record; none for a PFS that never was in a cluster. Fields that differ between nodes have no node's value
    /// here.
    record: RefCell<Option<ClusterRecord>>,
    /// The last transaction id given.
    last_tid: Cell<ModifyTid>,
    /// The last commit known to be durable on a quorum.
    acked: Cell<CommitId>,
    /// How many commits in a row were passed over by needed members.
    passed_over: Cell<usize>,
}

impl Line {
    /// Makes a line with no commit yet.
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            turns: Turns::new(heap),
            record: RefCell::new(None),
            last_tid: Cell::new(ModifyTid(0)),
            acked: Cell::new(CommitId::NONE),
            passed_over: Cell::new(0),
        }
    }

    /// Waits for the turn to commit.
    pub(super) async fn turn(&self) -> Turn<'_> {
        self.turns.take().await
    }

    /// Waits until the turn is free.
    pub(super) async fn turns_ended(&self) {
        self.turns.ended().await;
    }

    pub(super) fn record(&self) -> Ref<'_, Option<ClusterRecord>> {
        self.record.borrow()
    }

    /// The record, for notes that the next commit carries.
    pub(super) fn record_mut(&self) -> RefMut<'_, Option<ClusterRecord>> {
        self.record.borrow_mut()
    }

    /// True for a PFS that belongs to a cluster.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.record.borrow().is_some()
    }

    /// The cluster's id.
    pub(super) fn clid(&self) -> Option<Uuid> {
        self.record.borrow().as_ref().map(|record| record.clid)
    }

    /// Continues from this record.
    pub(super) fn follow(&self, record: Option<ClusterRecord>) {
        *self.record.borrow_mut() = record;
    }

    /// Continues from this record, with transaction ids after `tid`.
    pub(super) fn begin(&self, record: Option<ClusterRecord>, tid: ModifyTid) {
        self.follow(record);
        self.last_tid.set(tid);
    }

    /// Opens the epoch that was noted in the record: what it has acknowledged so far counts as acknowledged.
    pub(super) fn open(&self, tid_floor: ModifyTid) {
        if let Some(record) = &*self.record.borrow() {
            self.acked.set(record.acked);
        }
        self.last_tid.set(tid_floor);
    }

    pub(super) fn last_tid(&self) -> ModifyTid {
        self.last_tid.get()
    }

    /// Makes sure that no transaction id up to this one is given again.
    pub(super) fn note_tid(&self, tid: ModifyTid) {
        self.last_tid.set(tid.max(self.last_tid.get()));
    }

    /// Advances the record to the next commit. Its number is used up here. Returns false when there is none left.
    pub(super) fn advance(&self) -> bool {
        let mut record = self.record.borrow_mut();
        let Some(current) = &mut *record else { return true };
        let next = next_commit(current, self.last_tid.get().max(current.tid), self.acked.get());
        next.map(|next| *current = next).is_some()
    }

    /// Notes that a quorum has the commit in the record.
    pub(super) fn acknowledge(&self) {
        self.passed_over.set(0);
        if let Some(record) = &*self.record.borrow() {
            self.acked.set(record.version.content());
        }
    }

    /// Notes that needed members have passed a commit over; returns false when that happened too often for another try.
    pub(super) fn pass_over(&self) -> bool {
        self.passed_over.replace(self.passed_over.get() + 1) < MAX_NODES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn a_commit_is_passed_over_only_so_often() {
        let line = Line::new(HEAP);
        for _ in 0..2 {
            assert!((0..MAX_NODES).all(|_| line.pass_over()));
            assert!(!line.pass_over());
            // A commit on a quorum restarts the count.
            line.acknowledge();
        }
    }
}
