//! File content: reading, links, holes.

use super::gate::{Reading, Still};
use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Command, FileBlock, Reply};
use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Compression, Corruption, FileKind, Inum, Key, KeyRange};
use crate::memory::aside;

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

impl FileSystem {
    /// Reads from `offset` into `out` and returns the number of bytes read, which is less than asked for only at the end of the
    /// file.
    pub async fn read(&self, file: Inum, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        let _reading = self.reading().await?;
        let file = self.inode(file).await?;
        let attributes = file.attributes()?;
        match attributes.kind {
            FileKind::Regular => self.read_content(&file, attributes.size, offset, out).await,
            FileKind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::NotRegular),
        }
    }

    /// Reads the target of a symbolic link into `out`, as far as it fits, and returns the target's whole length.
    pub async fn read_link(&self, link: Inum, out: &mut [u8]) -> Result<usize, Error> {
        let _reading = self.reading().await?;
        let link = self.inode(link).await?;
        let attributes = link.attributes()?;
        if attributes.kind != FileKind::Symlink {
            return Err(Error::NotASymlink);
        }
        self.read_content(&link, attributes.size, 0, out).await?;
        Ok(usize::try_from(attributes.size).unwrap_or(usize::MAX))
    }

    /// The first byte at or after `offset` that is not in a hole.
    pub async fn seek_data(&self, file: Inum, offset: u64) -> Result<u64, Error> {
        let _seeking = self.seek_gate(file).await?;
        let (file, size) = self.seekable(file, offset).await?;
        let range = KeyRange { first: Key(offset - offset % BLOCK), last: Key(size - 1) };
        match self.cluster.next_block(file.slot, range).await? {
            Some(key) => Ok(key.0.max(offset)),
            None => Err(Error::NoData),
        }
    }

    /// The first byte at or after `offset` that is in a hole; the end of the file counts as one.
    pub async fn seek_hole(&self, file: Inum, offset: u64) -> Result<u64, Error> {
        let _seeking = self.seek_gate(file).await?;
        let (file, size) = self.seekable(file, offset).await?;
        let mut at = offset - offset % BLOCK;
        while at < size {
            let range = KeyRange { first: Key(at), last: Key(size - 1) };
            if self.cluster.next_block(file.slot, range).await? != Some(Key(at)) {
                return Ok(at.max(offset));
            }
            at += BLOCK;
        }
        Ok(size)
    }

    /// Takes the turn for a seek. Content that is only in memory goes to the nodes first, as they know the holes.
    async fn seek_gate(&self, file: Inum) -> Result<Seeking<'_>, Error> {
        if self.writing.is_none() {
            return Ok(Seeking::Reading(self.reading().await?));
        }
        let still = self.resting().await?;
        self.write_pages(Some(file)).await?;
        Ok(Seeking::Still(still))
    }

    async fn seekable(&self, file: Inum, offset: u64) -> Result<(InodeRef<'_>, u64), Error> {
        let file = self.inode(file).await?;
        let attributes = file.attributes()?;
        match attributes.kind {
            FileKind::Regular if offset < attributes.size => Ok((file, attributes.size)),
            FileKind::Regular => Err(Error::NoData),
            FileKind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::NotRegular),
        }
    }

    async fn read_content(&self, file: &InodeRef<'_>, size: u64, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        let wanted = size.saturating_sub(offset).min(out.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        self.read_ahead(file, size, offset, wanted as u64).await?;
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let start = (at % BLOCK) as usize;
            if let Some(workers) = self.workers {
                let blocks = if start == 0 { self.most_together(wanted - done) } else { 0 };
                let together = &mut out[done..done + blocks * FILE_BLOCK_BYTES];
                // Without memory for it, the blocks are read one after the other.
                if blocks > 1
                    && let Ok(read) = aside(self.heap, || self.read_together(workers, file, Key(at), together))
                {
                    read.await?;
                    done += blocks * FILE_BLOCK_BYTES;
                    continue;
                }
            }
            let count = (FILE_BLOCK_BYTES - start).min(wanted - done);
            self.read_within_block(file, Key(at - at % BLOCK), start, &mut out[done..done + count]).await?;
            done += count;
        }
        Ok(wanted)
    }

    /// Requests the blocks that will be wanted, before the first of them is waited for.
    async fn read_ahead(&self, file: &InodeRef<'_>, size: u64, offset: u64, wanted: u64) -> Result<(), Error> {
        let Some(range) = file.plan_ahead(offset, wanted, size, self.read_ahead_bytes) else { return Ok(()) };
        self.cluster.execute(Command::Prefetch { file: file.slot, range }).await?;
        Ok(())
    }

    /// Reads `out.len()` bytes of one block, from its byte `start` on.
    pub(super) async fn read_within_block(
        &self,
        file: &InodeRef<'_>,
        key: Key,
        start: usize,
        out: &mut [u8],
    ) -> Result<(), Error> {
        loop {
            if self.files.copy_out(file.inum, key, start, out) {
                return Ok(());
            }
            let had_pieces = self.files.has_pieces(file.inum, key);
            let reply = self.cluster.execute(Command::ReadBlock { file: file.slot, key }).await?;
            if had_pieces && !self.files.has_pieces(file.inum, key) {
                // Meanwhile a commit has combined the pieces into a block, which is in memory or on the nodes now.
                continue;
            }
            return self.lay_out(file, key, reply, start, out);
        }
    }

    /// A part of a block from what the nodes have of it, and from the pieces of it that are in memory.
    pub(super) fn lay_out(
        &self,
        file: &InodeRef<'_>,
        key: Key,
        reply: Reply,
        start: usize,
        out: &mut [u8],
    ) -> Result<(), Error> {
        let mut whole = None;
        match reply {
            Reply::Block(FileBlock::Embedded(bytes)) => copy_padded(&bytes[..EMBEDDED_BYTES], start, out),
            Reply::Block(FileBlock::Stored { buffer, compression }) => {
                whole = self.decode(file, buffer, compression, start, out)?;
            }
            _ => out.fill(0),
        }
        self.files.lay_pieces_over(file.inum, key, start, out);
        whole.into_iter().for_each(|content| self.keep_page(file.inum, key, content));
        Ok(())
    }

    /// Decodes a part of a stored block, or the whole block if it is worth keeping.
    pub(super) fn decode(
        &self,
        file: &InodeRef<'_>,
        stored: Buffer,
        compression: Compression,
        start: usize,
        out: &mut [u8],
    ) -> Result<Option<Buffer>, Error> {
        let corrupt = |corruption: Corruption| Error::Corrupt { inum: file.inum, corruption };
        let whole = out.len() == FILE_BLOCK_BYTES;
        if compression == Compression::None {
            copy_padded(stored.bytes(), start, out);
            if !whole && stored.len() == FILE_BLOCK_BYTES {
                return Ok(Some(stored));
            }
            self.cluster.give_back(stored);
            return Ok(None);
        }
        let mut decompressor = self.decompressor.borrow_mut();
        if whole {
            let decoded = decompressor.decompress(compression, stored.bytes(), out).map_err(corrupt);
            self.cluster.give_back(stored);
            return decoded.map(|()| None);
        }
        let mut content = self.page_buffer(None)?;
        decompressor.decompress(compression, stored.bytes(), content.bytes_mut()).map_err(corrupt)?;
        out.copy_from_slice(&content.bytes()[start..start + out.len()]);
        Ok(Some(content))
    }

    /// Keeps a file block for the next reader. The memory of the page that it replaces serves for the next block.
    fn keep_page(&self, inum: Inum, key: Key, content: Buffer) {
        self.files.insert(inum, key, content);
        if let Some(spare) = self.files.take_spare() {
            self.cluster.give_back(spare);
        }
    }
}

/// The turn that a seek holds.
enum Seeking<'g> {
    Reading(#[expect(dead_code, reason = "held for its drop")] Reading<'g>),
    Still(#[expect(dead_code, reason = "held for its drop")] Still<'g>),
}

/// Copies from byte `start` of `bytes` on, with zeros after their end.
fn copy_padded(bytes: &[u8], start: usize, out: &mut [u8]) {
    let there = bytes.get(start..).unwrap_or(&[]);
    let count = there.len().min(out.len());
    out[..count].copy_from_slice(&there[..count]);
    out[count..].fill(0);
}
