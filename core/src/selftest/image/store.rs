//! Writing blocks: each gets a place, a check code and the tid of the next commit.

use super::ImageError;
use super::allocation::Allocation;
use super::medium::Medium;
use crate::media::blockref::BlockStats;
use crate::media::compressor::Compressor;
use crate::media::{BlockKind, Blockref, Compression, Key, KeyBits, Methods, MirrorTid, ModifyTid, Radix};
use crate::memory::Heap;

/// The medium, and what is taken of it.
pub(super) struct Store {
    pub(super) medium: Medium,
    pub(super) allocation: Allocation,
    pub(super) codec: Compressor,
    /// The tid of the next commit.
    pub(super) tid: MirrorTid,
    /// The last operation.
    pub(super) modify_tid: ModifyTid,
    pub(super) heap: Heap,
}

impl Store {
    /// Begins a new operation.
    pub(super) fn next_modify_tid(&mut self) -> ModifyTid {
        self.modify_tid.0 += 1;
        self.modify_tid
    }

    /// Gives the entry a block with this content.
    pub(super) fn put(&mut self, mut entry: Blockref, block: &[u8]) -> Result<Blockref, ImageError> {
        let radix = Radix::holding(block.len()).ok_or(ImageError::NoSpace)?;
        entry.set_data_off(self.allocation.allocate(entry.kind()?, radix)?);
        entry.set_mirror_tid(self.tid);
        entry.check = entry.methods.check()?.compute(block);
        self.medium.write(entry.data_off().offset(), block)?;
        Ok(entry)
    }

    /// Stores a block of file data, compressed if that is wanted and helps.
    pub(super) fn put_data(&mut self, key: Key, wish: Methods, block: &[u8]) -> Result<Blockref, ImageError> {
        let check = wish.check()?;
        let entry = |compression| {
            let methods = Methods::new(check, compression);
            Blockref::new(BlockKind::Data, key, KeyBits(crate::media::geometry::FILE_BLOCK_BITS), methods)
        };
        let wished = wish.compression()?;
        let modify_tid = self.modify_tid;
        let mut made = match self.codec.compress(wished, 0, block)? {
            Some((stored, radix)) => {
                let mut entry = entry(wished);
                entry.set_data_off(self.allocation.allocate(BlockKind::Data, radix)?);
                entry.set_mirror_tid(self.tid);
                entry.check = check.compute(stored);
                self.medium.write(entry.data_off().offset(), stored)?;
                entry
            }
            None => self.put(entry(Compression::None), block)?,
        };
        made.set_modify_tid(modify_tid);
        Ok(made)
    }
}

/// Sets the sums that the entry of a container has over its entries (format 2.4).
pub(super) fn set_sums(entry: &mut Blockref, children: &[Blockref]) -> Result<(), ImageError> {
    let mut stats = BlockStats::default();
    let mut leaves: u64 = 0;
    for child in children.iter().filter(|child| !child.is_empty()) {
        let bytes = child.data_off().radix()?.map_or(0, Radix::bytes);
        stats.data_bytes += bytes as u64;
        let kind = child.kind()?;
        if matches!(kind, BlockKind::Inode | BlockKind::Indirect) {
            stats.data_bytes += child.stats().data_bytes;
            stats.inodes += child.stats().inodes;
        }
        stats.inodes += u64::from(kind == BlockKind::Inode);
        leaves += if kind == BlockKind::Indirect { u64::from(child.leaf_count()) } else { 1 };
        entry.set_modify_tid(entry.modify_tid().max(child.modify_tid()));
    }
    entry.set_stats(stats);
    entry.set_leaf_count(u16::try_from(leaves).unwrap_or(u16::MAX));
    Ok(())
}
