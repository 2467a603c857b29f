//! Changing file content: writing, cutting, extending.

use super::gate::Changing;
use super::inode_cache::InodeRef;
use super::pieces::Pieces;
use super::quota::Manner;
use super::room::Need;
use super::{Error, FileSystem};
use crate::cluster::{Command, FileBlock, Modification, Reply};
use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags, MAX_FILE_BYTES};
use crate::media::{Compression, FileKind, Inum, Key, KeyRange};
use crate::memory::{NoMemory, aside};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

impl FileSystem {
    /// Writes `data` at `offset`, making the file longer if necessary.
    pub async fn write(&self, file: Inum, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let file = self.regular(file).await?;
        let end =
            offset.checked_add(data.len() as u64).filter(|end| *end <= MAX_FILE_BYTES).ok_or(Error::FileTooLarge)?;
        if data.is_empty() {
            return Ok(());
        }
        self.relieve().await?;
        self.admit(&mut changing, Need::content(offset, data.len() as u64)).await?;
        let size = file.with(|record| record.meta.size());
        if self.manner_of_write(&file, offset, data.len() as u64).await? == Manner::ByBlocks {
            let by_blocks = async || aside(self.heap, || self.write_by_blocks(&file, size, offset, data))?.await;
            self.in_room(&mut changing, by_blocks).await?;
        } else if self.is_scarce(data.len() as u64 / BLOCK + 3).await? {
            let through = async || aside(self.heap, || self.write_through(&file, size, offset, data))?.await;
            self.in_room(&mut changing, through).await?;
        } else {
            self.write_content(&file, size, offset, data).await?;
        }
        let now = self.writing()?.now();
        file.change(|record| {
            record.meta.set_size(record.meta.size().max(end));
            record.meta.set_mtime(now);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Cuts a file, or makes it longer with a hole.
    pub async fn truncate(&self, file: Inum, size: u64) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let file = self.regular(file).await?;
        if size > MAX_FILE_BYTES {
            return Err(Error::FileTooLarge);
        }
        self.relieve().await?;
        self.admit_resize(&mut changing, &file, size).await?;
        self.in_room(&mut changing, async || self.resize(&file, size).await).await?;
        let now = self.writing()?.now();
        file.change(|record| {
            record.meta.set_mtime(now);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Makes sure that a file can be cut or extended; cutting gives space back.
    pub(super) async fn admit_resize(
        &self,
        changing: &mut Changing<'_>,
        file: &InodeRef<'_>,
        size: u64,
    ) -> Result<(), Error> {
        match size > file.with(|record| record.meta.size()) {
            true => {
                self.admit(changing, Need::content(0, 0)).await?;
                self.admit_extension(file, size).await
            }
            false => self.admit_small(changing).await,
        }
    }

    pub(super) async fn resize(&self, file: &InodeRef<'_>, size: u64) -> Result<(), Error> {
        let old = file.with(|record| record.meta.size());
        if size == old {
            return Ok(());
        }
        let is_scarce = self.is_scarce(1).await?;
        if is_scarce {
            // After this, what is in memory is on media too, and may be dropped.
            self.write_pages(None).await?;
        }
        if size > old {
            self.extend(file, old, size, is_scarce).await
        } else {
            self.cut(file, old, size, is_scarce).await
        }
    }

    async fn extend(&self, file: &InodeRef<'_>, old: u64, size: u64, is_scarce: bool) -> Result<(), Error> {
        let was_embedded = file.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA));
        self.leave_inode(file, size).await?;
        self.clear_tail(file, old).await?;
        file.change(|record| record.meta.set_size(size));
        let key = Key(old - old % BLOCK);
        if !is_scarce || was_embedded {
            return Ok(());
        }
        let written = self.write_page(file.inum, key, false).await;
        if written.is_err() {
            self.files.take(file.inum, key);
            file.change(|record| record.meta.set_size(old));
        }
        written
    }

    async fn cut(&self, file: &InodeRef<'_>, old: u64, size: u64, is_scarce: bool) -> Result<(), Error> {
        let first = size.next_multiple_of(BLOCK);
        // The steps that may fail come first: then the file keeps its length, and what is in memory only.
        let (start, key) = ((size % BLOCK) as usize, Key(size - size % BLOCK));
        if start > 0 {
            self.page_to_change(file, old, key, 0).await?;
        }
        self.drop_blocks(file, KeyRange { first: Key(first), last: Key(MAX_FILE_BYTES) }).await?;
        self.writing()?.given_back.note_freed();
        self.files.forget(file.inum, Key(first));
        if start > 0 {
            self.files.change(file.inum, key, |page| page[start..].fill(0));
        }
        file.change(|record| record.meta.set_size(size));
        if start > 0 && is_scarce && self.write_page(file.inum, key, false).await.is_err() {
            // Without room the block stays as it is. Its content beyond the end means nothing (format 4.3).
            self.files.take(file.inum, key);
        }
        Ok(())
    }

    /// Zeros the part of a block on media beyond the end of the file, before it becomes part of the file (format 4.3).
    async fn clear_tail(&self, file: &InodeRef<'_>, size: u64) -> Result<(), Error> {
        let (start, key) = ((size % BLOCK) as usize, Key(size - size % BLOCK));
        // A file cut to zero bytes has no block, but its inode still holds the old content.
        let in_inode = size == 0 && file.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA));
        if start == 0 && !in_inode {
            return Ok(());
        }
        self.page_to_change(file, size, key, 0).await?;
        self.files.change(file.inum, key, |page| page[start..].fill(0));
        Ok(())
    }

    pub(super) async fn drop_blocks(&self, file: &InodeRef<'_>, range: KeyRange) -> Result<(), Error> {
        let count = self.begin_count(file, range).await?;
        file.note_blocks_changed();
        let done = self.modify(Modification::RemoveBlocks { file: file.slot, range }).await.map(drop);
        self.end_count(file, count, 0, &done).await;
        done
    }

    pub(super) async fn write_content(
        &self,
        file: &InodeRef<'_>,
        size: u64,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Error> {
        if offset > size {
            self.clear_tail(file, size).await?;
        }
        self.leave_inode(file, offset + data.len() as u64).await?;
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (start, key) = ((at % BLOCK) as usize, Key(at - at % BLOCK));
            let count = (FILE_BLOCK_BYTES - start).min(data.len() - done);
            // The whole old content is overwritten, so it needn't be read.
            let whole = start == 0 && (count == FILE_BLOCK_BYTES || at + count as u64 >= size);
            let piece = &data[done..done + count];
            if count == FILE_BLOCK_BYTES && !self.files.has(file.inum, key) {
                if let Some(workers) = self.workers {
                    let blocks = self.blocks_together(file, key, data.len() - done);
                    let together = &data[done..done + blocks * FILE_BLOCK_BYTES];
                    // Without memory for it, the blocks are written one after the other.
                    if blocks > 1
                        && let Ok(written) = aside(self.heap, || self.write_together(workers, file, key, together))
                    {
                        written.await?;
                        done += together.len();
                        continue;
                    }
                }
                self.write_whole(file, key, piece).await?;
                self.files.forget_pieces(file.inum, key);
            } else if at + count as u64 <= size && self.write_pieces(file, key, start, piece).await? {
                // The rest of the block is read when it is needed.
            } else {
                self.page_to_change(file, size, key, if whole { count } else { 0 }).await?;
                self.files.change(file.inum, key, |page| page[start..start + count].copy_from_slice(piece));
            }
            // What was written so far belongs to the file, even if the rest fails.
            file.change(|record| record.meta.set_size(record.meta.size().max(at + count as u64)));
            done += count;
            self.relieve().await?;
        }
        Ok(())
    }

    /// Keeps whole pieces of a block that isn't in memory, inside the file; false when they can't be kept on their own.
    async fn write_pieces(&self, file: &InodeRef<'_>, key: Key, start: usize, data: &[u8]) -> Result<bool, Error> {
        if !Pieces::is_whole(start, data.len()) || self.files.has(file.inum, key) {
            return Ok(false);
        }
        if self.files.put_pieces(file.inum, key, start, data) {
            return Ok(true);
        }
        let Some((inum, other)) = self.files.oldest_in_pieces() else { return Ok(false) };
        aside(self.heap, || self.write_block_of_pieces(inum, other, true))?.await?;
        // It may have been the same block.
        Ok(!self.files.has(file.inum, key) && self.files.put_pieces(file.inum, key, start, data))
    }

    /// Writes so that a lack of room is found now, not at a sync, which couldn't refuse it any more.
    async fn write_through(&self, file: &InodeRef<'_>, size: u64, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.write_pages(None).await?;
        let written = match self.write_content(file, size, offset, data).await {
            Ok(()) => self.write_pages(Some(file.inum)).await,
            failed => failed,
        };
        if written.is_err() {
            // Content that found no room is dropped. Content that just left the inode is small and stored nowhere else, so it
            // stays.
            self.files.forget(file.inum, Key(if size <= EMBEDDED_BYTES as u64 { BLOCK } else { 0 }));
            let first = Key(size.next_multiple_of(BLOCK));
            file.change(|record| record.meta.set_size(size));
            self.drop_blocks(file, KeyRange { first, last: Key(MAX_FILE_BYTES) }).await?;
        }
        written
    }

    /// Moves content from the inode to a block, before the file grows beyond what fits into the inode.
    pub(super) async fn leave_inode(&self, file: &InodeRef<'_>, end: u64) -> Result<(), Error> {
        let mut meta = file.with(|record| record.meta);
        if !meta.flags().contains(InodeFlags::DIRECTDATA) || end <= EMBEDDED_BYTES as u64 {
            return Ok(());
        }
        if meta.size() > 0 {
            self.page_to_change(file, meta.size(), Key(0), 0).await?;
            self.files.change(file.inum, Key(0), |_| {});
        }
        meta.set_flags(meta.flags() - InodeFlags::DIRECTDATA);
        self.modify(Modification::WriteInode { slot: file.slot, meta: &meta, content: None }).await?;
        file.change(|record| record.meta.set_flags(meta.flags()));
        Ok(())
    }

    /// Brings a file block into memory. It isn't read if it begins with `overwritten` bytes to be overwritten, because then none
    /// of its old content stays. The block's content beyond the end of the file means nothing: extending a file
    /// [clears](Self::clear_tail) it.
    pub(super) async fn page_to_change(
        &self,
        file: &InodeRef<'_>,
        size: u64,
        key: Key,
        overwritten: usize,
    ) -> Result<(), Error> {
        if self.files.has(file.inum, key) {
            return Ok(());
        }
        let mut content = self.page_buffer(self.files.take_spare())?;
        if overwritten == 0 && key.0 < size {
            content = self.load(file, key, content).await?;
        } else if overwritten == 0 {
            content.bytes_mut().fill(0);
        }
        self.relieve().await?;
        self.files.try_insert(file.inum, key, content).map_err(|_| Error::NoMemory)
    }

    /// A buffer for a file block: `spare`, or that of a block that went to the nodes, if there is any. Its content means nothing.
    pub(super) fn page_buffer(&self, spare: Option<Buffer>) -> Result<Buffer, NoMemory> {
        let spare = spare.or_else(|| self.cluster.spare_buffer());
        spare.map_or_else(|| Buffer::new(self.heap, FILE_BLOCK_BYTES), Ok)
    }

    /// A file block as the nodes have it, in `page` or in another buffer.
    async fn load(&self, file: &InodeRef<'_>, key: Key, mut page: Buffer) -> Result<Buffer, Error> {
        let reply = self.cluster.execute(Command::ReadBlock { file: file.slot, key }).await?;
        let content = page.bytes_mut();
        match reply {
            Reply::Block(FileBlock::Stored { buffer, compression: Compression::None })
                if buffer.len() == FILE_BLOCK_BYTES =>
            {
                self.cluster.give_back(page);
                return Ok(buffer);
            }
            Reply::Block(FileBlock::Stored { buffer, compression }) => {
                let mut decompressor = self.decompressor.borrow_mut();
                let decoded = decompressor.decompress(compression, buffer.bytes(), content);
                decoded.map_err(|corruption| Error::Corrupt { inum: file.inum, corruption })?;
            }
            Reply::Block(FileBlock::Embedded(bytes)) => {
                content[..bytes.len()].copy_from_slice(&bytes[..]);
                content[bytes.len()..].fill(0);
            }
            _ => content.fill(0),
        }
        Ok(page)
    }

    /// A regular file that may be written.
    pub(super) async fn regular(&self, file: Inum) -> Result<InodeRef<'_>, Error> {
        self.writing()?;
        let file = self.inode(file).await?;
        match file.attributes()?.kind {
            FileKind::Regular => Ok(file),
            FileKind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::NotRegular),
        }
    }
}
