//! One member: a volume set with its super-root and PFSs, executing commands.
//!
//! A node owns its topology: only it touches its blocks, and its commands and answers ([`Command`], [`Reply`]) contain no place
//! on a device. It knows nothing of clusters.

mod attempt;
mod bulkfree;
mod clone_blocks;
mod command;
mod create;
mod cut;
mod directory;
mod discard;
mod drive;
mod element;
mod entry_batch;
mod fault;
mod file;
mod flush;
mod freemap_survey;
mod grow;
mod header;
mod header_scrub;
mod heartbeat;
mod landing;
mod listing;
mod locate;
mod lost_freemap;
mod modification;
mod modify;
mod open;
mod open_error;
mod probe;
mod protocol;
mod recovery;
mod reopen;
mod sharing;
mod slots;
mod stall;
mod survey;
#[cfg(all(test, feature = "selftest"))]
mod tests;
mod writer;

pub use crate::freemap::BulkfreeCounts;
pub(crate) use attempt::{Halt, Progress};
pub use bulkfree::{BulkfreeOptions, BulkfreeProgress};
pub use command::{Command, FileBlock, InodeRecord, Reply, Scanned, Slot};
pub(crate) use drive::Driver;
pub use element::{Element, Elements, Leaf};
pub use entry_batch::{Entry, EntryBatch};
pub use fault::{NodeError, NodeFault, NodeIndex};
pub use grow::Growth;
use header::Committed;
pub use header::HeaderImage;
pub(crate) use header::copy_fits;
pub use modification::{Creation, GivenBlock, Modification, Outcome, Places, StoredBlock};
pub use open::open;
pub use open_error::OpenError;
#[cfg(feature = "raw")]
pub use protocol::NOT_FOLLOWED;
pub use protocol::{Protocol, Rule};
pub use sharing::Sharing;

use core::cell::{Cell, Ref, RefCell};

use crate::chain::{ChainError, Cursor, Stop, Topology};
use crate::freemap::Allocator;
use crate::io::{BlockCache, Buffer, Turns, Volumes};
use crate::media::cluster_record::Bind;
use crate::media::geometry::{CHUNK_BYTES, FILE_BLOCK_BYTES};
use crate::media::{Blockref, Corruption, Inum, Key, KeyRange, ModifyTid, MountNonce, VolumeHeader, directory_hash};
use crate::memory::{Box, Heap, NoMemory, boxed};
use landing::Landing;
use locate::{InodeName, InodeView, check_indexed, check_pfs_root};
use lost_freemap::Recounts;
pub use slots::SLOT_BYTES;
use slots::Slots;
use writer::Writer;

/// The memory that a node may use.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions {
    /// Bytes of blocks kept in memory.
    pub cache_bytes: usize,
    /// Bytes of modified blocks kept in memory before they are written.
    pub modified_bytes: usize,
    /// The number of inodes that can be open at a time.
    pub slots: usize,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, modified_bytes: 4 << 20, slots: 1024 }
    }
}

/// Space in bytes that is kept back so that a full filesystem can still be emptied.
const RESERVE_BYTES: u64 = 3 << 20;

/// Space in bytes that is kept back for what every flush writes, that is the root of the PFS, the super-root, and what leads to
/// them; and for chunks that small blocks don't fill.
const FLUSH_BYTES: u64 = 1 << 19;

/// Header images in memory besides the one in force: the next one, and one that a device is writing.
const SPARE_IMAGES: usize = 2;

/// The number of places for the largest blocks that metadata may break up, besides modified blocks.
const SPARE_RUNS: u64 = 64;

/// A member of a cluster, or a filesystem's only node.
pub struct Node {
    /// The header committed last, and the copy it is in.
    committed: RefCell<Committed>,
    blocks: BlockCache,
    slots: Slots,
    topology: RefCell<Topology>,
    allocator: RefCell<Allocator>,
    writer: Writer,
    heap: Heap,
    /// True when blocks were written that no header leads to.
    uncommitted: Cell<bool>,
    /// True when the space of some of those is given back as soon as they are replaced.
    replaceable: Cell<bool>,
    /// Counts blocks that were written to a new place.
    moves: Cell<u64>,
    /// The number of passes of bulkfree that were begun.
    bulkfree_passes: Cell<u64>,
    /// The progress of the current pass.
    surveyed: Cell<bulkfree::Surveyed>,
    /// The fault of a device that failed while writing: nothing more is written.
    broken: Cell<Option<NodeFault>>,
    /// The fault of a device that doesn't answer: nothing is written until it does.
    stalled: Cell<Option<NodeFault>>,
    /// The mount whose heartbeat is on the volume, if it is this one.
    holder: Cell<Option<MountNonce>>,
    /// The header that will be in force next.
    landing: RefCell<Option<Landing>>,
    /// Turns to bring that header to the disk.
    landings: Turns,
    /// Images of headers that were written, whose memory serves for the next ones.
    spare_images: RefCell<heapless::Vec<HeaderImage, SPARE_IMAGES>>,
    /// Counts of free space that are under way.
    recounts: Recounts,
    protocol: Cell<Protocol>,
}

