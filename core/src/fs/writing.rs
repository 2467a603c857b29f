//! What a mount needs to change things: time, numbers, and the way from memory to the nodes.
//!
//! Content and metadata are changed in memory first. They go to the nodes when memory is short, and all of them at a sync; only
//! then is anything durable. A sync is never between the steps of an operation, so what it commits is whole operations.

use core::cell::{Cell, RefCell};

use super::inode_cache::InodeRef;
use super::sync::Commits;
use super::{Error, FileSystem};
use crate::cluster::{InodeRecord, Modification, Outcome, StoredBlock};
use crate::io::Buffer;
use crate::media::compressor::Compressor;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{CheckMethod, Compression, Inum, Key, KeyRange, Methods, ModifyTid, Radix, Timestamp};
use crate::memory::{Heap, NoMemory};

/// With less room than this, content goes to the nodes at once.
const SCARCE_BYTES: u64 = 16 << 20;
/// A sync that finds less room than this isn't worth another: each takes some, too.
const MIN_GAIN_BYTES: u64 = 1 << 20;

/// The time of day.
pub trait TimeSource {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A random number: what makes one mount of a cluster differ from another.
    fn random(&self) -> u64;
}

/// The state of a mount that may change things.
pub(super) struct Writing {
    time: &'static dyn TimeSource,
    pub(super) next_inum: Cell<Inum>,
    next_tid: Cell<ModifyTid>,
    compressor: RefCell<Compressor>,
    pub(super) commits: Commits,
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
            commits: Commits::default(),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// The id of the next operation.
    pub(super) fn tid(&self) -> ModifyTid {
        let tid = self.next_tid.get();
        self.next_tid.set(ModifyTid(tid.0 + 1));
        tid
    }

    /// A number for a new inode. Numbers are never used again.
    pub(super) fn inum(&self) -> Inum {
        let inum = self.next_inum.get();
        self.next_inum.set(Inum(inum.0 + 1));
        inum
    }
}

/// The methods of new blocks of metadata: never without a check code (spec 2.3).
pub(super) fn metadata_methods(check: u8, compression: u8) -> Methods {
    match check & 0xf {
        0 => Methods((CheckMethod::XxHash64 as u8) << 4 | (compression & 0xf)),
        check => Methods(check << 4 | (compression & 0xf)),
    }
}

impl FileSystem {
    /// What it takes to change things. Nothing is changed any more, not even in memory, once it can't become durable.
    pub(super) fn writing(&self) -> Result<&Writing, Error> {
        let writing = self.writing.as_ref().ok_or(Error::ReadOnly)?;
        self.cluster.require_quorum()?;
        Ok(writing)
    }

    pub(super) async fn modify(&self, modification: Modification<'_>) -> Result<Outcome, Error> {
        let tid = self.writing()?.tid();
        Ok(self.cluster.modify(tid, modification).await?)
    }

