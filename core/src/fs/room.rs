//! Room: what an operation may take of the nodes' space is there before the operation is begun.
//!
//! What was answered must find its place at the next sync, and a sync can refuse nothing. So space is counted before it is
//! taken. What the nodes have in memory only, they count themselves: their free bytes are what is left when all of it is
//! written. What only this layer has, content and inodes that are dirty, is counted here, at the most it can come to: a block
//! and everything on the way to it, because a block that is written has a new place, and so has every block that leads to it.
//! When the most doesn't fit, what is dirty is told to the nodes, and takes what it takes.
//!
//! Some room is kept back for operations that give space back or need next to none, so that a full filesystem can still be
//! emptied.

use super::gate::Changing;
use super::{Error, FileSystem};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::geometry::{CHUNK_BYTES, FILE_BLOCK_BITS, FILE_BLOCK_BYTES};
use crate::media::inode::INODE_BYTES;
use crate::memory::aside;

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;
/// The largest block of entries.
const INDIRECT_BYTES: u64 = 16 << 10;
const INDIRECT_ENTRIES: u64 = INDIRECT_BYTES / BLOCKREF_BYTES as u64;
/// Blocks of entries between an inode and a block of its file: each resolves as many bits of the offset as it has entries for.
const FILE_LEVELS: u64 = ((63 - FILE_BLOCK_BITS as u32).div_ceil(INDIRECT_ENTRIES.trailing_zeros())) as u64;
/// Blocks of entries above an inode or a directory entry: where others have built the tree, a million of either are some thirteen
/// levels.
const INDEX_LEVELS: u64 = 16;

/// What leads to a file block.
const FILE_PATH_BYTES: u64 = FILE_LEVELS * INDIRECT_BYTES;
/// What leads to an inode or to a directory entry.
const INDEX_PATH_BYTES: u64 = INDEX_LEVELS * INDIRECT_BYTES;
/// An entry that is put in may split the block it belongs into, and those above that are full: each level of a tree once.
const INSERT_BYTES: u64 = INDEX_PATH_BYTES + SPLIT_LEVELS * INDIRECT_BYTES + INODE_BYTES as u64;
/// Levels of trees that grow sideways: as many entries as there are keys.
const SPLIT_LEVELS: u64 = (63 / (INDIRECT_ENTRIES / 2).trailing_zeros()) as u64;
/// While memory is short, small blocks are written more than once, each time to another place, before they are committed: what
/// that may take for every step of an operation.
const STEP_BYTES: u64 = CHUNK_BYTES;

/// What a dirty inode may take.
const DIRTY_INODE_BYTES: u64 = INODE_BYTES as u64 + INDEX_PATH_BYTES + STEP_BYTES;
/// What a dirty block of a file may take.
const DIRTY_BLOCK_BYTES: u64 = BLOCK + FILE_PATH_BYTES + STEP_BYTES;

/// What an operation takes that gives space back, or only changes what is known of a file.
const SMALL_BYTES: u64 = 3 << 19;

/// What the removal of a name takes that is done by itself, when everything before it is written: blocks on three paths, to the
/// entry, to the inode and to the directory's inode. What the nodes keep back for a flush covers trees that are deeper.
const REMOVAL_BYTES: u64 = 3 << 17;

/// With less room than this, content goes to the nodes at once.
const SCARCE_BYTES: u64 = 16 << 20;

/// What an operation may take at most, beside what is dirty before it.
#[derive(Clone, Copy)]
pub(super) struct Need(u64);

impl Need {
    /// A new file with a name.
    pub(super) fn new_file(target_bytes: usize) -> Self {
        Self(2 * INSERT_BYTES + DIRTY_INODE_BYTES + 4 * STEP_BYTES + DIRTY_BLOCK_BYTES * u64::from(target_bytes > 0))
    }

    /// A new name.
    pub(super) fn new_name() -> Self {
        Self(INSERT_BYTES + 2 * DIRTY_INODE_BYTES + 2 * STEP_BYTES)
    }

    /// Names that change places, or move.
    pub(super) fn moved_names() -> Self {
        Self(2 * INSERT_BYTES + 3 * DIRTY_INODE_BYTES + 4 * STEP_BYTES)
    }

    /// A new PFS.
    pub(super) fn new_pfs() -> Self {
        Self(INSERT_BYTES + DIRTY_INODE_BYTES + 2 * STEP_BYTES)
    }

    /// Content of so many bytes from `offset` on.
    pub(super) fn content(offset: u64, bytes: u64) -> Self {
        let blocks = (offset % BLOCK + bytes).div_ceil(BLOCK);
        let above = (blocks.div_ceil(INDIRECT_ENTRIES) + 1) * INDIRECT_BYTES + 2 * FILE_PATH_BYTES;
        // The block at the end of the file, which may have to be cleared behind that, or was in the inode.
        Self(blocks * (BLOCK + STEP_BYTES) + above + DIRTY_BLOCK_BYTES + DIRTY_INODE_BYTES)
    }
}

