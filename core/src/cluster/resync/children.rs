//! Copying what is below one inode: entries and file blocks, merged by key.

use super::listing::Listing;
use super::{Copying, ResyncError};
use crate::cluster::{Cluster, Command, Modification, Reply, Slot, StoredBlock};
use crate::media::blockref::BlockKind;
use crate::media::{Dirent, Inum, Key, KeyRange, ModifyTid};
use crate::memory::aside;
use crate::node::{Element, EntryBatch, FileBlock, GivenBlock, Leaf, Node, NodeError};

/// The result of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResyncCounts {
    /// Elements looked at.
    pub compared: u64,
    /// Inodes, entries and file blocks written.
    pub copied: u64,
    /// Inodes, entries and file blocks removed.
    pub removed: u64,
    /// Bytes of file blocks written.
    pub bytes: u64,
    /// Snapshots that were removed from the target to make room.
    pub snapshots_removed: u64,
    /// Snapshots that were copied to it.
    pub snapshots_copied: u64,
    /// Snapshots that couldn't be copied to it, because it had no room or no node could read them.
    pub snapshots_lacking: u64,
}

/// An inode open on both sides under one slot.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) slot: Slot,
    pub(super) inum: Inum,
    /// The operation that last changed the inode or anything below it, on the source.
    pub(super) tid: ModifyTid,
}

impl core::ops::Add for ResyncCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            compared: self.compared + other.compared,
            copied: self.copied + other.copied,
            removed: self.removed + other.removed,
            bytes: self.bytes + other.bytes,
            snapshots_removed: self.snapshots_removed + other.snapshots_removed,
            snapshots_copied: self.snapshots_copied + other.snapshots_copied,
            snapshots_lacking: self.snapshots_lacking + other.snapshots_lacking,
        }
    }
}

impl core::ops::AddAssign for ResyncCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Cluster {
    /// Makes what is below an inode on the target, under some keys, equal to the source. Inodes are left to the callback `inode`.
    pub(super) async fn merge_children(
        &self,
        copying: Copying,
        pair: Pair,
        (range, since): (KeyRange, ModifyTid),
        counts: &mut ResyncCounts,
        mut inode: impl AsyncFnMut(Option<Leaf>, Option<Leaf>, &mut ResyncCounts) -> Result<(), ResyncError>,
    ) -> Result<(), ResyncError> {
        let (source, target) = (&self.member(copying.source).node, &self.member(copying.target).node);
        let mut theirs = Listing::over(source, pair.slot, since, range);
        let mut own = Listing::over(target, pair.slot, ModifyTid(0), range);
        // The first key from which the source doesn't say that nothing changed; none after the last key.
        let mut changed_from = Some(range.first);
        while let Some(element) = theirs.peek().await.map_err(ResyncError::source)? {
            theirs.advance();
            counts.compared += 1;
            let first = element.span().first;
            // Where nothing changed, the target's content isn't looked at.
            let bound = || theirs.changed_through();
            while let Some(Element::Leaf(extra)) = own.peek_through(bound).await.map_err(ResyncError::target)?
                && extra.span.first < first
            {
                own.advance();
                self.drop_child(target, pair, extra, counts, &mut inode).await?;
            }
            let Element::Leaf(wanted) = element else {
                let unchanged = element.span();
                own.skip_through(unchanged.last);
                if let Some(from) = changed_from
                    && from < unchanged.first
                {
                    let range = KeyRange { first: from, last: Key(unchanged.first.0 - 1) };
                    stamp(target, pair, range).await?;
                }
                changed_from = unchanged.last.0.checked_add(1).map(Key);
                continue;
            };
            let found = match own.peek_through(bound).await.map_err(ResyncError::target)? {
                Some(Element::Leaf(found)) if found.span.first == first => {
                    own.advance();
                    Some(found)
                }
                _ => None,
            };
            if wanted.kind == BlockKind::Data {
                self.note_seen(copying.target, wanted.bytes as u64);
            }
            let is_inode = |leaf: &Leaf| leaf.kind == BlockKind::Inode;
            match found {
                _ if is_inode(&wanted) => inode(Some(wanted), found.filter(is_inode), counts).await?,
                Some(found) if found == wanted => {}
                found => {
                    if let Some(found) = found.filter(|found| found.kind != BlockKind::Data) {
                        self.drop_child(target, pair, found, counts, &mut inode).await?;
                    }
                    aside(self.heap, || self.copy_child(copying, pair, wanted, counts))?.await?;
                }
            }
        }
        while let Some(Element::Leaf(extra)) = own.peek().await.map_err(ResyncError::target)? {
            own.advance();
            self.drop_child(target, pair, extra, counts, &mut inode).await?;
        }
        match changed_from {
            Some(first) if first <= range.last => stamp(target, pair, KeyRange { first, last: range.last }).await,
            _ => Ok(()),
        }
    }

