//! Metadata that one node can't read: the keys that are lost with a bad block are copied anew from another node.
//!
//! A repair is a small resynchronization. Only the keys behind the bad block must be readable on the source, so that nodes with
//! damage in different places can each be mended from another. Nothing is removed before a source has shown all of these keys.

use crate::cluster::resync::{Copying, Listing, ResyncError};
use crate::cluster::vote::{MAX_NODES, NodeSet};
use crate::cluster::{Cluster, Command, Debt, Ejection, NodeIndex, Slot};
use crate::media::{BlockKind, BlockName, Inum, Key, KeyRange, ModifyTid};
use crate::memory::{NoMemory, answer_of};
use crate::node::NodeError;

/// Keys below an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct Lost {
    holder: Inum,
    keys: KeyRange,
}

impl Lost {
    /// These keys below an inode.
    pub(in crate::cluster) fn among(holder: Inum, keys: KeyRange) -> Self {
        Self { holder, keys }
    }

    /// True for a key among them.
    pub(in crate::cluster) fn has(&self, holder: Inum, key: Key) -> bool {
        holder == self.holder && self.keys.first <= key && key <= self.keys.last
    }

    /// The parts of a range, before and after, that aren't among them.
    pub(in crate::cluster) fn outside(&self, holder: Inum, range: KeyRange) -> [Option<KeyRange>; 2] {
        if holder != self.holder || range.last < self.keys.first || self.keys.last < range.first {
            return [Some(range), None];
        }
        let before = (range.first < self.keys.first)
            .then(|| KeyRange { first: range.first, last: Key(self.keys.first.0.saturating_sub(1)) });
        let behind = (self.keys.last < range.last)
            .then(|| KeyRange { first: Key(self.keys.last.0.saturating_add(1)), last: range.last });
        [before, behind]
    }
}

/// Makes a node leave if copying what it lost is abandoned: half of it would pass for all of it.
struct Halfway<'c> {
    cluster: &'c Cluster,
    target: NodeIndex,
    is_given_up: bool,
}

impl Drop for Halfway<'_> {
    fn drop(&mut self) {
        if self.is_given_up {
            self.cluster.eject(self.target, Ejection::Dissent);
        }
    }
}

impl Cluster {
    /// Copies anew what a node can't reach below an inode, or on the way to it, from one of `sources`. Returns the keys that were
    /// copied, or nothing if the node reaches everything by now; none if no source has all of it. A node for which this fails
    /// must leave.
    pub(in crate::cluster) async fn copy_lost(
        &self,
        target: NodeIndex,
        holder: Inum,
        block: BlockName,
        sources: NodeSet,
    ) -> Option<Result<Option<Lost>, NodeError>> {
        let found = match self.find_lost(target, holder, block).await {
            Ok(Some(found)) => found,
            Ok(None) => return Some(Ok(None)),
            Err(error) => return Some(Err(error)),
        };
        let (lost, slot) = found;
        let order = self.read_order().filter(|index| sources.contains(*index) && *index != target);
        // There are no more sources than nodes.
        let mut able: heapless::Vec<NodeIndex, MAX_NODES> = heapless::Vec::new();
        let mut late = able.clone();
        for source in order.chain(sources.difference(self.up_to_date()).iter()) {
            let _ = match self.promptly(source, || self.can_show(source, slot, lost)).await {
                Ok(Some(Ok(()))) => able.push(source),
                Ok(Some(Err(_))) | Err(NoMemory) => continue,
                Ok(None) => late.push(source),
            };
        }
        // Changes wait meanwhile, so a silent node is waited for only when no other has the keys.
        for source in late {
            if !able.is_empty() || self.can_show(source, slot, lost).await.is_ok() {
                let _ = able.push(source);
            }
        }
        if able.is_empty() {
            return None;
        }
        let _cut = self.stream.cut(target);
        let mut halfway = Halfway { cluster: self, target, is_given_up: true };
        let copied = answer_of(self.heap, || self.copy_behind(target, block, (lost, slot), &able)).await;
        halfway.is_given_up = false;
        Some(copied.map(|()| Some(lost)))
    }

    /// Cuts a bad block out, and copies the keys behind it from the first of these nodes that has all of them. If none has, the
    /// target lacks some.
    async fn copy_behind(
        &self,
        target: NodeIndex,
        block: BlockName,
        (lost, slot): (Lost, Slot),
        able: &[NodeIndex],
    ) -> Result<(), NodeError> {
        self.member(target).node.cut(slot, block).await?;
        self.copy_from_one_of(target, (lost, slot), able).await?;
        log::info!("{}: {block} was bad; the keys behind it were copied anew", self.called(target));
        Ok(())
    }

