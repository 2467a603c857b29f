//! Quotas: limits for the files below a directory (format 14).
//!
//! A directory with a limit records what is used: the bytes and inodes of everything below it. An inode is below the directories
//! that its `iparent` leads up to. It counts 1 KiB for itself, and its content as it is stored: that is the same on every node,
//! unlike the blocks that lead to the content. Files without a name count nowhere.
//!
//! What the nodes have been sent is counted as it is; content that is only in memory counts as if it couldn't be compressed. If
//! that exceeds a limit, the content is sent to the nodes first, and the operation is done block by block.

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Element, Elements};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, INODE_BYTES, InodeFlags, MAX_QUOTA_DEPTH};
use crate::media::{BlockKind, FileKind, InodeMeta, Inum, Key, KeyRange, Radix};
use crate::memory::{self, Vec};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// What is below a directory, or may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes of content as it is stored, and 1 KiB for each inode.
    pub bytes: u64,
    /// Inodes, the directory itself left out.
    pub inodes: u64,
}

/// The limits of a directory, and what is used of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The directory.
    pub directory: Inum,
    /// What may be used; 0 is no limit.
    pub limit: Amount,
    /// What is used.
    pub used: Amount,
}

impl Amount {
    /// An inode by itself.
    pub(super) const INODE: Self = Self { bytes: INODE_BYTES as u64, inodes: 1 };

    /// An inode with `bytes` bytes of content.
    fn inode_with(bytes: u64) -> Self {
        Self { bytes: bytes.saturating_add(Self::INODE.bytes), inodes: 1 }
    }

    fn content(bytes: u64) -> Self {
        Self { bytes, inodes: 0 }
    }

    /// The sum of both.
    pub fn with(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes.saturating_add(other.inodes) }
    }

    fn without(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(other.bytes), inodes: self.inodes.saturating_sub(other.inodes) }
    }

    /// What is below a directory, according to its inode.
    pub fn used_of(meta: &InodeMeta) -> Self {
        Self { bytes: meta.subtree_bytes(), inodes: meta.subtree_inodes().saturating_sub(1) }
    }

    /// The limits of a directory, according to its inode.
    pub fn limit_of(meta: &InodeMeta) -> Self {
        Self { bytes: meta.data_quota(), inodes: meta.inode_quota() }
    }
}

/// Notes in a directory's inode what is below it.
fn set_used(meta: &mut InodeMeta, used: Amount) {
    meta.set_subtree_bytes(used.bytes);
    meta.set_subtree_inodes(used.inodes.saturating_add(1));
}

/// The directories in whose limits a file counts. They stay in memory, so that counting can't fail.
pub(super) struct Holders<'f>(Vec<InodeRef<'f>>);

impl Holders<'_> {
    pub(super) fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// The nearest directory.
    fn first(&self) -> Option<Inum> {
        self.0.first().map(|directory| directory.inum)
    }

    pub(super) fn are_those_of(&self, other: &Self) -> bool {
        self.0.iter().map(|directory| directory.inum).eq(other.0.iter().map(|directory| directory.inum))
    }

    /// Counts what is added and what is removed.
    pub(super) fn count(&self, added: Amount, removed: Amount) {
        if added == removed {
            return;
        }
        for directory in &self.0 {
            directory.change(|record| {
                let used = Amount::used_of(&record.meta).with(added).without(removed);
                set_used(&mut record.meta, used);
            });
        }
    }

    /// Keeps room for writing their inodes.
    fn will_change(&self) {
        self.0.iter().for_each(|directory| directory.change(|_| {}));
    }

    /// The nearest of these directories, apart from those in `except`, that has no room for `more`.
    fn full(&self, more: Amount, except: &Self) -> Option<Inum> {
        let is_full = |directory: &&InodeRef<'_>| {
            let (limit, used) =
                directory.with(|record| (Amount::limit_of(&record.meta), Amount::used_of(&record.meta)));
            let wanted = used.with(more);
            let is_over = |wanted: u64, limit: u64, more: u64| more > 0 && limit > 0 && wanted > limit;
            is_over(wanted.bytes, limit.bytes, more.bytes) || is_over(wanted.inodes, limit.inodes, more.inodes)
        };
        let others = self.0.iter().filter(|directory| except.0.iter().all(|other| other.inum != directory.inum));
        others.filter(|directory| is_full(directory)).map(|directory| directory.inum).next()
    }

    fn check(&self, more: Amount) -> Result<(), Error> {
        self.full(more, &Holders(Vec::new_in(*self.0.allocator())))
            .map_or(Ok(()), |directory| Err(Error::OverQuota(directory)))
    }
}

