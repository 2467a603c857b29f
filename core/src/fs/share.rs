//! Files that share blocks: a range of one is made what a range of another is, and nothing is read or written for it but
//! metadata (format 9.5).
//!
//! Only whole blocks can be shared, and only between offsets that are the same distance from the start of a block. What is left
//! at the ends is copied, and so is everything where the distances differ, or a block has no check code: such a block may be
//! written where it is by others (format 4.6), and both files would change.

use super::inode_cache::InodeRef;
use super::room::Need;
use super::{Error, FileSystem};
use crate::cluster::{Modification, Sharing};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags, MAX_FILE_BYTES};
use crate::media::{CheckMethod, FileKind, Inum, Key, KeyRange};
use crate::memory::aside;

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// As much is shared at a time, while nobody else changes or reads anything.
const SHARED_AT_ONCE: u64 = 1 << 30;

/// As much is copied by a call, at most: who wants more calls again.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// A range of one file that is to be what a range of another is.
#[derive(Clone, Copy, Debug)]
struct Part {
    offset: u64,
    to_offset: u64,
    bytes: u64,
}

impl Part {
    fn without_first(self, bytes: u64) -> Self {
        Self { offset: self.offset + bytes, to_offset: self.to_offset + bytes, bytes: self.bytes - bytes }
    }

    fn first(self, bytes: u64) -> Self {
        Self { bytes: self.bytes.min(bytes), ..self }
    }

    fn is_congruent(self) -> bool {
        self.offset % BLOCK == self.to_offset % BLOCK
    }

    /// Checks that the target isn't too large with it, and that ranges of the same file have nothing in common.
    fn check(self, is_one_file: bool) -> Result<(), Error> {
        match self.to_offset.checked_add(self.bytes) {
            Some(end) if end <= MAX_FILE_BYTES => {}
            _ => return Err(Error::FileTooLarge),
        }
        let overlap = is_one_file && self.offset.abs_diff(self.to_offset) < self.bytes;
        if overlap { Err(Error::Overlap) } else { Ok(()) }
    }
}

impl FileSystem {
    /// Gives a range of a file what a range of another holds, or another range of the same: by sharing blocks as far as that
    /// goes, by copying what is left. How many bytes that are: fewer than asked for at the end of the source, or if much must
    /// be copied; none only at the end of the source. Call again for the rest. Ranges of the same file that overlap are refused.
    pub async fn clone_range(
        &self,
        from: Inum,
        offset: u64,
        to: Inum,
        to_offset: u64,
        bytes: u64,
    ) -> Result<u64, Error> {
        self.writing()?;
        let (source, target) = (self.attributes(from).await?, self.attributes(to).await?);
        match [source.kind, target.kind] {
            [FileKind::Regular, FileKind::Regular] => {}
            [FileKind::Directory, _] | [_, FileKind::Directory] => return Err(Error::IsADirectory),
            _ => return Err(Error::NotRegular),
        }
        let size = source.size;
        let whole = Part { offset, to_offset, bytes: bytes.min(size.saturating_sub(offset)) };
        whole.check(from == to)?;
        let mut left = whole;
        while left.bytes > 0 {
            let head = (left.offset.next_multiple_of(BLOCK) - left.offset).min(left.bytes);
            let copied = left.first(if left.is_congruent() && head > 0 { head } else { COPIED_AT_ONCE });
            let step = async {
                let shared = match left.is_congruent() && head == 0 {
                    true => self.clone_blocks(from, left.offset, to, left.to_offset, left.bytes).await?,
                    false => 0,
                };
                if shared > 0 { Ok((shared, true)) } else { Ok((self.copy_content(from, to, copied).await?, head > 0)) }
            };
            let (done, goes_on) = match step.await {
                Ok(done) => done,
                Err(error) if left.bytes == whole.bytes => return Err(error),
                // Who is told of a part asks for the rest, and is told then.
                Err(_) => break,
            };
            left = left.without_first(done);
            // The source may have been cut meanwhile.
            if done == 0 || !goes_on || !left.is_congruent() {
                break;
            }
        }
        Ok(whole.bytes - left.bytes)
    }