    /// Makes sure that there is room for `bytes` more, besides all that is only in memory yet. Nothing of the operation that
    /// asks may be done before.
    pub(super) async fn admit(&self, bytes: u64) -> Result<(), Error> {
        if bytes <= self.unclaimed_bytes() {
            return Ok(());
        }
        // What is in memory is counted at its largest; mostly it turns out smaller.
        self.sync_inside().await?;
        if bytes + MIN_GAIN_BYTES <= self.unclaimed_bytes() { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Bytes nobody has a claim to, not even what is only in memory.
    pub(super) fn unclaimed_bytes(&self) -> u64 {
        self.cluster.free_bytes().saturating_sub(self.files.dirty_bytes())
    }

    /// True when so little room is left that a block of 64 KiB may not find a place in one piece.
    pub(super) fn is_scarce(&self) -> bool {
        self.unclaimed_bytes() < SCARCE_BYTES
    }

    /// Sends to the nodes what memory is too short for.
    pub(super) async fn relieve(&self) -> Result<(), Error> {
        while self.files.is_crowded() {
            let Some((inum, key)) = self.files.oldest_dirty() else { break };
            self.write_page(inum, key, true).await?;
        }
        if self.inodes.is_crowded() {
            self.write_inodes().await?;
        }
        Ok(())
    }

    /// Sends all content to the nodes that is only in memory, of one file or of all.
    pub(super) async fn write_pages(&self, of: Option<Inum>) -> Result<(), Error> {
        let mut last = None;
        while let Some((inum, key)) = self.files.next_dirty(of, last) {
            self.write_page(inum, key, false).await?;
            last = Some((inum, key));
        }
        Ok(())
    }

    pub(super) async fn write_inodes(&self) -> Result<(), Error> {
        let mut last = None;
        while let Some(inum) = self.inodes.next_dirty(last) {
            let inode = self.inode(inum).await?;
            self.write_inode(&inode, None).await?;
            last = Some(inum);
        }
        Ok(())
    }

    /// Tells the nodes what is known of an inode.
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

    /// Sends a file block to the nodes; with `give_up` its memory is given back.
    async fn write_page(&self, inum: Inum, key: Key, give_up: bool) -> Result<(), Error> {
        let inode = self.inode(inum).await?;
        let meta = inode.with(|record| record.meta);
        let size = meta.size();
        if key.0 >= size && size > 0 || key.0 > 0 && size == 0 {
            // Cut off since it was changed.
            self.files.take(inum, key);
            return Ok(());
        }
        if meta.flags().contains(InodeFlags::DIRECTDATA) {
            let first = |page: &[u8]| core::array::from_fn(|index| page[index]);
            let Some(content) = self.files.clean(inum, key, first) else { return Ok(()) };
            let written = self.write_inode(&inode, Some(&content)).await;
            if written.is_err() {
                self.files.change(inum, key, |_| {});
            }
            return written;
        }
        let stored = self.encode(inum, key, size, meta.comp_algo, meta.check_algo, give_up)?;
        let written = match stored {
            Encoded::Gone => return Ok(()),
            Encoded::Hole => {
                self.modify(Modification::RemoveBlocks { file: inode.slot, range: KeyRange::only(key) }).await
            }
            Encoded::Block(block) => self.modify(Modification::WriteBlock { file: inode.slot, key, block }).await,
        };
        if let Err(error) = written
            && !self.files.change(inum, key, |_| {})
            && let Some(writing) = &self.writing
        {
            // It isn't in memory either, so that no later sync may pass for one of it.
            writing.commits.note_loss(error);
        }
        written.map(drop)
    }

    /// A file block as it will be stored (spec 4.3 and 5.2). It counts as on media from here on.
    fn encode(
        &self,
        inum: Inum,
        key: Key,
        size: u64,
        comp_algo: u8,
        check_algo: u8,
        give_up: bool,
    ) -> Result<Encoded, Error> {
        let check = CheckMethod::from_code(check_algo & 0xf).unwrap_or(CheckMethod::XxHash64);
        let wished = Compression::from_code(comp_algo & 0xf).unwrap_or(Compression::None);
        let live = (size - key.0).min(FILE_BLOCK_BYTES as u64) as usize;
        let plain = if live == FILE_BLOCK_BYTES { Radix::MAX } else { Radix::holding(live).unwrap_or(Radix::MAX) };
        let mut compressor = self.writing()?.compressor.borrow_mut();
        let mut encoded = None;
        let found = self.files.clean(inum, key, |page| {
            let page = &page[..plain.bytes()];
            if wished != Compression::None && check != CheckMethod::None && is_zero(page) {
                return Ok(Some(Encoded::Hole));
            }
            if let Some((stored, radix)) = compressor.compress(wished, comp_algo >> 4, page)? {
                let mut buffer = Buffer::new(self.heap, radix.bytes())?;
                buffer.bytes_mut().copy_from_slice(stored);
                encoded = Some((buffer, wished));
            } else if !give_up || plain != Radix::MAX {
                let mut buffer = Buffer::new(self.heap, plain.bytes())?;
                buffer.bytes_mut().copy_from_slice(page);
                encoded = Some((buffer, Compression::None));
            }
            Ok::<_, NoMemory>(None)
        });
        let found = match found {
            None => return Ok(Encoded::Gone),
            Some(Err(error)) => {
                self.files.change(inum, key, |_| {});
                return Err(error.into());
            }
            Some(Ok(found)) => found,
        };
        if let Some(hole) = found {
            return Ok(hole);
        }
        let (buffer, compression) = match encoded {
            Some(encoded) => encoded,
            // The page itself is the block: nothing is copied.
            None => (self.files.take(inum, key).ok_or(Error::NoMemory)?, Compression::None),
        };
        let field = check.compute(buffer.bytes());
        Ok(Encoded::Block(StoredBlock { buffer, methods: Methods::new(check, compression), check: field }))
    }
}

enum Encoded {
    /// It isn't in memory any more.
    Gone,
    /// All zero: nothing is stored.
    Hole,
    Block(StoredBlock),
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}
