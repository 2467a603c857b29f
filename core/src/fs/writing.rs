//! What a mount needs for changes: time, numbers, and the way from memory to the nodes.
//!
//! Content and metadata are first changed in memory. They go to the nodes when memory is short, and all of them at a sync; only
//! then is anything durable. A sync never comes between the steps of an operation, so it commits whole operations.

use core::cell::{Cell, RefCell};

use super::dedup::Dedup;
use super::encoding::stored_radix;
use super::inode_cache::InodeRef;
use super::keeper::GivenBack;
use super::sync::Commits;
use super::undo::Undo;
use super::{Error, FileSystem};
use crate::cluster::{InodeRecord, Modification, Outcome};
use crate::io::TimeSource;
use crate::media::compressor::Compressor;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{CheckMethod, Inum, Key, Methods, ModifyTid, Timestamp};
use crate::memory::{Heap, NoMemory, aside};

/// The state of a mount that may change things.
pub(super) struct Writing {
    time: &'static dyn TimeSource,
    pub(super) next_inum: Cell<Inum>,
    next_tid: Cell<ModifyTid>,
    compressor: RefCell<Compressor>,
    pub(super) undo: Undo,
    /// The number of files without a name that somebody has open.
    pub(super) orphans: Cell<u64>,
    /// True when a directory may have limits.
    pub(super) keeps_quotas: Cell<bool>,
    pub(super) commits: Commits,
    pub(super) dedup: Dedup,
    pub(super) given_back: GivenBack,
}

