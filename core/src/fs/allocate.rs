//! Space for files without writing to it: what `fallocate` and `posix_fallocate` ask for.
//!
//! HAMMER2 never writes a block where it was, and stores no block that is all zero. So no space can be set aside for a file:
//! whether a later write finds room depends on what others write until then. [`Allocation::Reserve`] promises what can be
//! promised: it fails now if the range doesn't fit into the space that is free now. Ranges can't be moved within a file
//! (collapsing, inserting): there is no mode for that, and callers refuse it.

use super::inode_cache::InodeRef;
use super::room::Need;
use super::{Error, FileSystem};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{InodeFlags, MAX_FILE_BYTES};
use crate::media::{Inum, Key, KeyRange};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// What to do with a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Check for room to write it, as far as that can be said now.
    Reserve,
    /// Put zeros in place of its content.
    ZeroRange,
    /// Put zeros in place of its content, but never beyond the end of the file.
    PunchHole,
}

impl FileSystem {
    /// Does to a range of a file what `allocation` says. A range that ends beyond the end of the file makes the file longer,
    /// unless its size is to be kept.
    pub async fn allocate(
        &self,
        file: Inum,
        offset: u64,
        bytes: u64,
        allocation: Allocation,
        keep_size: bool,
    ) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let file = self.regular(file).await?;
        let end = offset.checked_add(bytes).filter(|end| *end <= MAX_FILE_BYTES);
        let end = match (allocation, end) {
            (Allocation::PunchHole, _) => offset.saturating_add(bytes),
            (_, Some(end)) => end,
            (_, None) => return Err(Error::FileTooLarge),
        };
        self.relieve().await?;
        let size = file.with(|record| record.meta.size());
        let grows = allocation != Allocation::PunchHole && !keep_size && end > size;
        if grows {
            self.admit_resize(&mut changing, &file, end).await?;
        }
        match allocation {
            Allocation::Reserve => {
                let missing = self.missing_bytes(&file, offset, end).await?;
                self.admit(&mut changing, Need::content(0, missing)).await?;
                self.admit_content(&file, missing).await?;
            }
            Allocation::ZeroRange | Allocation::PunchHole => {
                self.admit_small(&mut changing).await?;
                self.clear(&file, offset, end.min(size)).await?;
                self.writing()?.given_back.note_freed();
            }
        }
        if grows {
            self.resize(&file, end).await?;
        }
        let now = self.writing()?.now();
        file.change(|record| {
            record.meta.set_mtime(now);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Makes the whole blocks of a range of a file a hole, and zeros the rest of the range. The file keeps its length.
    pub async fn punch(&self, file: Inum, offset: u64, bytes: u64) -> Result<(), Error> {
        self.allocate(file, offset, bytes, Allocation::PunchHole, true).await
    }

    /// Bytes of the blocks of a range that exist neither in memory nor on the nodes.
    async fn missing_bytes(&self, file: &InodeRef<'_>, offset: u64, end: u64) -> Result<u64, Error> {
        let (mut at, end) = (offset - offset % BLOCK, end.next_multiple_of(BLOCK));
        if file.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA)) {
            return Ok(end - at);
        }
        self.write_pages(Some(file.inum)).await?;
        let mut missing = 0;
        while at < end {
            let range = KeyRange { first: Key(at), last: Key(end - 1) };
            let found = self.cluster.next_block(file.slot, range).await?.map_or(end, |key| key.0.max(at));
            missing += found - at;
            at = found + BLOCK;
        }
        Ok(missing)
    }

    /// Zeros `start..end`, which must lie within the file. The blocks at its ends come first: if they find no room, everything
    /// between stays.
    async fn clear(&self, file: &InodeRef<'_>, start: u64, end: u64) -> Result<(), Error> {
        if start >= end {
            return Ok(());
        }
        let size = file.with(|record| record.meta.size());
        let is_embedded = file.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA));
        // The block at the end of the file counts as whole if nothing of it remains.
        let reaches = if end == size && !is_embedded { end.next_multiple_of(BLOCK) } else { end };
        let (first, last) = (start.next_multiple_of(BLOCK), reaches - reaches % BLOCK);
        if self.is_scarce(2).await? {
            // After this, what is in memory is on media too, and may be dropped.
            self.write_pages(None).await?;
            self.clear_edges(file, (start, end), (first, last), true).await?;
        } else {
            self.clear_edges(file, (start, end), (first, last), false).await?;
        }
        if first < last {
            let range = KeyRange { first: Key(first), last: Key(last - 1) };
            self.drop_blocks(file, range).await?;
            self.files.forget_within(file.inum, range);
        }
        Ok(())
    }

    /// Zeros the parts of `start..end` outside the whole blocks from `first` to `last`, at once on the nodes if `at_once` says
    /// so.
    async fn clear_edges(
        &self,
        file: &InodeRef<'_>,
        (start, end): (u64, u64),
        (first, last): (u64, u64),
        at_once: bool,
    ) -> Result<(), Error> {
        let edges = match first < last {
            true => [(start, first), (last, end.max(last))],
            // The range lies within one block, or in the end of one and the start of the next.
            false => [(start, end.min(first)), (first.min(end), end)],
        };
        let size = file.with(|record| record.meta.size());
        for (start, end) in edges.into_iter().filter(|(start, end)| start < end) {
            let key = Key(start - start % BLOCK);
            let within = (start - key.0) as usize..(end - key.0) as usize;
            self.page_to_change(file, size, key, 0).await?;
            self.files.change(file.inum, key, |page| page[within].fill(0));
            if at_once {
                let written = self.write_page(file.inum, key, false).await;
                if written.is_err() {
                    self.files.take(file.inum, key);
                    return written;
                }
            } else {
                self.relieve().await?;
            }
        }
        Ok(())
    }
}