    async fn drop_child(
        &self,
        target: &Node,
        pair: Pair,
        extra: Leaf,
        counts: &mut ResyncCounts,
        inode: &mut impl AsyncFnMut(Option<Leaf>, Option<Leaf>, &mut ResyncCounts) -> Result<(), ResyncError>,
    ) -> Result<(), ResyncError> {
        let key = extra.span.first;
        let removal = match extra.kind {
            BlockKind::Inode => return inode(None, Some(extra), counts).await,
            BlockKind::Data => Modification::RemoveBlocks { file: pair.slot, range: KeyRange::only(key) },
            _ => Modification::RemoveEntry { directory: pair.slot, key },
        };
        counts.removed += 1;
        target.replicate(pair.tid, pair.tid, removal).await.map(drop).map_err(ResyncError::target)
    }

    async fn copy_child(
        &self,
        copying: Copying,
        pair: Pair,
        leaf: Leaf,
        counts: &mut ResyncCounts,
    ) -> Result<(), ResyncError> {
        counts.copied += 1;
        match leaf.kind {
            BlockKind::Data => self.copy_block(copying, pair, leaf, counts).await,
            _ => self.copy_entry(copying, pair, leaf).await,
        }
    }

    async fn copy_block(
        &self,
        copying: Copying,
        pair: Pair,
        leaf: Leaf,
        counts: &mut ResyncCounts,
    ) -> Result<(), ResyncError> {
        let key = leaf.span.first;
        let source = &self.member(copying.source).node;
        let block = match source.execute(Command::ReadBlock { file: pair.slot, key }).await {
            Ok(Reply::Block(FileBlock::Stored { buffer, .. })) => {
                StoredBlock { buffer, methods: leaf.methods, check: leaf.check }
            }
            Ok(_) => return Ok(()),
            // Each further block would take as long.
            Err(error @ NodeError::Fault(fault)) if fault.is_timeout() => return Err(ResyncError::source(error)),
            // One bad copy is no reason for the target to lack the block.
            Err(error) => self.other_copy(copying, pair.inum, key).await.ok_or(ResyncError::source(error))?,
        };
        counts.bytes += block.buffer.len() as u64;
        let write = Modification::WriteBlock { file: pair.slot, key, block: GivenBlock::Owned(block) };
        let target = &self.member(copying.target).node;
        target.replicate(leaf.modify_tid, pair.tid, write).await.map(drop).map_err(ResyncError::target)
    }

    async fn other_copy(&self, copying: Copying, file: Inum, key: Key) -> Option<StoredBlock> {
        // In a snapshot, the other nodes have a different root.
        if copying.pfs != self.slots.root() {
            return None;
        }
        let others = self.source_order().filter(|other| *other != copying.source && *other != copying.target);
        let slot = self.slots.copied_to(copying.target);
        for other in others {
            if let Some((_, block)) = self.stored_block(other, file, key, slot).await {
                return Some(block);
            }
        }
        None
    }

    async fn copy_entry(&self, copying: Copying, pair: Pair, leaf: Leaf) -> Result<(), ResyncError> {
        let key = leaf.span.first;
        let source = &self.member(copying.source).node;
        let no_memory = |_| ResyncError::source(NodeError::NoMemory);
        let mut batch = EntryBatch::new(self.heap, 0).map_err(no_memory)?;
        let scan = Command::Scan { directory: pair.slot, range: KeyRange::only(key), batch: &mut batch };
        source.execute(scan).await.map_err(ResyncError::source)?;
        if let Some(fault) = batch.damaged() {
            return Err(ResyncError::source(NodeError::Fault(fault)));
        }
        let Some(found) = batch.iter().next() else { return Ok(()) };
        let entry = Dirent { inum: found.inum, name_len: found.name.len(), kind: found.kind };
        let add = Modification::AddEntry { directory: pair.slot, key, entry, name: found.name, methods: leaf.methods };
        let target = &self.member(copying.target).node;
        target.replicate(leaf.modify_tid, pair.tid, add).await.map(drop).map_err(ResyncError::target)
    }
}

/// Records on the target that there were changes among these keys, even if none of them left anything to copy: a node that copies
/// from the target may still have what was removed (protocol 5.5, I36).
async fn stamp(target: &Node, pair: Pair, range: KeyRange) -> Result<(), ResyncError> {
    let stamp = Modification::Stamp { slot: pair.slot, range };
    target.replicate(pair.tid, pair.tid, stamp).await.map(drop).map_err(ResyncError::target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_parts_add_up() {
        let part = |factor: u64| ResyncCounts {
            compared: 5 * factor,
            copied: 6 * factor,
            removed: 7 * factor,
            bytes: 8 * factor,
            snapshots_removed: 9 * factor,
            snapshots_copied: 10 * factor,
            snapshots_lacking: 11 * factor,
        };
        let mut sum = ResyncCounts::default();
        sum += part(1);
        sum += part(10);
        assert_eq!(sum, part(11));
    }
}
