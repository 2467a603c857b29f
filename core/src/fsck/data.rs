//! File content: every data block is read, checked and decompressed (format 4.3 and 5.2).

use super::seen::fingerprint;
use super::topology::{Role, Walk};
use super::{Checker, Cost, Quirk, Subject};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Blockref, Compression, Corruption, FileKind, Inode, KeyRange, Radix, is_zero};
use crate::memory::{self, Heap, NoMemory, Vec};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// Data blocks found good lately, so that a block shared by many files isn't read for each.
pub(super) struct RecentBlocks(Vec<(u64, u64)>);

/// This is more than the blocks of a small volume; for a large one, remembering them isn't worth the memory.
const RECENT_BLOCKS: usize = 16384;

impl RecentBlocks {
    pub(super) fn new(heap: Heap) -> Result<Self, NoMemory> {
        memory::filled(heap, RECENT_BLOCKS, || (0, 0)).map(Self)
    }

    fn contains(&self, bref: &Blockref) -> bool {
        let (slot, entry) = Self::place(bref);
        self.0[slot] == entry
    }

    fn add(&mut self, bref: &Blockref) {
        let (slot, entry) = Self::place(bref);
        self.0[slot] = entry;
    }

    fn place(bref: &Blockref) -> (usize, (u64, u64)) {
        // The key isn't a property of the content.
        let mut anywhere = *bref;
        anywhere.set_span(Default::default(), bref.keybits());
        let data_off = bref.data_off().0;
        let slot = (data_off >> 10).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
        (slot as usize % RECENT_BLOCKS, (data_off, fingerprint(&anywhere)))
    }
}

impl Checker<'_, '_> {
    /// Checks what is below an inode that isn't a directory.
    pub(super) async fn check_content(&mut self, subject: Subject<'_>, bref: &Blockref) -> Result<(), NoMemory> {
        let (set, role) = match self.blocks.load(bref).await {
            Ok(block) => {
                let bytes = block.bytes();
                let Ok(inode) = Inode::in_block(&bytes) else { return Ok(()) };
                let role = match inode.meta.kind() {
                    Ok(FileKind::Regular | FileKind::Symlink) => Role::File { size: inode.meta.size() },
                    _ => Role::Special,
                };
                (inode.body_set(), role)
            }
            Err(error) => return self.unreadable(subject, bref, error, Cost::Inode).await,
        };
        let mut walk = Walk::new(self.heap, role, &set, bref.mirror_tid(), KeyRange::ALL);
        while let Some(block) = walk.next(self, subject).await? {
            if let Role::File { size } = role {
                self.check_data(subject, &block, size).await?;
            }
        }
        Ok(())
    }

    async fn check_data(&mut self, subject: Subject<'_>, bref: &Blockref, size: u64) -> Result<(), NoMemory> {
        self.reports.summary.data_blocks += u64::from(!self.reports.is_older());
        let cost = Role::File { size }.cost(bref);
        if bref.key().0 >= size {
            self.problem(subject, Some(bref), super::Trouble::BeyondEnd, Cost::Space).await;
        }
        let compression = match bref.methods.compression() {
            Ok(Compression::AutoZero) => Err(Corruption::UnknownCompression(Compression::AutoZero as u8)),
            other => other,
        };
        let compression = match compression {
            Ok(compression) => compression,
            Err(corruption) => {
                self.problem(subject, Some(bref), corruption.into(), cost).await;
                return Ok(());
            }
        };
        let rest = size.saturating_sub(bref.key().0).min(BLOCK) as usize;
        let place_size = Radix::holding(rest).unwrap_or(Radix::MAX);
        let stored_size = bref.data_off().radix();
        if let Ok(Some(stored_size)) = stored_size
            && (stored_size > place_size || (compression == Compression::None && stored_size != place_size))
        {
            self.reports.quirk(Quirk::BlockSize);
        }
        // The block at the end of the file is checked for bytes beyond that end, whichever files share it.
        let is_inside = rest == 0 || rest == FILE_BLOCK_BYTES;
        if !self.admit_place(subject, bref, cost).await || (is_inside && self.recent.contains(bref)) {
            return Ok(());
        }
        let block = match self.blocks.load(bref).await {
            Ok(block) => block,
            Err(error) => return self.unreadable(subject, bref, error, cost).await,
        };
        let has_tail = |content: &[u8]| content.get(rest..).is_some_and(|tail| !is_zero(tail));
        let looked = match compression {
            Compression::None => Ok(has_tail(&block.bytes())),
            _ => self
                .decompressor
                .decompress(compression, &block.bytes(), self.content.bytes_mut())
                .map(|_| has_tail(self.content.bytes())),
        };
        drop(block);
        match looked {
            Ok(true) => self.reports.quirk(Quirk::FileTail),
            Ok(false) => {}
            Err(corruption) => {
                self.problem(subject, Some(bref), corruption.into(), cost).await;
                return Ok(());
            }
        }
        self.recent.add(bref);
        Ok(())
    }
}
