//! File blocks as they will be stored: compressed if that saves space, with check codes (format 4.3 and 5.2).

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{GivenBlock, Modification, StoredBlock};
use crate::io::Buffer;
use crate::media::geometry::{FILE_BLOCK_BYTES, MIN_RADIX};
use crate::media::{CheckMethod, Compression, InodeMeta, Key, KeyRange, Methods, Radix, is_zero};
use crate::memory::{NoMemory, aside};

/// The stored form of a file block in memory.
pub(super) enum Encoded {
    /// The block isn't in memory any more.
    Gone,
    /// It is all zero: nothing is stored.
    Hole,
    /// It is stored as this block.
    Block(StoredBlock),
}

/// The result of compressing a file block.
enum Packed {
    Hole,
    Compressed(Buffer, Compression),
    /// Compression saves nothing: the bytes are stored unchanged.
    Plain,
}

impl Encoded {
    fn block(buffer: Buffer, compression: Compression, check: CheckMethod) -> Self {
        let field = check.compute(buffer.bytes());
        Self::Block(StoredBlock { buffer, methods: Methods::new(check, compression), check: field })
    }
}

/// The size of the block that stores this many bytes uncompressed.
pub(super) fn stored_radix(live: usize) -> Radix {
    Radix::holding(live).unwrap_or(Radix::MAX)
}

pub(super) fn check_of(meta: &InodeMeta) -> CheckMethod {
    CheckMethod::from_code(meta.check_algo & 0xf).unwrap_or(CheckMethod::XxHash64)
}

impl FileSystem {
    /// Encodes a file block in memory for storing. It stays in memory for readers, unless `give_up` is set.
    pub(super) fn encode(
        &self,
        inode: &InodeRef<'_>,
        meta: &InodeMeta,
        key: Key,
        give_up: bool,
    ) -> Result<Encoded, Error> {
        let live = (meta.size() - key.0).min(FILE_BLOCK_BYTES as u64) as usize;
        let plain = stored_radix(live);
        let encoded = self.files.look(inode.inum, key, |page| {
            let page = &page[..plain.bytes()];
            match self.pack(inode, meta, page)? {
                Packed::Plain if give_up && plain == Radix::MAX => Ok(None),
                packed => self.finish(meta, page, packed).map(Some),
            }
        });
        match encoded {
            None => Ok(Encoded::Gone),
            Some(Ok(Some(encoded))) => Ok(encoded),
            // The page itself becomes the block, without a copy.
            Some(Ok(None)) => {
                let page = self.files.take(inode.inum, key).ok_or(Error::NoMemory)?;
                Ok(Encoded::block(page, Compression::None, check_of(meta)))
            }
            Some(Err(error)) => Err(error),
        }
    }

    /// A whole file block that isn't in memory as it will be stored.
    pub(super) fn encode_whole(&self, inode: &InodeRef<'_>, meta: &InodeMeta, data: &[u8]) -> Result<Encoded, Error> {
        let packed = self.pack(inode, meta, data)?;
        self.finish(meta, data, packed)
    }

    /// Sends a whole file block that isn't in memory to the nodes without making it a page first.
    pub(super) async fn write_whole(&self, inode: &InodeRef<'_>, key: Key, data: &[u8]) -> Result<(), Error> {
        let meta = inode.with(|record| record.meta);
        let encoded = self.encode_whole(inode, &meta, data)?;
        self.write_encoded(inode, key, encoded, false).await
    }

