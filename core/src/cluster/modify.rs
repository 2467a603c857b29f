//! Modifications on several nodes: all that are in sync execute them, or leave before the answer is given.
//!
//! An answer waits for every node in sync, not just for a quorum: a device that doesn't answer is given up at its deadline,
//! and its node with it, so a bad minority delays one operation at most. No node ever lags behind the others.

use super::agree::agree;
use super::join::{aside, join_all};
use super::{Cluster, MAX_NODES, NodeIndex, OpError};
use crate::media::ModifyTid;
use crate::node::{Modification, Outcome};

impl Cluster {
    /// Executes a modification on every node, in the order of calls. It is never given up half-way: it is done, or nothing is.
    pub async fn modify(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, OpError> {
        if let Some(node) = self.single() {
            return Ok(node.modify(tid, modification).await?);
        }
        aside(self.heap, self.modify_on_all(tid, modification)).await
    }

    async fn modify_on_all(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, OpError> {
        self.require_quorum()?;
        self.mend().await?;
        self.last_tid.set(tid.max(self.last_tid.get()));
        let mut orders: heapless::Vec<(NodeIndex, Modification<'_>), MAX_NODES> = heapless::Vec::new();
        let sync = self.in_sync();
        let first = sync.first();
        // A cluster has no more nodes than fit.
        for index in sync.iter().skip(1) {
            let copy = modification.copy(self.heap, || self.member(index).node.spare_buffer())?;
            let _ = orders.push((index, copy));
        }
        if let Some(first) = first {
            let _ = orders.push((first, modification));
        }
        let order = |(index, copy)| (index, self.member(index).node.modify(tid, copy));
        let answers = join_all(self.heap, orders.into_iter().map(order)).await?;
        let agreed = agree(&answers, &self.electorate.get());
        self.part_with(&agreed.leave);
        match agreed.answer {
            Some(answer) => answer,
            None => Err(self.suspend()),
        }
    }
}