impl FileSystem {
    /// Makes sure that there is room for an operation. Nothing of it may be done before: readers are let in while room is made.
    pub(super) async fn admit(&self, changing: &mut Changing<'_>, need: Need) -> Result<(), Error> {
        if self.has_room(need) {
            return Ok(());
        }
        changing.still(aside(self.heap, || self.admit_still(need))?).await
    }

    /// The same for what no reader sees.
    pub(super) async fn admit_still(&self, need: Need) -> Result<(), Error> {
        if self.has_room(need) {
            return Ok(());
        }
        self.write_out().await?;
        let has_room = || self.has_surely(|| self.has_room(need));
        if has_room().await || self.find_room().await? && has_room().await { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// The same of what there is when the nodes know what that is.
    async fn has_surely(&self, has_room: impl Fn() -> bool) -> bool {
        if !has_room() {
            self.cluster.counted().await;
        }
        has_room()
    }

    /// Does something that has its room, but finds none where that lies in small pieces, and leaves everything as it was then.
    /// It is done once more when space was given back.
    pub(super) async fn in_room(
        &self,
        changing: &mut Changing<'_>,
        work: impl AsyncFn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        match work().await {
            Err(Error::NoSpace) if changing.still(aside(self.heap, || self.find_room())?).await? => work().await,
            done => done,
        }
    }

    fn has_room(&self, Need(bytes): Need) -> bool {
        self.claimed_bytes() + bytes <= self.cluster.free_bytes()
    }

    /// Makes sure that there is room for an operation that gives space back, or only changes what is known of a file. What it
    /// changes goes to new places, and the old ones are free only after bulkfree; on a full volume that can't wait until
    /// somebody orders it.
    pub(super) async fn admit_small(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        self.admit_from_reserve(changing, SMALL_BYTES).await
    }

    /// The same for removing a name, which may have the last of what is kept back: chunks that hold one small block each can't
    /// be given back, and all others would leave no room to make any.
    pub(super) async fn admit_removal(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        self.admit_from_reserve(changing, REMOVAL_BYTES).await
    }

    /// Makes sure that there is the usual room for a small operation, or at least so much when no more can be had.
    async fn admit_from_reserve(&self, changing: &mut Changing<'_>, least_bytes: u64) -> Result<(), Error> {
        let has = |bytes: u64| self.claimed_bytes() + bytes <= self.cluster.reserve_bytes();
        if has(SMALL_BYTES) {
            return Ok(());
        }
        let make_room = async {
            self.write_out().await?;
            if has(SMALL_BYTES) {
                return Ok(());
            }
            self.give_back_inside().await?;
            if self.has_surely(|| has(least_bytes)).await { Ok(()) } else { Err(Error::NoSpace) }
        };
        changing.still(aside(self.heap, || make_room)?).await
    }

    /// What all that is only in this layer's memory may take.
    fn claimed_bytes(&self) -> u64 {
        let orphans = self.writing.as_ref().map_or(0, |writing| writing.orphans.get());
        let inodes = self.inodes.dirty_count() as u64 + orphans;
        self.files.dirty_count() as u64 * DIRTY_BLOCK_BYTES + inodes * DIRTY_INODE_BYTES
    }

    /// Tells the nodes all that is dirty; what it takes, they know then.
    async fn write_out(&self) -> Result<(), Error> {
        self.write_pages(None).await?;
        self.write_inodes().await
    }

    /// Bytes that new content may take, what is dirty taken off as if it were stored as it is: what there is to be told of.
    pub(super) fn unclaimed_bytes(&self) -> u64 {
        self.cluster.free_bytes().saturating_sub(self.files.dirty_count() as u64 * BLOCK)
    }

    /// True when `blocks` more file blocks may not find a place, each in one piece: because little room is left, or because what
    /// is left lies in small pieces.
    pub(super) async fn is_scarce(&self, blocks: u64) -> Result<bool, Error> {
        if self.unclaimed_bytes() < SCARCE_BYTES {
            return Ok(true);
        }
        // Every block of metadata may break up one of the places.
        let dirty = self.files.dirty_count() as u64;
        let metadata = (self.claimed_bytes() - dirty * BLOCK) / CHUNK_BYTES;
        if self.cluster.has_room_in_pieces(dirty + metadata + blocks).await? {
            return Ok(false);
        }
        self.write_out().await?;
        Ok(!self.cluster.has_room_in_pieces(blocks).await?)
    }
}