    /// Sends an encoded file block to the nodes. If it was a page and no node took it, it becomes that page again.
    pub(super) async fn write_encoded(
        &self,
        inode: &InodeRef<'_>,
        key: Key,
        encoded: Encoded,
        was_page: bool,
    ) -> Result<(), Error> {
        let (file, range) = (inode.slot, KeyRange::only(key));
        let mut lent = match encoded {
            Encoded::Gone => return Ok(()),
            Encoded::Hole => return self.drop_blocks(inode, range).await,
            Encoded::Block(block) => Some(block),
        };
        let bytes = lent.as_ref().map_or(0, |block| block.buffer.len() as u64);
        let print = lent.as_ref().and_then(|block| self.print_of(block));
        let equal = match (&lent, print) {
            (Some(block), Some(print)) => aside(self.heap, || self.equal_block(inode, key, block, print))?.await,
            _ => None,
        };
        inode.note_blocks_changed();
        let written = match self.begin_count(inode, range).await {
            Ok(count) => {
                let write = match &equal {
                    Some(equal) => Modification::CloneBlocks(equal.shared_with(inode, key)),
                    None => Modification::WriteBlock { file, key, block: GivenBlock::Lent(&mut lent) },
                };
                let written = self.modify(write).await.map(drop);
                if written.is_ok() {
                    self.note_written(inode, key, print, equal.is_some(), bytes);
                }
                self.end_count(inode, count, bytes, &written).await;
                written
            }
            Err(error) => Err(error),
        };
        if let (Err(_), Some(block), true) = (&written, lent, was_page) {
            self.make_page_again(inode, key, block);
        }
        written
    }

    /// Keeps a block that was given up for writing but wasn't written. If its page is still there, the content is in that.
    fn make_page_again(&self, inode: &InodeRef<'_>, key: Key, block: StoredBlock) {
        let is_page = block.buffer.len() == FILE_BLOCK_BYTES && block.methods.compression() == Ok(Compression::None);
        if is_page {
            // If a node has taken the block, the node keeps it; a page has no other owner. There is room for it, left when it
            // went.
            let Ok(page) = block.buffer.into_own(self.heap) else { return };
            let kept = self.files.try_insert(inode.inum, key, page);
            debug_assert!(kept.is_ok(), "a page finds the room it left");
        }
    }

    /// Compresses a file block if that is worth trying: a block of the smallest size can't become smaller.
    fn pack(&self, inode: &InodeRef<'_>, meta: &InodeMeta, block: &[u8]) -> Result<Packed, Error> {
        let wished = Compression::from_code(meta.comp_algo & 0xf).unwrap_or(Compression::None);
        if wished != Compression::None && check_of(meta) != CheckMethod::None && is_zero(block) {
            return Ok(Packed::Hole);
        }
        if matches!(wished, Compression::None | Compression::AutoZero) || block.len() <= 1 << MIN_RADIX {
            return Ok(Packed::Plain);
        }
        let mut packed = Packed::Plain;
        if inode.tries_compression() {
            let mut compressor = self.writing()?.compressor().borrow_mut();
            if let Some((stored, radix)) = compressor.compress(wished, meta.comp_algo >> 4, block)? {
                let mut buffer = Buffer::new(self.heap, radix.bytes())?;
                buffer.bytes_mut().copy_from_slice(stored);
                packed = Packed::Compressed(buffer, wished);
            }
        }
        inode.note_compression(matches!(packed, Packed::Compressed(..)));
        Ok(packed)
    }

    /// Adds the check code to a block, and copies it if it isn't compressed.
    fn finish(&self, meta: &InodeMeta, block: &[u8], packed: Packed) -> Result<Encoded, Error> {
        let (buffer, compression) = match packed {
            Packed::Hole => return Ok(Encoded::Hole),
            Packed::Compressed(buffer, compression) => (buffer, compression),
            Packed::Plain => {
                let mut buffer = self.block_buffer(block.len())?;
                buffer.bytes_mut().copy_from_slice(block);
                (buffer, Compression::None)
            }
        };
        Ok(Encoded::block(buffer, compression, check_of(meta)))
    }

    fn block_buffer(&self, bytes: usize) -> Result<Buffer, NoMemory> {
        if bytes == FILE_BLOCK_BYTES { self.page_buffer(None) } else { Buffer::new(self.heap, bytes) }
    }
}
