//! The content of a file, block by block (format 4.3).

use super::{Gap, Rescue, Step, Walk, is_checked};
use crate::io::{Buffer, ReadError};
use crate::media::geometry::{FILE_BLOCK_BITS, FILE_BLOCK_BYTES};
use crate::media::{BlockKind, Blockref, Corruption, KeyBits};
use crate::memory::NoMemory;

/// A part of a file. What no piece covers is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the file: the first `bytes` of the buffer.
    Data {
        /// Where they are in the file.
        offset: u64,
        /// How many there are.
        bytes: usize,
        /// True when they were compared with a check code.
        is_checked: bool,
    },
    /// There was something here, but it can't be read.
    Missing(Gap),
}

impl Rescue {
    /// A buffer for [`next_piece`](Self::next_piece).
    pub fn piece_buffer(&self) -> Result<Buffer, NoMemory> {
        Buffer::new(self.heap, FILE_BLOCK_BYTES)
    }

    /// The next piece of a file of `size` bytes; `walk` must go over its keys up to that size. None at the end.
    pub async fn next_piece(&self, walk: &mut Walk, size: u64, buffer: &mut Buffer) -> Result<Option<Piece>, NoMemory> {
        let leaf = match walk.next(self).await? {
            None => return Ok(None),
            Some(Step::Gap(gap)) => return Ok(Some(Piece::Missing(gap))),
            Some(Step::Leaf(leaf)) => leaf,
        };
        match self.read_data(&leaf, buffer).await {
            Ok(()) => {
                let offset = leaf.key().0;
                let bytes = size.saturating_sub(offset).min(FILE_BLOCK_BYTES as u64) as usize;
                Ok(Some(Piece::Data { offset, bytes, is_checked: is_checked(&leaf) }))
            }
            Err(ReadError::NoMemory) => Err(NoMemory),
            Err(error) => {
                let mut keys = leaf.span().unwrap_or(crate::media::KeyRange::only(leaf.key()));
                keys.last = keys.last.min(crate::media::Key(size.saturating_sub(1)));
                Ok(Some(Piece::Missing(Gap { keys, block: leaf.name(), error })))
            }
        }
    }

    async fn read_data(&self, leaf: &Blockref, buffer: &mut Buffer) -> Result<(), ReadError> {
        if !leaf.is(BlockKind::Data) {
            return Err(Corruption::BlockType(leaf.kind_code()).into());
        }
        if leaf.keybits() != KeyBits(FILE_BLOCK_BITS) {
            return Err(Corruption::DataSpan(leaf.keybits().0).into());
        }
        let compression = leaf.methods.compression()?;
        let block = self.blocks.load(leaf).await?;
        let bytes = block.bytes();
        Ok(self.decompressor.borrow_mut().decompress(compression, &bytes, buffer.bytes_mut())?)
    }
}