impl Node {
    fn new(heap: Heap, volumes: Volumes, committed: Committed, options: NodeOptions) -> Result<Box<Self>, NoMemory> {
        let header = committed.header.get();
        let total_bytes = volumes.total_bytes();
        let (sroot, freemap, tid) = (header.sroot_blockset, header.freemap_blockset, header.mirror_tid());
        let allocator = Allocator::new(heap, header.allocator_beg(), total_bytes, header.allocator_free())?;
        let node = Self {
            committed: RefCell::new(committed),
            blocks: BlockCache::new(heap, volumes, options.cache_bytes)?,
            slots: Slots::new(heap, options.slots)?,
            topology: RefCell::new(Topology::new(heap, sroot, freemap, tid, options.modified_bytes)),
            allocator: RefCell::new(allocator),
            writer: Writer::new(heap, options.modified_bytes / 2)?,
            heap,
            uncommitted: Cell::new(false),
            replaceable: Cell::new(false),
            moves: Cell::new(0),
            bulkfree_passes: Cell::new(0),
            surveyed: Cell::default(),
            broken: Cell::new(None),
            stalled: Cell::new(None),
            holder: Cell::new(None),
            landing: RefCell::new(None),
            landings: Turns::new(heap),
            spare_images: RefCell::default(),
            recounts: Recounts::new(heap),
            protocol: Cell::default(),
        };
        boxed(heap, node)
    }

    /// The heap for its memory.
    pub(crate) fn heap(&self) -> Heap {
        self.heap
    }

