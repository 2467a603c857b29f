//! File blocks: as they are stored (spec 4.3).

use core::ops::ControlFlow;

use super::{FileBlock, Node, NodeError, Reply, Slot, holder};
use crate::chain::{ChainError, Cursor, Stop, find, scan};
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::inode::InodeFlags;
use crate::media::{BlockKind, Blockref, Corruption, Inode, Key, KeyBits, KeyRange};

/// What an inode says of one of its blocks.
enum Found {
    Embedded(FileBlock),
    Block(Option<Blockref>),
}

impl Node {
    pub(super) async fn read_block(&self, file: Slot, key: Key) -> Result<Reply, NodeError> {
        let file = self.slots.get(file)?;
        let mut cursor = Cursor::new(KeyRange::only(key));
        let found = self
            .in_inode(&file, |inode| {
                if inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                    return Ok(Found::Embedded(embedded(inode, key)));
                }
                find(&self.blocks, holder(&file, inode)?, &mut cursor).map(Found::Block)
            })
            .await?;
        let bref = match found {
            Found::Embedded(block) => return Ok(Reply::Block(block)),
            Found::Block(None) => return Ok(Reply::Block(FileBlock::Hole)),
            Found::Block(Some(bref)) => bref,
        };
        let compression = check_data(&bref).and_then(|()| bref.methods.compression());
        let compression = compression.map_err(|corruption| ChainError::corrupt(&bref, corruption))?;
        let buffer = self.blocks.take(&bref).await.map_err(|error| ChainError::new(&bref, error))?;
        Ok(Reply::Block(FileBlock::Stored { buffer, compression }))
    }

    /// Starts reads of blocks whose blockrefs are in memory. Best effort: what isn't, is read when it is wanted.
    pub(super) fn prefetch(&self, file: Slot, range: KeyRange) -> Result<Reply, NodeError> {
        let file = self.slots.get(file)?;
        if let Some(block) = self.blocks.get(&file) {
            let bytes = block.bytes();
            if let Some(array) = Inode::in_block(&bytes).ok().and_then(|inode| holder(&file, inode).ok()) {
                let _ = scan(&self.blocks, array, &mut Cursor::new(range), &mut |leaf| {
                    if check_data(leaf).is_ok() {
                        self.blocks.prefetch(leaf);
                    }
                    ControlFlow::Continue(())
                });
            }
        }
        Ok(Reply::Done)
    }

    pub(super) async fn next_block(&self, file: Slot, range: KeyRange) -> Result<Reply, NodeError> {
        let file = self.slots.get(file)?;
        let mut cursor = Cursor::new(range);
        let found: Option<Key> = self
            .in_inode(&file, |inode| {
                if inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                    return Ok((range.first == Key(0) && inode.meta.size() > 0).then_some(Key(0)));
                }
                let found: Result<_, Stop> = find(&self.blocks, holder(&file, inode)?, &mut cursor);
                Ok(found?.map(|bref| bref.key()))
            })
            .await?;
        Ok(found.map_or(Reply::Absent, Reply::Key))
    }
}

/// The whole of a file that lies in its inode is its first block.
fn embedded(inode: &Inode, key: Key) -> FileBlock {
    if key == Key(0) { FileBlock::Embedded(inode.body) } else { FileBlock::Hole }
}

fn check_data(bref: &Blockref) -> Result<(), Corruption> {
    if bref.kind()? != BlockKind::Data {
        return Err(Corruption::BlockType(bref.kind_code()));
    }
    if bref.keybits() != KeyBits(FILE_BLOCK_BITS) {
        return Err(Corruption::DataSpan(bref.keybits().0));
    }
    Ok(())
}
