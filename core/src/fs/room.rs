//! Room: before an operation begins, the nodes must have as much space as it may take.
//!
//! What was answered must find its place at the next sync, and a sync can refuse nothing. So space is counted before it is taken.
//! The nodes count what they have only in memory: their free bytes are what remains when all of it is written. What only this
//! layer has, dirty content and dirty inodes, is counted here, at the most it can take: a block and everything on the way to it,
//! because a written block has a new place, and so has every block that leads to it. If that doesn't fit, the dirty data is sent
//! to the nodes, and takes only what it really needs.
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
/// Blocks of entries between an inode and a block of its file. Each resolves as many bits of the offset as its number of entries
/// allows.
const FILE_LEVELS: u64 = ((63 - FILE_BLOCK_BITS as u32).div_ceil(INDIRECT_ENTRIES.trailing_zeros())) as u64;
/// Blocks of entries above an inode or a directory entry: in a tree built by another system, a million of either take some
/// thirteen levels.
const INDEX_LEVELS: u64 = 16;

/// The blocks that lead to a file block.
const FILE_PATH_BYTES: u64 = FILE_LEVELS * INDIRECT_BYTES;
/// The blocks that lead to an inode or a directory entry.
const INDEX_PATH_BYTES: u64 = INDEX_LEVELS * INDIRECT_BYTES;
/// An inserted entry may split the block it belongs to and the full ones above it, once on each level of a tree.
const INSERT_BYTES: u64 = INDEX_PATH_BYTES + SPLIT_LEVELS * INDIRECT_BYTES + INODE_BYTES as u64;
/// The number of levels of a tree that grows sideways and holds as many entries as there are keys.
const SPLIT_LEVELS: u64 = (63 / (INDIRECT_ENTRIES / 2).trailing_zeros()) as u64;
/// While memory is short, small blocks are written more than once before they are committed, each time to another place. This is
/// what that may take for every step of an operation.
const STEP_BYTES: u64 = CHUNK_BYTES;

/// The most that a dirty inode may take.
const DIRTY_INODE_BYTES: u64 = INODE_BYTES as u64 + INDEX_PATH_BYTES + STEP_BYTES;
/// The most that a dirty block of a file may take.
const DIRTY_BLOCK_BYTES: u64 = BLOCK + FILE_PATH_BYTES + STEP_BYTES;

/// What an operation takes that gives space back or only changes a file's attributes.
const SMALL_BYTES: u64 = 3 << 19;

/// What removing a name takes when everything before it is written: blocks on three paths, to the entry, to the inode and to the
/// directory's inode. What the nodes keep back for a flush covers deeper trees.
const REMOVAL_BYTES: u64 = 3 << 17;

/// With less room than this, content goes to the nodes at once.
const SCARCE_BYTES: u64 = 16 << 20;

/// The most that an operation may take, beside what is dirty before it.
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

    /// Names that are moved or exchanged.
    pub(super) fn moved_names() -> Self {
        Self(2 * INSERT_BYTES + 3 * DIRTY_INODE_BYTES + 4 * STEP_BYTES)
    }

    /// A new PFS.
    pub(super) fn new_pfs() -> Self {
        Self(INSERT_BYTES + DIRTY_INODE_BYTES + 2 * STEP_BYTES)
    }

    /// Blocks of so many bytes that are shared: what leads to them in either file.
    pub(super) fn shared(bytes: u64) -> Self {
        let above = (bytes.div_ceil(BLOCK).div_ceil(INDIRECT_ENTRIES) + 2) * INDIRECT_BYTES + 2 * FILE_PATH_BYTES;
        // The target's blocks of entries may be split, and are half full then.
        Self(3 * above + 2 * (DIRTY_BLOCK_BYTES + DIRTY_INODE_BYTES))
    }

    /// Content of `bytes` bytes from `offset` on.
    pub(super) fn content(offset: u64, bytes: u64) -> Self {
        let blocks = (offset % BLOCK + bytes).div_ceil(BLOCK);
        let above = (blocks.div_ceil(INDIRECT_ENTRIES) + 1) * INDIRECT_BYTES + 2 * FILE_PATH_BYTES;
        // The block at the end of the file may have to be cleared beyond that end, or its content was in the inode.
        Self(blocks * (BLOCK + STEP_BYTES) + above + DIRTY_BLOCK_BYTES + DIRTY_INODE_BYTES)
    }
}

