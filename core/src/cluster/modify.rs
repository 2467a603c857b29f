//! Modifications on several nodes: all that are in sync execute them, or leave before the answer is given.
//!
//! An answer waits for every node in sync, not just for a quorum: a device that doesn't answer is given up at its deadline,
//! and its node with it, so a bad minority delays one operation at most. No node ever lags behind the others.
//!
//! Whether there is a quorum is asked before an operation of the filesystem is begun and when it is committed, not for each of
//! its modifications: what was begun is done as a whole, by those that are left.

use super::agree::agree;
use super::join::Together;
use super::{Cluster, OpError};
use crate::media::ModifyTid;
use crate::memory::aside;
use crate::node::{Modification, Outcome};

impl Cluster {
    /// Executes a modification on every node, in the order of calls. It is never given up half-way: it is done, or nothing is.
    pub async fn modify(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, OpError> {
        if let Some(node) = self.single() {
            return Ok(node.modify(tid, modification).await?);
        }
        aside(self.heap, self.modify_on_all(tid, modification))?.await
    }

    async fn modify_on_all(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, OpError> {
        if self.is_lost() {
            return Err(OpError::Lost);
        }
        if !self.repairs.borrow().is_empty() {
            aside(self.heap, self.mend())?.await?;
        }
        self.last_tid.set(tid.max(self.last_tid.get()));
        let (sync, mut together) = (self.in_sync(), Together::new());
        for index in sync.iter().skip(1) {
            let node = &self.member(index).node;
            let copy = modification.copy(self.heap, || node.spare_buffer())?;
            together.add(self.heap, index, node.modify(tid, copy))?;
        }
        if let Some(first) = sync.first() {
            together.add(self.heap, first, self.member(first).node.modify(tid, modification))?;
        }
        let answers = together.join().await;
        let agreed = agree(&answers, &self.electorate.get());
        self.part_with(&agreed.leave);
        match agreed.answer {
            Some(answer) => answer,
            None => Err(self.suspend()),
        }
    }
}