    /// The header committed last.
    pub fn header(&self) -> Ref<'_, VolumeHeader> {
        Ref::map(self.committed.borrow(), |committed| committed.header.get())
    }

    /// An image of the header committed last, to be kept while the node goes on.
    pub fn header_image(&self) -> Result<HeaderImage, NoMemory> {
        self.committed.borrow().header.copy(self.heap)
    }

    /// The number of that header's copy.
    pub fn header_copy(&self) -> usize {
        self.committed.borrow().copy
    }

    /// Sets the protocol's rules that are followed.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
    }

    /// The volumes.
    pub fn volumes(&self) -> &Volumes {
        self.blocks.volumes()
    }

    /// The node's block cache, for tools that look at the topology itself.
    pub fn blocks(&self) -> &BlockCache {
        &self.blocks
    }

    /// Answers a command, or says why it can't be answered now. The functions for single commands aren't inlined, so that each
    /// command uses only its own share of the stack.
    pub(crate) fn attempt(&self, command: &mut Command<'_>, progress: &mut Progress) -> Result<Reply, Halt> {
        match command {
            Command::OpenPfs { label, into } => self.open_pfs(label, *into, progress),
            Command::NextPfs { range } => self.next_pfs(*range, progress),
            Command::OpenInode { pfs, inum, into } => self.open_inode(*pfs, *inum, *into),
            Command::MatchName { directory, name } => self.match_name(*directory, name, progress),
            Command::Scan { directory, range, batch } => self.scan(*directory, *range, batch, progress),
            Command::ReadBlock { file, key } => self.read_block(*file, *key),
            Command::Prefetch { file, range } => self.prefetch(*file, *range, progress),
            Command::NextBlock { file, range } => self.next_block(*file, *range, progress),
            Command::Stored { slot } => Ok(Reply::Stored(self.in_inode(*slot, |view| Ok(view.stored_bytes()))?)),
            Command::List { slot, range, since, elements } => self.list(*slot, *range, *since, elements, progress),
            Command::Name { pfs, inum, into } => {
                let root = self.slots.name(*pfs).ok_or(NodeError::Fault(NodeFault::UnknownSlot))?;
                self.slots.open(*into, InodeName { pfs: root.pfs, inum: *inum })?;
                Ok(Reply::Done)
            }
            Command::Close { slot } => {
                self.slots.close(*slot);
                Ok(Reply::Done)
            }
        }
    }

    #[inline(never)]
    fn open_pfs(&self, label: &[u8], into: Slot, progress: &mut Progress) -> Result<Reply, Halt> {
        let (cursor, _) = progress.over(directory_hash(label));
        loop {
            match cursor.step(|cursor| self.pfs_root(cursor))? {
                Some(record) if record.meta.label() == Ok(label) => return self.open_root(record.key, into),
                Some(_) => {}
                None => return Ok(Reply::Absent),
            }
        }
    }

    #[inline(never)]
    fn next_pfs(&self, range: KeyRange, progress: &mut Progress) -> Result<Reply, Halt> {
        let (cursor, _) = progress.over(range);
        let found = cursor.step(|cursor| self.pfs_root(cursor))?;
        Ok(match found {
            Some(record) => Reply::Inode(boxed(self.heap, record)?),
            None => Reply::Absent,
        })
    }

    /// Goes from the root of the PFS, whose place is known, not from the super-root.
    #[inline(never)]
    fn open_inode(&self, pfs: Slot, inum: Inum, into: Slot) -> Result<Reply, Halt> {
        let root = self.slots.name(pfs).ok_or(NodeError::Fault(NodeFault::UnknownSlot))?;
        if inum == Inum::PFS_ROOT {
            return self.open_root(root.pfs, into);
        }
        if inum.key().is_visible() || inum == Inum::SUPER_ROOT {
            return Ok(Reply::Absent);
        }
        let opened = self.in_numbered(pfs, inum, |view| {
            check_indexed(&view)?;
            Ok(boxed(self.heap, InodeRecord::new(view.bref, &view.inode.meta)))
        })?;
        let Some((place, record)) = opened else { return Ok(Reply::Absent) };
        self.slots.open(into, InodeName { pfs: root.pfs, inum })?;
        self.slots.remember(into, place, &self.topology.borrow());
        Ok(Reply::Inode(record?))
    }

    /// Opens the root of the PFS under `pfs` in the super-root.
    fn open_root(&self, pfs: Key, into: Slot) -> Result<Reply, Halt> {
        let name = InodeName { pfs, inum: Inum::PFS_ROOT };
        let record = |view: InodeView<'_>| Ok(boxed(self.heap, InodeRecord::new(view.bref, &view.inode.meta)));
        let Some(record) = self.in_named(name, record)? else { return Ok(Reply::Absent) };
        self.slots.open(into, name)?;
        Ok(Reply::Inode(record?))
    }

    /// The record of the next PFS root in the super-root.
    fn pfs_root(&self, cursor: &mut Cursor) -> Result<Option<InodeRecord>, Stop> {
        let Some(bref) = self.in_super_root(|view| view.find(cursor))? else { return Ok(None) };
        self.in_named(InodeName { pfs: bref.key(), inum: Inum::PFS_ROOT }, |view| {
            check_pfs_root(&view)?;
            Ok(InodeRecord::new(view.bref, &view.inode.meta))
        })
    }

    /// The record of an open inode, with the last operation on it or anything below it, whether or not that is written.
    pub async fn record(&self, slot: Slot) -> Result<InodeRecord, NodeError> {
        self.drive(|_| self.in_inode(slot, |view| Ok(view.record()))).await
    }

    /// The value that ties a cluster's record to the PFS whose root is open: it changes with every write to the PFS, and only
    /// then.
    pub async fn bind(&self, root: Slot) -> Result<Bind, NodeError> {
        self.drive(|_| self.in_inode(root, |view| Ok(Bind::of(view.bref)))).await
    }

    /// An unused buffer of the largest block size, if there is one. Its content means nothing.
    pub fn spare_buffer(&self) -> Option<Buffer> {
        self.writer.take_spare().or_else(|| self.blocks.take_spare(FILE_BLOCK_BYTES))
    }

    /// Bytes in free chunks, less what is needed to write all modified blocks and still have room to delete.
    pub fn free_bytes(&self) -> u64 {
        self.reserve_bytes().saturating_sub(RESERVE_BYTES)
    }

    /// Bytes in free chunks, less what is needed to write all modified blocks. Blocks of different sizes leave up to a quarter of
    /// a chunk unused.
    pub fn reserve_bytes(&self) -> u64 {
        let modified = self.topology.borrow().arena.bytes() as u64;
        self.allocator.borrow().usable_bytes().saturating_sub(modified + modified / 4 + FLUSH_BYTES)
    }

    /// True when `count` blocks of the largest size each find a place in one piece, whatever metadata takes meanwhile.
    pub async fn has_room_in_pieces(&self, count: u64) -> Result<bool, NodeError> {
        let metadata = 2 * self.topology.borrow().arena.bytes() as u64 / CHUNK_BYTES + SPARE_RUNS;
        self.with_freemap(|topology, allocator, blocks| allocator.has_runs(topology, blocks, count + metadata)).await
    }

    /// The id of the next operation on the super-root (format 7.1).
    pub fn next_super_tid(&self) -> ModifyTid {
        let topology = self.topology.borrow();
        let newest = topology.super_root.iter().map(|entry| topology.modify_tid_of(entry)).max();
        ModifyTid(newest.unwrap_or_default().0 + 1)
    }
}

fn failed(bref: &Blockref, corruption: Corruption) -> Stop {
    Stop::Failed(ChainError::corrupt(bref, corruption))
}