impl FileSystem {
    /// Makes sure that there is room for an operation. It must not have begun: readers are let in while room is made.
    pub(super) async fn admit(&self, changing: &mut Changing<'_>, need: Need) -> Result<(), Error> {
        if self.has_room(need) {
            return Ok(());
        }
        changing.still(aside(self.heap, || self.admit_still(need))?).await
    }

    /// Does the same for an operation that no reader sees.
    pub(super) async fn admit_still(&self, need: Need) -> Result<(), Error> {
        if self.has_room(need) {
            return Ok(());
        }
        self.write_out().await?;
        let has_room = || self.has_surely(|| self.has_room(need));
        if has_room().await || self.find_room().await? && has_room().await { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Asks whether there is room, the second time when the nodes know what they have.
    async fn has_surely(&self, has_room: impl Fn() -> bool) -> bool {
        if !has_room() {
            self.cluster.counted().await;
        }
        has_room()
    }

    /// Runs work that has been given room, and repeats it after giving space back if it fails because the room lies in small
    /// pieces. Failing work must leave everything as it was.
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

    /// Makes sure that there is room for an operation that gives space back or only changes a file's attributes. What it changes
    /// goes to new places, and the old ones are free only after bulkfree; on a full volume that can't wait until somebody orders
    /// it.
    pub(super) async fn admit_small(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        self.admit_from_reserve(changing, SMALL_BYTES).await
    }

    /// Makes sure that there is room for removing a name, which may use up what is kept back: chunks that hold one small block
    /// each can't be given back, and if all were like that, there would be no room to make any.
    pub(super) async fn admit_removal(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        self.admit_from_reserve(changing, REMOVAL_BYTES).await
    }

    /// Makes sure that there is the usual room for a small operation, or at least `least_bytes` when no more can be had.
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

    /// The most that everything in only this layer's memory may take.
    fn claimed_bytes(&self) -> u64 {
        let orphans = self.writing.as_ref().map_or(0, |writing| writing.orphans.get());
        let inodes = self.inodes.dirty_count() as u64 + orphans;
        self.files.dirty_count() as u64 * DIRTY_BLOCK_BYTES + inodes * DIRTY_INODE_BYTES
    }

    /// Sends everything dirty to the nodes, which then know what it takes.
    async fn write_out(&self) -> Result<(), Error> {
        self.write_pages(None).await?;
        self.write_inodes().await
    }

    /// Bytes that new content may take, for reports: dirty content is subtracted at its uncompressed size.
    pub(super) fn unclaimed_bytes(&self) -> u64 {
        self.cluster.free_bytes().saturating_sub(self.files.dirty_count() as u64 * BLOCK)
    }

    /// True when `blocks` more file blocks may not each find a place in one piece, because little room is left or because it lies
    /// in small pieces.
    pub(super) async fn is_scarce(&self, blocks: u64) -> Result<bool, Error> {
        if self.unclaimed_bytes() < SCARCE_BYTES {
            return Ok(true);
        }
        // Every block of metadata may break up one such place.
        let dirty = self.files.dirty_count() as u64;
        let metadata = (self.claimed_bytes() - dirty * BLOCK) / CHUNK_BYTES;
        if self.cluster.has_room_in_pieces(dirty + metadata + blocks).await? {
            return Ok(false);
        }
        self.write_out().await?;
        Ok(!self.cluster.has_room_in_pieces(blocks).await?)
    }
}
