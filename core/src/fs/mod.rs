//! Files and directories: what a user calls.
//!
//! A [`FileSystem`] is a mounted PFS. Files are named by inode number, as kernels and FUSE do; [`FileSystem::resolve`] walks a
//! path. The layer reaches disks only through [`cluster`](crate::cluster): it knows keys and names, never a chain, a place on a
//! device, or a node.
//!
//! All methods take `&self` and may run at the same time, on one thread.

mod administration;
mod allocate;
mod attributes;
mod bulkfree;
mod dedup;
mod destroy;
mod directory;
mod dirty_places;
mod encoding;
mod errno;
mod error;
mod exchange;
mod file;
mod file_cache;
mod gate;
mod inode_cache;
mod keeper;
mod mend;
mod namespace;
mod orphans;
mod pieces;
mod quota;
mod read_ahead;
mod resync;
mod room;
mod set_attributes;
mod share;
mod snapshot;
mod stored;
mod sync;
mod tally;
mod transfer;
mod tree_walk;
mod undo;
mod work;
mod write;
mod writing;

pub use crate::io::TimeSource;
pub use allocate::Allocation;
pub use attributes::{Attributes, Statistics};
pub use destroy::Destroyed;
pub use directory::{Cookie, Listing};
pub use error::{Error, MountError};
pub use keeper::{Attendant, Event, Pace, Trouble};
pub use mend::Remedy;
pub use namespace::NewFile;
pub use quota::{Amount, Quota};
pub use resync::CatchUp;
pub use set_attributes::NewAttributes;
pub use transfer::Replica;
pub use tree_walk::{Found, ROOT_PATH, TreeWalk};

use core::cell::{Cell, RefCell};

use crate::cluster::{Cluster, Growth, MAX_NODES, NodeOptions, OpenError, Pfs, PfsSelector, Slot};
use crate::io::{Disk, Instant, Workers};
use crate::media::Inum;
use crate::media::compression::Decompressor;
use crate::memory::{self, Box, Heap, Vec, aside, boxed};
use file_cache::FileCache;
use gate::Gate;
use inode_cache::InodeCache;
use writing::Writing;

/// The smallest memory budget that a mount works with, in bytes.
pub const MIN_MEMORY_BYTES: usize = 2 << 20;

/// The most bytes by which blocks are requested ahead of a reader.
const READ_AHEAD_BYTES: u64 = 1 << 20;

/// How a filesystem is mounted.
#[derive(Clone, Copy, Debug)]
pub struct MountOptions {
    /// Memory that the mount may use, in bytes, request buffers included. The heap should have a little more.
    pub memory_bytes: usize,
    /// The number of nodes that may come in while it is mounted: their part of the memory is kept back.
    pub spare_nodes: usize,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self { memory_bytes: 16 << 20, spare_nodes: 0 }
    }
}

impl MountOptions {
    /// The memory for each of `nodes` nodes. A quarter of the budget is for metadata blocks and reads under way, an eighth for
    /// modified blocks, a quarter for file content, three sixteenths for open inodes, each of which takes a slot on every node;
    /// the rest is for blocks on their way to the devices.
    fn node_options(&self, nodes: usize) -> NodeOptions {
        let memory_bytes = self.memory_bytes.max(MIN_MEMORY_BYTES);
        NodeOptions {
            cache_bytes: memory_bytes / 4 / nodes,
            modified_bytes: memory_bytes / 8 / nodes,
            slots: memory_bytes / 16 * 3 / inode_cache::entry_bytes(nodes),
        }
    }

    /// A quarter of the memory for blocks, and no more than keeps any device busy.
    fn read_ahead_bytes(&self) -> u64 {
        (self.node_options(1).cache_bytes as u64 / 4).min(READ_AHEAD_BYTES)
    }

    fn file_cache_bytes(&self) -> usize {
        self.memory_bytes.max(MIN_MEMORY_BYTES) / 4
    }
}

/// A mounted PFS.
pub struct FileSystem {
    cluster: Box<Cluster>,
    pfs: Box<Pfs>,
    root: Slot,
    inodes: InodeCache,
    files: FileCache,
    decompressor: RefCell<Decompressor>,
    gate: Gate,
    /// A task that brings a node in step is a reader here, and one that changes the members a writer: nothing is copied to a
    /// member that goes.
    membership: Gate,
    /// Each node is brought in step by one task at a time.
    resyncs: Vec<Gate>,
    /// When each of these began, and how many bytes there were to look at.
    catching_up: Cell<[Option<(Instant, u64)>; MAX_NODES]>,
    read_ahead_bytes: u64,
    /// None when nothing may be changed.
    writing: Option<Box<Writing>>,
    /// Other processors, if the host lends any.
    workers: Option<&'static dyn Workers>,
    heap: Heap,
}

impl FileSystem {
    /// Mounts a PFS of the filesystem on `disks`, which must be all its volumes, in any order.
    pub async fn mount(
        heap: Heap,
        disks: Vec<Disk>,
        selector: PfsSelector<'_>,
        options: MountOptions,
    ) -> Result<Self, MountError> {
        let cluster = aside(heap, || Self::open_cluster(heap, disks, options))?.await?;
        aside(heap, || Self::mount_pfs(heap, cluster, selector, options))?.await
    }

    /// Opens the filesystem on `disks` without mounting a PFS, to list its PFSs.
    pub async fn open_cluster(heap: Heap, disks: Vec<Disk>, options: MountOptions) -> Result<Cluster, MountError> {
        Ok(Cluster::open_one(heap, disks, options.node_options(1)).await?)
    }

