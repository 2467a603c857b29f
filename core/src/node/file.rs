//! File blocks: as they are stored (format 4.3).

use core::ops::ControlFlow;

use super::{FileBlock, Halt, Node, Progress, Reply, Slot};
use crate::chain::{ChainError, Cursor, Stop, scan};
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::inode::InodeFlags;
use crate::media::{BlockKind, Blockref, Corruption, Inode, Key, KeyBits, KeyRange};
use crate::memory::{NoMemory, boxed};

/// What an inode says about one of its blocks.
enum BlockSource {
    Embedded(Result<FileBlock, NoMemory>),
    Block(Option<Blockref>),
}

impl Node {
    #[inline(never)]
    pub(super) fn read_block(&self, file: Slot, key: Key) -> Result<Reply, Halt> {
        let mut cursor = Cursor::new(KeyRange::only(key));
        let found = self.in_inode(file, |view| {
            if view.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                return Ok(BlockSource::Embedded(self.embedded(view.inode, key)));
            }
            view.find(&mut cursor).map(BlockSource::Block)
        })?;
        let bref = match found {
            BlockSource::Embedded(block) => return Ok(Reply::Block(block?)),
            BlockSource::Block(None) => return Ok(Reply::Block(FileBlock::Hole)),
            BlockSource::Block(Some(bref)) => bref,
        };
        let compression = check_data(&bref).and_then(|()| bref.methods.compression());
        let compression = compression.map_err(|corruption| ChainError::corrupt(&bref, corruption))?;
        let buffer = self.blocks.take(&bref)?.ok_or(Halt::Needs(bref))?;
        Ok(Reply::Block(FileBlock::Stored { buffer, compression }))
    }

    /// Starts reads of blocks that will be wanted soon.
    #[inline(never)]
    pub(super) fn prefetch(&self, file: Slot, range: KeyRange, progress: &mut Progress) -> Result<Reply, Halt> {
        let (cursor, _) = progress.over(range);
        self.in_inode(file, |view| {
            if view.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                return Ok(());
            }
            scan(view.source, view.holder()?, cursor, &mut |leaf| {
                if check_data(leaf).is_ok() {
                    self.load_ahead(leaf);
                }
                ControlFlow::Continue(())
            })
        })?;
        Ok(Reply::Done)
    }

    /// Collects the keys of a file's blocks that remain of a walk, in order, until `keys` is full.
    pub(super) fn file_blocks<const N: usize>(
        &self,
        file: Slot,
        cursor: &mut Cursor,
        keys: &mut heapless::Vec<Key, N>,
    ) -> Result<(), Halt> {
        self.in_inode(file, |view| {
            if view.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                return Ok(());
            }
            scan(view.source, view.holder()?, cursor, &mut |leaf| {
                let _ = keys.push(leaf.key());
                if keys.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
    }

    #[inline(never)]
    pub(super) fn next_block(&self, file: Slot, range: KeyRange, progress: &mut Progress) -> Result<Reply, Halt> {
        let (cursor, _) = progress.over(range);
        let found: Option<Key> = self.in_inode(file, |view| {
            if view.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                return Ok((range.first == Key(0) && view.inode.meta.size() > 0).then_some(Key(0)));
            }
            let found: Result<_, Stop> = view.find(cursor);
            Ok(found?.map(|bref| bref.key()))
        })?;
        Ok(found.map_or(Reply::Absent, Reply::Key))
    }

    /// A file whose content is stored in its inode has it as its first block.
    fn embedded(&self, inode: &Inode, key: Key) -> Result<FileBlock, NoMemory> {
        Ok(if key == Key(0) { FileBlock::Embedded(boxed(self.heap, inode.body)?) } else { FileBlock::Hole })
    }
}

pub(super) fn check_data(bref: &Blockref) -> Result<(), Corruption> {
    if bref.kind()? != BlockKind::Data {
        return Err(Corruption::BlockType(bref.kind_code()));
    }
    if bref.keybits() != KeyBits(FILE_BLOCK_BITS) {
        return Err(Corruption::DataSpan(bref.keybits().0));
    }
    Ok(())
}
