//! How much a copy will have to look at, for estimates of how long it takes.

use core::cell::Cell;

use super::Listing;
use crate::cluster::member::MemberState;
use crate::cluster::{Cluster, Command, NodeIndex, Reply};
use crate::media::{BlockKind, Inum, ModifyTid};
use crate::node::{Element, Node, NodeError};

impl Cluster {
    /// Bytes of file blocks that changed since a node was in step, according to a node in step; none if that can't be told.
    /// Changes may go on whenever `pause` is called.
    pub(crate) async fn expected_bytes(&self, target: NodeIndex, pause: &mut impl AsyncFnMut()) -> Option<u64> {
        let MemberState::Behind(debt) = self.member(target).state() else { return None };
        let source = self.source_order().find(|source| *source != target)?;
        let (node, root) = (&self.member(source).node, self.slots.root());
        let since = debt.since.max(debt.ahead);
        if since == ModifyTid(0) {
            return Some(node.record(root).await.ok()?.stats.data_bytes);
        }
        let mut bytes = 0;
        let mut listing = Listing::new(node, root, since);
        while let Some(element) = listing.peek().await.ok()? {
            listing.advance();
            if let Element::Leaf(leaf) = element
                && leaf.kind == BlockKind::Inode
                && leaf.modify_tid > since
            {
                pause().await;
                bytes += self.changed_bytes(node, target, Inum(leaf.span.first.0), since).await.ok()?;
            }
        }
        Some(bytes)
    }

    /// Bytes of file blocks looked at for a node, copied or not, since the count was last reset.
    pub(crate) fn seen_bytes(&self, target: NodeIndex) -> u64 {
        self.seen_by_copies.get(usize::from(target.0)).map_or(0, Cell::get)
    }

    /// Resets that count.
    pub(crate) fn count_seen_anew(&self, target: NodeIndex) {
        self.seen_by_copies.get(usize::from(target.0)).into_iter().for_each(|seen| seen.set(0));
    }

    pub(super) fn note_seen(&self, target: NodeIndex, bytes: u64) {
        self.seen_by_copies.get(usize::from(target.0)).into_iter().for_each(|seen| seen.set(seen.get() + bytes));
    }

    /// Bytes of file blocks of an inode that changed since an operation.
    async fn changed_bytes(
        &self,
        node: &Node,
        target: NodeIndex,
        inum: Inum,
        since: ModifyTid,
    ) -> Result<u64, NodeError> {
        // The copy that uses this slot begins later.
        let slot = self.slots.copied_to(target);
        let Reply::Inode(_) = node.execute(Command::OpenInode { pfs: self.slots.root(), inum, into: slot }).await?
        else {
            return Ok(0);
        };
        let (mut bytes, mut listing) = (0, Listing::new(node, slot, since));
        while let Some(element) = listing.peek().await? {
            listing.advance();
            if let Element::Leaf(leaf) = element
                && leaf.kind == BlockKind::Data
            {
                bytes += leaf.bytes as u64;
            }
        }
        Ok(bytes)
    }
}