    /// Opens several nodes, each from the disks of its volumes, without mounting a PFS. `refused` is called with each node that
    /// can't be opened and the reason.
    pub async fn open_nodes(
        heap: Heap,
        nodes: Vec<Vec<Disk>>,
        options: MountOptions,
        refused: &mut dyn FnMut(usize, &OpenError),
    ) -> Result<Cluster, MountError> {
        let options = options.node_options((nodes.len() + options.spare_nodes).max(1));
        Ok(Cluster::open(heap, nodes, options, refused).await?)
    }

    /// Mounts a PFS of a cluster.
    pub async fn mount_pfs(
        heap: Heap,
        cluster: Cluster,
        selector: PfsSelector<'_>,
        options: MountOptions,
    ) -> Result<Self, MountError> {
        let cluster = boxed(heap, cluster)?;
        let mut pfs = aside(heap, || cluster.find_pfs(selector))?.await?.ok_or(MountError::NoSuchPfs)?;
        if !Cluster::is_mountable(pfs.kind) {
            return Err(MountError::NotMountable(pfs.kind));
        }
        let (root, record) = aside(heap, || cluster.enter(&pfs))?.await?;
        pfs.root = *record;
        Ok(Self {
            inodes: InodeCache::new(heap, cluster.slot_count())?,
            files: FileCache::new(heap, options.file_cache_bytes())?,
            decompressor: RefCell::new(Decompressor::new(heap)?),
            cluster,
            pfs,
            root,
            gate: Gate::new(heap),
            membership: Gate::new(heap),
            resyncs: memory::filled(heap, MAX_NODES, || Gate::new(heap))?,
            catching_up: Cell::default(),
            read_ahead_bytes: options.read_ahead_bytes(),
            writing: None,
            workers: None,
            heap,
        })
    }

    /// Makes the mount writable; `time` supplies the times of files.
    pub async fn make_writable(mut self, time: &'static dyn TimeSource) -> Result<Self, MountError> {
        if !self.cluster.is_writable(self.pfs.kind) {
            return Err(MountError::NotWritable(self.pfs.kind));
        }
        aside(self.heap, || self.cluster.begin(time))?.await?;
        let writing = Writing::new(self.heap, time, &self.pfs.root, self.cluster.tid_floor())?;
        self.writing = Some(boxed(self.heap, writing)?);
        // Files that can't be removed stay on their list for the next mount. What is wrong with them is reported elsewhere.
        let _ = aside(self.heap, || self.reclaim_orphans())?.await;
        Ok(self)
    }

    /// Has other processors compress and decompress blocks from here on, beside this one.
    pub fn use_workers(&mut self, workers: &'static dyn Workers) {
        self.workers = Some(workers);
    }

    /// Unmounts: makes everything durable and returns the cluster, which can mount another PFS.
    pub async fn unmount(self) -> Result<Cluster, Error> {
        if self.writing.is_some() {
            aside(self.heap, || self.attend(self.leave_all_durable()))?.await?;
            self.cluster.release().await;
        }
        aside(self.heap, || self.close_all())?.await?;
        Ok(Box::into_inner(self.cluster))
    }

    /// Makes everything durable, and removes all files without a name.
    async fn leave_all_durable(&self) -> Result<(), Error> {
        aside(self.heap, || self.reclaim_orphans())?.await?;
        aside(self.heap, || self.sync())?.await?;
        let _still = self.resting().await?;
        Ok(aside(self.heap, || self.cluster.flush_all())?.await?)
    }

    async fn close_all(&self) -> Result<(), Error> {
        for slot in self.inodes.slots() {
            self.cluster.close(slot);
        }
        self.cluster.close(self.root);
        Ok(())
    }

    /// The mounted PFS.
    pub fn pfs(&self) -> &Pfs {
        &self.pfs
    }

    /// The heap the mount takes its memory from.
    pub fn heap(&self) -> Heap {
        self.heap
    }

    /// Capacity and use.
    pub fn statistics(&self) -> Statistics {
        let header = self.cluster.header();
        let free_bytes = match self.writing {
            Some(_) => self.unclaimed_bytes(),
            None => header.allocator_free(),
        };
        Statistics::new(header.allocator_size(), free_bytes, self.pfs.root.stats.inodes)
    }

    /// Extends the last volume to `volume_bytes` of its device, or to all of it, if that makes it larger. When this returns, the
    /// growth and everything done before are durable.
    pub async fn grow(&self, volume_bytes: Option<u64>) -> Result<Growth, Error> {
        let _still = self.still().await?;
        self.cluster.committed().await;
        self.write_all().await?;
        Ok(self.cluster.grow(volume_bytes).await?)
    }

    /// The attributes of a file.
    pub async fn attributes(&self, inum: Inum) -> Result<Attributes, Error> {
        let _reading = self.reading().await?;
        let inode = self.inode(inum).await?;
        // If its stored bytes can't be counted now, the last count stands, and everything else is known.
        if inode.is_uncounted()
            && let Ok(bytes) = self.cluster.stored_bytes(inode.slot).await
        {
            inode.set_stored_bytes(bytes);
        }
        let attributes = inode.attributes()?;
        Ok(Attributes { unstored_bytes: self.files.dirty_bytes(inum, attributes.size), ..attributes })
    }

    /// The inode of `path`: names separated by `/`, from the root. Symbolic links are not followed.
    pub async fn resolve(&self, path: &[u8]) -> Result<Inum, Error> {
        let mut at = Inum::PFS_ROOT;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
            at = self.lookup(at, name).await?;
        }
        Ok(at)
    }
}