/// The way in which a write may be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As a whole: there is room for all of it.
    Whole,
    /// Block by block, as each finds room: there may be room for all of it.
    ByBlocks,
}

impl FileSystem {
    /// True when a directory of the PFS may have limits.
    pub(super) fn keeps_quotas(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.keeps_quotas.get())
    }

    /// The directories with limits from `directory` upwards.
    async fn quotas_above(&self, directory: Inum) -> Result<Holders<'_>, Error> {
        let mut found = Vec::new_in(self.heap);
        let mut at = directory;
        for _ in 0..MAX_QUOTA_DEPTH {
            let directory = match self.inode(at).await {
                // If a parent is missing or unreadable, the directories above it are unknown.
                Err(Error::NotFound | Error::Io(_) | Error::Corrupt { .. }) => break,
                other => other?,
            };
            let (has_quota, parent) = directory.with(|record| (record.meta.has_quota(), record.meta.iparent()));
            if has_quota {
                memory::push(&mut found, directory)?;
            }
            if at == Inum::PFS_ROOT || parent == at {
                break;
            }
            at = parent;
        }
        Ok(Holders(found))
    }

    /// The directories in whose limits the content of a directory counts.
    pub(super) async fn holders(&self, directory: Inum) -> Result<Holders<'_>, Error> {
        match self.keeps_quotas() {
            true => self.quotas_above(directory).await,
            false => Ok(Holders(Vec::new_in(self.heap))),
        }
    }

    /// The directories in whose limits a file counts.
    pub(super) async fn holders_of(&self, file: &InodeRef<'_>) -> Result<Holders<'_>, Error> {
        let (links, parent) = file.with(|record| (record.meta.nlinks(), record.meta.iparent()));
        match links > 0 && file.inum != Inum::PFS_ROOT && self.keeps_quotas() {
            true => self.quotas_above(parent).await,
            false => Ok(Holders(Vec::new_in(self.heap))),
        }
    }

    /// Counts what the blocks of a file take in a range before they are changed; none when no limit is concerned.
    pub(super) async fn begin_count(&self, file: &InodeRef<'_>, range: KeyRange) -> Result<Option<Count<'_>>, Error> {
        let holders = self.holders_of(file).await?;
        if holders.none() {
            return Ok(None);
        }
        let before = self.content_bytes(file, range).await?;
        Ok(Some(Count { holders, range, before }))
    }

    /// Counts the change since then: if the work succeeded, the blocks take `after` bytes now.
    pub(super) async fn end_count(
        &self,
        file: &InodeRef<'_>,
        count: Option<Count<'_>>,
        after: u64,
        done: &Result<(), Error>,
    ) {
        let Some(Count { holders, range, before }) = count else { return };
        let after = match done {
            Ok(()) => after,
            // A part of the work may be done.
            Err(_) => self.content_bytes(file, range).await.unwrap_or(before),
        };
        holders.count(Amount::content(after), Amount::content(before));
    }

    /// Makes sure that limits leave room for an inode below a directory; returns the directories it will count in.
    pub(super) async fn admit_inode(&self, directory: Inum) -> Result<Holders<'_>, Error> {
        let holders = self.holders(directory).await?;
        self.admit_amount(&holders, Amount::INODE).await?;
        Ok(holders)
    }

    /// Makes sure that limits leave room for `more`.
    async fn admit_amount(&self, holders: &Holders<'_>, more: Amount) -> Result<(), Error> {
        if holders.none() {
            return Ok(());
        }
        holders.will_change();
        let unstored = Amount::content(self.files.dirty_count() as u64 * BLOCK);
        if holders.check(more.with(unstored)).is_ok() {
            return Ok(());
        }
        self.write_pages(None).await?;
        holders.check(more)
    }

    /// Makes sure that limits leave room for content, as `fallocate` asks.
    pub(super) async fn admit_content(&self, file: &InodeRef<'_>, bytes: u64) -> Result<(), Error> {
        let holders = self.holders_of(file).await?;
        self.admit_amount(&holders, Amount::content(bytes)).await
    }

    /// Makes sure that limits leave room for content of `after` bytes in place of what is stored in a range.
    pub(super) async fn admit_replacing(&self, file: &InodeRef<'_>, range: KeyRange, after: u64) -> Result<(), Error> {
        let Some(Count { holders, before, .. }) = self.begin_count(file, range).await? else { return Ok(()) };
        self.admit_amount(&holders, Amount::content(after.saturating_sub(before))).await
    }

    /// Finds out whether limits leave room for a write however badly its content compresses.
    pub(super) async fn manner_of_write(&self, file: &InodeRef<'_>, offset: u64, bytes: u64) -> Result<Manner, Error> {
        let holders = self.holders_of(file).await?;
        if holders.none() {
            return Ok(Manner::Whole);
        }
        holders.will_change();
        // The blocks themselves, the one at the end of the file, and the one that leaves the inode.
        let blocks = (offset % BLOCK + bytes).div_ceil(BLOCK) + 2 + self.files.dirty_count() as u64;
        match holders.check(Amount::content(blocks * BLOCK)) {
            Ok(()) => Ok(Manner::Whole),
            Err(_) => Ok(Manner::ByBlocks),
        }
    }

    /// Writes block by block, each when limits leave room for it. If one finds no room, what was written before it stays only as
    /// far as it doesn't make the file longer.
    pub(super) async fn write_by_blocks(
        &self,
        file: &InodeRef<'_>,
        size: u64,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Error> {
        let holders = self.holders_of(file).await?;
        self.write_pages(None).await?;
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let count = ((BLOCK - at % BLOCK) as usize).min(data.len() - done);
            let written = async {
                let now = file.with(|record| record.meta.size());
                let more = self.growth(file, now, at, count as u64).await?;
                holders.check(Amount::content(more))?;
                self.write_content(file, now, at, &data[done..done + count]).await?;
                self.write_pages(Some(file.inum)).await
            };
            if let Err(error) = written.await {
                let now = file.with(|record| record.meta.size());
                if now > size {
                    self.resize(file, size).await?;
                }
                return Err(error);
            }
            done += count;
        }
        Ok(())
    }

    /// What a file may take in addition after a write within one block, or, with no bytes, after being extended to `at`.
    pub(super) async fn growth(&self, file: &InodeRef<'_>, size: u64, at: u64, bytes: u64) -> Result<u64, Error> {
        let (end, key) = (size.max(at + bytes), at - at % BLOCK);
        let is_embedded = file.with(|record| record.meta.flags().contains(InodeFlags::DIRECTDATA));
        if is_embedded && end <= EMBEDDED_BYTES as u64 {
            return Ok(0);
        }
        let most = |key: u64| {
            let live = end.saturating_sub(key).min(BLOCK) as usize;
            Radix::holding(live).unwrap_or(Radix::MAX).bytes() as u64
        };
        let mut more = 0u64;
        if bytes > 0 {
            let stored = self.content_bytes(file, KeyRange::only(Key(key))).await?;
            more += most(key).saturating_sub(stored);
        }
        // This includes the block at the former end of the file: zeros follow in it.
        let last = size - size % BLOCK;
        if end > size && size > last && (last != key || bytes == 0) {
            let stored = self.content_bytes(file, KeyRange::only(Key(last))).await?;
            more += most(last).saturating_sub(stored);
        }
        Ok(more)
    }

    /// Makes sure that limits leave room for extending a file with a hole.
    pub(super) async fn admit_extension(&self, file: &InodeRef<'_>, size: u64) -> Result<(), Error> {
        let holders = self.holders_of(file).await?;
        if holders.none() {
            return Ok(());
        }
        let old = file.with(|record| record.meta.size());
        let more = self.growth(file, old, size, 0).await?;
        self.admit_amount(&holders, Amount::content(more)).await
    }

    /// Takes an inode out of the limits it counted in, once `work` has removed it or its last name.
    pub(super) async fn uncounting<T>(
        &self,
        file: &InodeRef<'_>,
        work: impl AsyncFnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let holders = self.holders_of(file).await?;
        if holders.none() {
            return work().await;
        }
        let own = self.amount_of(file).await?;
        let done = work().await?;
        holders.count(Amount::default(), own);
        Ok(done)
    }

    /// An inode with its content; for a directory with limits, also everything it says is below it.
    async fn amount_of(&self, file: &InodeRef<'_>) -> Result<Amount, Error> {
        let below = file.with(|record| match record.meta.has_quota() {
            true => Amount::used_of(&record.meta),
            false => Amount::default(),
        });
        let bytes = match self.content_bytes(file, KeyRange::ALL).await {
            // Damage doesn't prevent removal; what it hides counts until the next recount.
            Err(Error::Io(_) | Error::Corrupt { .. }) => 0,
            counted => counted?,
        };
        Ok(Amount::inode_with(bytes).with(below))
    }

    /// The directory in which a file still counts when it loses its name in `directory` and keeps others: the limits stay the
    /// same.
    pub(super) async fn parent_without(&self, file: &InodeRef<'_>, directory: Inum) -> Result<Option<Inum>, Error> {
        if file.with(|record| record.meta.iparent()) != directory {
            return Ok(None);
        }
        Ok(self.holders_of(file).await?.first())
    }

    /// Makes sure that a file which keeps its other names counts in the same limits when it gets a name in a directory.
    pub(super) async fn admit_link(&self, file: &InodeRef<'_>, directory: Inum) -> Result<(), Error> {
        let (old, new) = (self.holders_of(file).await?, self.holders(directory).await?);
        if old.are_those_of(&new) { Ok(()) } else { Err(Error::OtherQuota) }
    }

    /// Makes sure that limits allow moving a file to another directory; returns what is to be counted after the move.
    pub(super) async fn admit_move(&self, file: &InodeRef<'_>, to: Inum) -> Result<Option<Move<'_>>, Error> {
        let (old, new) = (self.holders_of(file).await?, self.holders(to).await?);
        if old.are_those_of(&new) {
            return Ok(None);
        }
        let (kind, links, has_quota) =
            file.with(|record| (record.meta.kind(), record.meta.nlinks(), record.meta.has_quota()));
        // What is below a directory without limits isn't known.
        let is_known = match kind {
            Ok(FileKind::Directory) => has_quota || self.check_empty(file.inum).await.is_ok(),
            _ => links <= 1,
        };
        if !is_known {
            return Err(Error::OtherQuota);
        }
        self.write_pages(Some(file.inum)).await?;
        let amount = self.amount_of(file).await?;
        old.will_change();
        new.will_change();
        if new.full(amount, &old).is_some() {
            self.write_pages(None).await?;
        }
        match new.full(amount, &old) {
            Some(directory) => Err(Error::OverQuota(directory)),
            None => Ok(Some(Move { old, new, amount })),
        }
    }

    /// The limits of the directory and those above it, and what is used of them; the nearest first.
    pub async fn quotas(&self, directory: Inum) -> Result<Vec<Quota>, Error> {
        let _changing = self.settled().await?;
        if self.keeps_quotas() {
            // Content that can't be sent to the nodes now isn't counted yet.
            let _ = self.write_pages(None).await;
        }
        let holders = self.quotas_above(directory).await?;
        let mut quotas = Vec::new_in(self.heap);
        for holder in &holders.0 {
            let (limit, used) = holder.with(|record| (Amount::limit_of(&record.meta), Amount::used_of(&record.meta)));
            memory::push(&mut quotas, Quota { directory: holder.inum, limit, used })?;
        }
        Ok(quotas)
    }

    /// Sets the limits of a directory; 0 means no limit, and none leaves a limit as it is. What is used is counted anew, which
    /// reads every inode of the PFS.
    pub async fn set_quota(&self, directory: Inum, bytes: Option<u64>, inodes: Option<u64>) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let writing = self.writing()?;
        self.relieve().await?;
        self.admit_small(&mut changing).await?;
        // This is still subject to the old limits.
        self.write_pages(None).await?;
        let directory = self.directory(directory).await?;
        let old = directory.with(|record| record.meta);
        let now = writing.now();
        directory.change(|record| {
            bytes.into_iter().for_each(|bytes| record.meta.set_data_quota(bytes));
            inodes.into_iter().for_each(|inodes| record.meta.set_inode_quota(inodes));
            record.meta.set_subtree_bytes(0);
            record.meta.set_subtree_inodes(0);
        });
        let counted = self.recount_inside().await;
        directory.change(|record| match counted {
            Ok(_) => record.meta.set_ctime(now),
            Err(_) => {
                record.meta.set_data_quota(old.data_quota());
                record.meta.set_inode_quota(old.inode_quota());
                record.meta.set_subtree_bytes(old.subtree_bytes());
                record.meta.set_subtree_inodes(old.subtree_inodes());
            }
        });
        counted.map(drop)
    }

    /// Counts anew what is used of all limits; returns how many directories had wrong counts.
    pub async fn recount_quotas(&self) -> Result<u64, Error> {
        let mut changing = self.changing().await?;
        self.admit_small(&mut changing).await?;
        self.recount_inside().await
    }

    async fn recount_inside(&self) -> Result<u64, Error> {
        self.write_pages(None).await?;
        let counted = self.count_all().await?;
        let writing = self.writing()?;
        // No count is written before all are known.
        let mut wrong = 0;
        for (inum, used) in &counted {
            let directory = self.inode(*inum).await?;
            let is_kept = directory.with(|record| record.meta.subtree_inodes() > 0);
            if !is_kept || directory.with(|record| Amount::used_of(&record.meta)) != *used {
                wrong += 1;
                directory.change(|record| set_used(&mut record.meta, *used));
            }
        }
        let keeps = !counted.is_empty();
        let root = self.inode(Inum::PFS_ROOT).await?;
        if !root.with(|record| record.meta.has_quota()) {
            let said = root.with(|record| (record.meta.subtree_bytes(), record.meta.subtree_inodes()));
            if said != (0, u64::from(keeps)) {
                root.change(|record| {
                    record.meta.set_subtree_bytes(0);
                    record.meta.set_subtree_inodes(u64::from(keeps));
                });
            }
        }
        writing.keeps_quotas.set(keeps);
        Ok(wrong)
    }

    /// Counts what is below each directory that has limits.
    async fn count_all(&self) -> Result<Vec<(Inum, Amount)>, Error> {
        let mut counted: Vec<(Inum, Amount)> = Vec::new_in(self.heap);
        let mut elements = memory::boxed(self.heap, Elements::new())?;
        if self.inode(Inum::PFS_ROOT).await?.with(|record| record.meta.has_quota()) {
            memory::push(&mut counted, (Inum::PFS_ROOT, Amount::default()))?;
        }
        let mut left = Some(KeyRange::INODE_INDEX);
        while let Some(range) = left {
            left = self.elements(self.root, range, &mut elements).await?;
            for element in &*elements {
                match element {
                    Element::Leaf(leaf) if leaf.kind == BlockKind::Inode => {
                        self.count_in(Inum(leaf.span.first.0), &mut counted).await?;
                    }
                    _ => {}
                }
            }
        }
        Ok(counted)
    }

    async fn count_in(&self, inum: Inum, counted: &mut Vec<(Inum, Amount)>) -> Result<(), Error> {
        let file = self.inode(inum).await?;
        let place = |counted: &Vec<(Inum, Amount)>, inum| counted.binary_search_by_key(&inum, |(inum, _)| *inum);
        if file.with(|record| record.meta.has_quota())
            && let Err(at) = place(counted, inum)
        {
            insert(counted, at, (inum, Amount::default()))?;
        }
        let (links, parent) = file.with(|record| (record.meta.nlinks(), record.meta.iparent()));
        if links == 0 {
            return Ok(());
        }
        let holders = self.quotas_above(parent).await?;
        if holders.none() {
            return Ok(());
        }
        let own = Amount::inode_with(self.content_bytes(&file, KeyRange::ALL).await?);
        for holder in &holders.0 {
            let at = match place(counted, holder.inum) {
                Ok(at) => at,
                Err(at) => {
                    insert(counted, at, (holder.inum, Amount::default()))?;
                    at
                }
            };
            counted[at].1 = counted[at].1.with(own);
        }
        Ok(())
    }
}

/// The size of blocks before they are changed.
pub(super) struct Count<'f> {
    holders: Holders<'f>,
    range: KeyRange,
    before: u64,
}

/// What a move takes from some limits and adds to others.
pub(super) struct Move<'f> {
    old: Holders<'f>,
    new: Holders<'f>,
    amount: Amount,
}

impl Move<'_> {
    pub(super) fn count(&self) {
        self.old.count(Amount::default(), self.amount);
        self.new.count(self.amount, Amount::default());
    }
}

fn insert<T>(vec: &mut Vec<T>, at: usize, item: T) -> Result<(), Error> {
    memory::push(vec, item)?;
    vec[at..].rotate_right(1);
    Ok(())
}