    /// Copies what a range holds, block by block.
    async fn copy_content(&self, from: Inum, to: Inum, part: Part) -> Result<u64, Error> {
        let mut content = self.page_buffer(None)?;
        let mut left = part;
        while left.bytes > 0 {
            let count = left.bytes.min(BLOCK - left.to_offset % BLOCK) as usize;
            let count = self.read(from, left.offset, &mut content.bytes_mut()[..count]).await?;
            if count == 0 {
                break;
            }
            self.write(to, left.to_offset, &content.bytes()[..count]).await?;
            left = left.without_first(count as u64);
        }
        self.cluster.give_back(content);
        Ok(part.bytes - left.bytes)
    }

    /// Shares the whole blocks that a range begins with, as many as are shared at once, in one step; how many bytes of the range
    /// that are: none if nothing can be shared. Both offsets are those of blocks. The block that the end of the source goes
    /// through counts as one if the target ends there, too. Ranges of the same file that overlap are refused.
    pub async fn clone_blocks(
        &self,
        from: Inum,
        offset: u64,
        to: Inum,
        to_offset: u64,
        bytes: u64,
    ) -> Result<u64, Error> {
        let part = Part { offset, to_offset, bytes };
        part.check(from == to)?;
        match offset.is_multiple_of(BLOCK) && to_offset.is_multiple_of(BLOCK) {
            true => aside(self.heap, || self.share_blocks(from, to, part))?.await,
            false => Ok(0),
        }
    }

    async fn share_blocks(&self, from: Inum, to: Inum, part: Part) -> Result<u64, Error> {
        let mut changing = self.changing().await?;
        let (source, target) = (self.regular(from).await?, self.regular(to).await?);
        let (size, old) = (size_of_file(&source), size_of_file(&target));
        let bytes = part.bytes.min(size.saturating_sub(part.offset)).min(SHARED_AT_ONCE);
        let end = part.to_offset + bytes;
        let ends_both = part.offset + bytes == size && end >= old;
        let bytes = if ends_both { bytes } else { bytes - bytes % BLOCK };
        // What fits into the target's inode is copied there.
        let is_small = part.to_offset + bytes <= EMBEDDED_BYTES as u64;
        if bytes == 0 || is_small || source.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA)) {
            return Ok(0);
        }
        self.relieve().await?;
        self.write_pages(Some(from)).await?;
        let last = |offset: u64| Key((offset + bytes).next_multiple_of(BLOCK) - 1);
        let range = KeyRange { first: Key(part.offset), last: last(part.offset) };
        let target_range = KeyRange { first: Key(part.to_offset), last: last(part.to_offset) };
        let Some(stored) = self.shareable_bytes(&source, range).await? else { return Ok(0) };
        self.admit(&mut changing, Need::shared(bytes)).await?;
        self.admit_replacing(&target, target_range, stored).await?;
        if part.to_offset > old {
            self.admit_extension(&target, part.to_offset).await?;
            self.resize(&target, part.to_offset).await?;
        }
        self.leave_inode(&target, part.to_offset + bytes).await?;
        // What is in memory of the target's blocks is what they were: the nodes have it if sharing fails half-way.
        self.write_pages(Some(to)).await?;
        target.note_blocks_changed();
        let count = self.begin_count(&target, target_range).await?;
        let sharing = Sharing { from: source.slot, range, to: target.slot, first: Key(part.to_offset) };
        let done = self.modify(Modification::CloneBlocks(sharing)).await.map(drop);
        self.files.forget_within(to, target_range);
        self.end_count(&target, count, stored, &done).await;
        done?;
        self.writing()?.given_back.note_freed();
        let now = self.writing()?.now();
        target.change(|record| {
            record.meta.set_size(record.meta.size().max(part.to_offset + bytes));
            record.meta.set_mtime(now);
            record.meta.set_ctime(now);
        });
        Ok(bytes)
    }

    /// What is stored of a range of a file; none if there are blocks among them that can't be shared.
    async fn shareable_bytes(&self, file: &InodeRef<'_>, range: KeyRange) -> Result<Option<u64>, Error> {
        let (mut bytes, mut is_shareable) = (0u64, true);
        let each = self.each_leaf(file.slot, range, |leaf| {
            is_shareable &= !matches!(leaf.methods.check(), Ok(CheckMethod::None | CheckMethod::Disabled) | Err(_));
            bytes = bytes.saturating_add(leaf.bytes as u64);
        });
        each.await?;
        Ok(is_shareable.then_some(bytes))
    }
}

fn size_of_file(file: &InodeRef<'_>) -> u64 {
    file.with(|record| record.meta.size())
}