impl Writing {
    pub(super) fn new(
        heap: Heap,
        time: &'static dyn TimeSource,
        root: &InodeRecord,
        tid_floor: ModifyTid,
    ) -> Result<Self, NoMemory> {
        let next_inum = Inum(root.meta.pfs_inum().0.saturating_add(1)).max(Inum::FIRST_DYNAMIC);
        Ok(Self {
            time,
            next_inum: Cell::new(next_inum),
            next_tid: Cell::new(ModifyTid(root.modify_tid.max(tid_floor).0 + 1)),
            compressor: RefCell::new(Compressor::new(heap)?),
            undo: Undo::default(),
            orphans: Cell::new(0),
            keeps_quotas: Cell::new(root.meta.subtree_inodes() > 0),
            commits: Commits::new(heap),
            dedup: Dedup::default(),
            given_back: GivenBack::default(),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// A random number.
    pub(super) fn random(&self) -> u64 {
        self.time.random()
    }

    pub(super) fn compressor(&self) -> &RefCell<Compressor> {
        &self.compressor
    }

    /// The id of the next operation.
    pub(super) fn tid(&self) -> ModifyTid {
        let tid = self.next_tid.get();
        self.next_tid.set(ModifyTid(tid.0 + 1));
        tid
    }

    /// The id that [`tid`](Self::tid) will return next.
    pub(super) fn next_tid(&self) -> ModifyTid {
        self.next_tid.get()
    }

    /// A number for a new inode. Numbers are never used again.
    pub(super) fn inum(&self) -> Inum {
        let inum = self.next_inum.get();
        self.next_inum.set(Inum(inum.0 + 1));
        inum
    }
}

/// The methods for new blocks of metadata, which always have a check code (format 2.3).
pub(super) fn metadata_methods(check: u8, compression: u8) -> Methods {
    match check & 0xf {
        0 => Methods((CheckMethod::XxHash64 as u8) << 4 | (compression & 0xf)),
        check => Methods(check << 4 | (compression & 0xf)),
    }
}

impl FileSystem {
    /// The state for changes; an error if the mount can't change anything.
    pub(super) fn writing(&self) -> Result<&Writing, Error> {
        self.writing.as_deref().ok_or(Error::ReadOnly)
    }

    pub(super) async fn modify(&self, modification: Modification<'_>) -> Result<Outcome, Error> {
        let tid = self.writing()?.tid();
        Ok(self.cluster.modify(tid, modification).await?)
    }

    /// Sends content and inodes to the nodes when memory is short.
    pub(super) async fn relieve(&self) -> Result<(), Error> {
        while self.files.is_crowded() {
            let Some((inum, key)) = self.files.oldest_dirty() else { break };
            aside(self.heap, || self.write_page(inum, key, true))?.await?;
        }
        if self.inodes.is_crowded() {
            self.write_inodes().await?;
        }
        Ok(())
    }

    /// Sends everything that is only in memory to the nodes.
    pub(super) async fn write_all(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        self.write_pages(None).await?;
        let root = self.inode(Inum::PFS_ROOT).await?;
        let highest = Inum(writing.next_inum.get().0 - 1);
        if root.with(|record| record.meta.pfs_inum() < highest) && highest >= Inum::FIRST_DYNAMIC {
            root.change(|record| record.meta.set_pfs_inum(highest));
        }
        drop(root);
        self.write_inodes().await
    }

    /// Sends all content of one file, or of all files, that is only in memory to the nodes.
    pub(super) async fn write_pages(&self, of: Option<Inum>) -> Result<(), Error> {
        self.files.gather_pieces(of);
        while let Some((inum, key)) = self.files.next_in_pieces() {
            aside(self.heap, || self.write_block_of_pieces(inum, key, false))?.await?;
        }
        self.files.gather_dirty(of);
        while let Some((inum, key)) = self.files.next_dirty() {
            aside(self.heap, || self.write_page(inum, key, false))?.await?;
        }
        Ok(())
    }

    /// Completes a block that is in memory in pieces and sends it to the nodes; with `give_up`, its memory is given back. If the
    /// block on media is bad for good, what was written to it is lost, and the loss is reported.
    pub(super) async fn write_block_of_pieces(&self, inum: Inum, key: Key, give_up: bool) -> Result<(), Error> {
        let file = self.inode(inum).await?;
        let size = file.with(|record| record.meta.size());
        match self.page_to_change(&file, size, key, 0).await {
            Ok(()) => self.write_page(inum, key, give_up).await,
            Err(error) if error.is_damage() => {
                log::warn!("inode {inum}: the data written at {} can't be stored: {error}", key.0);
                self.files.forget_pieces(inum, key);
                self.writing()?.commits.note_unstored(inum, error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write_inodes(&self) -> Result<(), Error> {
        self.inodes.gather_dirty();
        while let Some(inum) = self.inodes.next_dirty() {
            let inode = self.inode(inum).await?;
            self.write_inode(&inode, None).await?;
        }
        Ok(())
    }

    /// Sends the record of an inode to the nodes.
    pub(super) async fn write_inode(
        &self,
        inode: &InodeRef<'_>,
        content: Option<&[u8; EMBEDDED_BYTES]>,
    ) -> Result<(), Error> {
        let meta = inode.with(|record| record.meta);
        self.modify(Modification::WriteInode { slot: inode.slot, meta: &meta, content }).await?;
        inode.set_clean();
        Ok(())
    }

    /// Sends a file block to the nodes; with `give_up`, its memory is given back.
    pub(super) async fn write_page(&self, inum: Inum, key: Key, give_up: bool) -> Result<(), Error> {
        let inode = self.inode(inum).await?;
        let meta = inode.with(|record| record.meta);
        let size = meta.size();
        let is_in_inode = meta.flags().contains(InodeFlags::DIRECTDATA) && key == Key(0);
        if key.0 >= size && !is_in_inode {
            // It was cut off since it was changed, or changed by an operation that was then refused.
            self.files.take(inum, key);
            return Ok(());
        }
        if is_in_inode {
            let byte = |page: &[u8], index| if (index as u64) < size { page[index] } else { 0 };
            let first = |page: &[u8]| core::array::from_fn(|index| byte(page, index));
            let Some(content) = self.files.look(inum, key, first) else { return Ok(()) };
            self.write_inode(&inode, Some(&content)).await?;
            self.files.set_clean(inum, key);
            return Ok(());
        }
        if size - key.0 < FILE_BLOCK_BYTES as u64 {
            // Content beyond the end, in memory or on media, isn't stored (format 4.3).
            let live = (size - key.0) as usize;
            self.files.change(inum, key, |page| page[live..stored_radix(live).bytes()].fill(0));
        }
        let encoded = self.encode(&inode, &meta, key, give_up)?;
        let written = self.write_encoded(&inode, key, encoded, true).await;
        match written {
            Ok(()) => self.files.set_clean(inum, key),
            Err(error) => {
                if !self.files.change(inum, key, |_| {})
                    && let Some(writing) = &self.writing
                {
                    // It isn't in memory either, so no later sync may succeed for it.
                    writing.commits.note_loss(error);
                }
            }
        }
        written
    }
}