    /// Copies keys to a node that the source shows; none if that can't show all of them. A node for which this fails must leave.
    pub(in crate::cluster) async fn copy_shown(
        &self,
        target: NodeIndex,
        lost: Lost,
        source: NodeIndex,
    ) -> Option<Result<(), NodeError>> {
        let (pfs, into) = (self.slots.root(), self.slots.copied_to(target));
        if let Err(error) = self.member(target).node.execute(Command::Name { pfs, inum: lost.holder, into }).await {
            return Some(Err(error));
        }
        self.can_show(source, into, lost).await.ok()?;
        let able = [source];
        let _cut = self.stream.cut(target);
        let mut halfway = Halfway { cluster: self, target, is_given_up: true };
        let copied = answer_of(self.heap, || self.copy_from_one_of(target, (lost, into), &able)).await;
        halfway.is_given_up = false;
        Some(copied)
    }

    /// Copies keys from the first of these that has all of them. If none has, the target lacks some.
    async fn copy_from_one_of(
        &self,
        target: NodeIndex,
        (lost, slot): (Lost, Slot),
        able: &[NodeIndex],
    ) -> Result<(), NodeError> {
        // What one node can't read of an inode among them, another may: each continues with what is there by then.
        let mut failure = NodeError::NoMemory;
        for source in able.iter().chain(able) {
            let departures = self.member(*source).departures();
            let (pfs, debt) = (self.slots.root(), Debt::since(ModifyTid(0)));
            let copying = Copying { pfs, source: *source, departures, target, debt, until: None, keep_free: 0 };
            match self.copy_keys(copying, (slot, lost.holder), lost.keys).await {
                Ok(()) => return Ok(()),
                Err(ResyncError::Source(why)) => failure = why.into(),
                Err(ResyncError::Target(why)) => return Err(why.into()),
                Err(ResyncError::Cluster(_)) => return Err(NodeError::NoMemory),
            }
        }
        Err(failure)
    }

    /// The keys that are lost with a bad block, and a slot for the inode that they are below.
    async fn find_lost(
        &self,
        target: NodeIndex,
        holder: Inum,
        block: BlockName,
    ) -> Result<Option<(Lost, Slot)>, NodeError> {
        let (node, root) = (&self.member(target).node, self.slots.root());
        if block.kind != BlockKind::Inode as u8 && holder != Inum::PFS_ROOT {
            let slot = self.slots.copied_to(target);
            node.execute(Command::Name { pfs: root, inum: holder, into: slot }).await?;
            // The bad block may be on the way to the inode itself.
            if let Ok(Some(keys)) = node.lost_keys(slot, block).await {
                return Ok(Some((Lost { holder, keys }, slot)));
            }
        }
        let keys = node.lost_keys(root, block).await?;
        Ok(keys.map(|keys| (Lost { holder: Inum::PFS_ROOT, keys }, root)))
    }

    /// Fails unless a node can list what is below some keys of an inode, which is also opened there.
    async fn can_show(&self, source: NodeIndex, slot: Slot, lost: Lost) -> Result<(), NodeError> {
        let (node, pfs) = (&self.member(source).node, self.slots.root());
        if lost.holder != Inum::PFS_ROOT {
            node.execute(Command::Name { pfs, inum: lost.holder, into: slot }).await?;
        }
        let mut listing = Listing::over(node, slot, ModifyTid(0), lost.keys);
        while listing.peek().await?.is_some() {
            listing.advance();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> KeyRange {
        KeyRange { first: Key(first), last: Key(last) }
    }

    #[test]
    fn what_is_outside_of_lost_keys() {
        let lost = Lost { holder: Inum(7), keys: range(10, 20) };
        let outside = |first, last| lost.outside(Inum(7), range(first, last));
        assert_eq!(outside(10, 20), [None, None]);
        assert_eq!(outside(9, 20), [Some(range(9, 9)), None]);
        assert_eq!(outside(10, 21), [None, Some(range(21, 21))]);
        assert_eq!(outside(0, 30), [Some(range(0, 9)), Some(range(21, 30))]);
        assert_eq!(outside(5, 9), [Some(range(5, 9)), None]);
        assert_eq!(outside(21, 30), [Some(range(21, 30)), None]);
        assert_eq!(lost.outside(Inum(8), range(10, 20)), [Some(range(10, 20)), None]);
        assert_eq!([9, 10, 20, 21].map(|key| lost.has(Inum(7), Key(key))), [false, true, true, false]);
    }
}
