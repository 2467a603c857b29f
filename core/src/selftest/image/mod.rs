//! Populated volumes for the tests, composed according to the description of the format.
//!
//! The builder shares only the structures of [`media`](crate::media) with the code that it tests: it reads back nothing except
//! what newfs wrote, and lays blocks out by its own rules. Whenever it changes, its images are compared by hand with an
//! independent checker, so that a mistake in the structures shows. The same recipe gives the same bytes.

mod allocation;
pub mod collisions;
mod content;
mod error;
pub mod fault;
mod map;
mod medium;
mod pfs;
pub mod population;
mod store;
mod trail;
mod tree;
mod written;

use zerocopy::{FromBytes, IntoBytes};

pub use allocation::Spread;
pub use content::Content;
pub use error::ImageError;
pub use map::{BlockMap, Changes, Mapped};
pub use medium::SharedDisk;
pub use pfs::{Editor, FileRecipe};
pub use trail::{Candidate, Trail};
pub use tree::IndirectSizes;
pub use written::{Seal, Written};

use crate::io::{Buffer, Clock, Disk, MemoryDisk};
use crate::media::blockref::BlockFlags;
use crate::media::compressor::Compressor;
use crate::media::inode::{INODE_BYTES, InodeFlags};
use crate::media::volume_header::{SET_ENTRIES, VOLUME_HEADER_BYTES};
use crate::media::{
    BlockArray, BlockKind, Blockref, CheckMethod, Compression, FileKind, Inode, Inum, KeyBits, KeyRange, Methods,
    MirrorTid, ModifyTid, PfsKind, PfsSubkind, Timestamp, Uuid, VolumeHeader, directory_hash,
};
use crate::memory::{self, Box, Heap, Vec};
use crate::newfs::{NewfsOptions, newfs};
use crate::random::Random;

use allocation::Allocation;

use medium::{Medium, open_disks};
use pfs::Pfs;
use store::Store;

/// The time at which every image is made: 2023-11-14, 22:13:20 UTC.
pub const IMAGE_TIME: Timestamp = Timestamp { microseconds: 1_700_000_000_000_000 };

/// A filesystem on disks in memory.
pub struct Image {
    store: Store,
    header: Box<VolumeHeader>,
    /// The header copy written last.
    copy: usize,
    /// The number of commits so far.
    commits: u64,
    super_root: Inode,
    pfss: Vec<Pfs>,
    random: Random,
    heap: Heap,
}

impl Image {
    /// Formats volumes of the given sizes, which must be valid in the format: multiples of 8 MiB, and all but the last multiples
    /// of 1 GiB.
    pub async fn format(
        heap: Heap,
        clock: &'static dyn Clock,
        volume_bytes: &[u64],
        options: &NewfsOptions<'_>,
        spread: Spread,
        seed: u64,
    ) -> Result<Self, ImageError> {
        let mut random = Random::new(seed);
        let mut disks = Vec::new_in(heap);
        for bytes in volume_bytes {
            memory::push(&mut disks, SharedDisk::new(MemoryDisk::new(heap, *bytes)))?;
        }
        let medium = Medium { disks };
        let drives = open_disks(heap, clock, &medium.disks)?;
        let mut refs = Vec::new_in(heap);
        for drive in &drives {
            memory::push(&mut refs, drive)?;
        }
        newfs(&refs, options, heap, &mut |bytes| random.fill(bytes), IMAGE_TIME).await?;
        Self::load(heap, medium, spread, random)
    }

    /// Reads what newfs wrote.
    fn load(heap: Heap, medium: Medium, spread: Spread, random: Random) -> Result<Self, ImageError> {
        let mut buffer = Buffer::new(heap, VOLUME_HEADER_BYTES)?;
        medium.read_header(0, buffer.bytes_mut())?;
        let header = VolumeHeader::read_from_bytes(buffer.bytes()).map_err(|_| ImageError::Missing("header"))?;
        header.check_identity()?;
        let header = memory::boxed(heap, header)?;
        let super_root = read_inode(&medium, &header.sroot_blockset[0])?;
        let mut pfss = Vec::new_in(heap);
        for entry in BlockArray::new(&super_root.body, KeyRange::ALL).entries().iter().filter(|entry| !entry.is_empty())
        {
            memory::push(&mut pfss, Pfs::new(heap, *entry, read_inode(&medium, entry)?, false)?)?;
        }
        let (begin, total) = (header.allocator_beg(), header.filesystem_bytes());
        let store = Store {
            medium,
            allocation: Allocation::new(heap, begin, total, spread),
            codec: Compressor::new(heap)?,
            tid: MirrorTid(header.mirror_tid().0 + 1),
            modify_tid: ModifyTid(0),
            heap,
        };
        Ok(Self { store, header, copy: 0, commits: 0, super_root, pfss, random, heap })
    }

    /// The disks, volume by volume.
    pub fn disks(&self) -> &[SharedDisk] {
        &self.store.medium.disks
    }

    /// Fresh devices on the disks, volume by volume.
    pub fn open(&self, heap: Heap, clock: &'static dyn Clock) -> Result<Vec<Disk>, ImageError> {
        open_disks(heap, clock, self.disks())
    }

    /// The header committed last.
    pub fn header(&self) -> &VolumeHeader {
        &self.header
    }

    /// The PFS with this label, for additions.
    pub fn edit(&mut self, label: &[u8]) -> Result<Editor<'_>, ImageError> {
        let index = self.pfs_index(label)?;
        Ok(Editor { store: &mut self.store, pfs: &mut self.pfss[index], now: IMAGE_TIME })
    }

    /// Adds an empty PFS.
    pub fn add_pfs(&mut self, label: &[u8]) -> Result<(), ImageError> {
        let mut inode = Inode::new(FileKind::Directory);
        let meta = &mut inode.meta;
        meta.set_mode(0o755);
        meta.set_inum(Inum::PFS_ROOT);
        meta.set_nlinks(1);
        meta.set_iparent(Inum::PFS_ROOT);
        meta.set_pfs_kind(PfsKind::Master);
        meta.comp_algo = Compression::Lz4 as u8;
        meta.check_algo = CheckMethod::XxHash64 as u8;
        self.add_root(label, inode, false)
    }

    /// Adds a snapshot of a PFS as it was last committed.
    pub fn snapshot(&mut self, of: &[u8], label: &[u8]) -> Result<(), ImageError> {
        let source = &self.pfss[self.pfs_index(of)?];
        let entry = source.root;
        let mut inode = *source.root_inode()?;
        inode.meta.set_pfs_subkind(PfsSubkind::Snapshot);
        inode.meta.set_pfs_lsnap_tid(self.store.next_modify_tid());
        let last = self.pfss.len();
        self.add_root(label, inode, true)?;
        self.pfss[last].root.set_stats(entry.stats());
        self.pfss[last].root.set_leaf_count(entry.leaf_count());
        Ok(())
    }

    fn add_root(&mut self, label: &[u8], mut inode: Inode, sealed: bool) -> Result<(), ImageError> {
        let mut key = directory_hash(label).first;
        while self.pfss.iter().any(|pfs| pfs.root.key() == key) {
            key.0 += 1;
        }
        let meta = &mut inode.meta;
        meta.set_ctime(IMAGE_TIME);
        meta.set_mtime(IMAGE_TIME);
        meta.set_atime(IMAGE_TIME);
        meta.set_btime(IMAGE_TIME);
        meta.set_name(label);
        meta.set_name_key(key);
        meta.set_flags(InodeFlags::PFSROOT);
        meta.pfs_clid = self.uuid();
        let fsid = self.uuid();
        inode.meta.pfs_fsid = fsid;
        let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
        let mut entry = Blockref::new(BlockKind::Inode, key, KeyBits(0), methods);
        entry.set_flags(BlockFlags::PFSROOT);
        entry.set_modify_tid(self.store.next_modify_tid());
        let entry = self.store.put(entry, inode.as_bytes())?;
        memory::push(&mut self.pfss, Pfs::new(self.heap, entry, inode, sealed)?)?;
        Ok(())
    }

    /// Writes everything added since the last commit, and a header for it.
    pub fn commit(&mut self) -> Result<(), ImageError> {
        let mut roots = Vec::new_in(self.heap);
        for pfs in &mut self.pfss {
            pfs.commit(&mut self.store)?;
            memory::push(&mut roots, pfs.root)?;
        }
        roots.sort_unstable_by_key(Blockref::key);
        let old = self.header.sroot_blockset[0];
        let mut entry = Blockref::new(BlockKind::Inode, old.key(), KeyBits(0), old.methods);
        let packed = tree::pack(&mut self.store, &roots, SET_ENTRIES, old.methods, tree::IndirectSizes::DIRECTORY)?;
        self.super_root.body.fill(0);
        self.super_root.body[..size_of_val(&*packed)].copy_from_slice(packed.as_bytes());
        store::set_sums(&mut entry, &packed)?;
        self.header.sroot_blockset[0] = self.store.put(entry, self.super_root.as_bytes())?;

        let tid = self.store.tid;
        let freemap = self.store.allocation.write_freemap(&self.store.medium, self.commits, tid, self.heap)?;
        self.header.freemap_blockset = freemap;
        let free = self.header.allocator_size() - self.store.allocation.taken_bytes();
        self.header.set_allocator_free(free);
        self.header.set_mirror_tid(tid);
        self.header.set_freemap_tid(tid);
        self.header.seal();
        self.copy = self.header.next_copy(self.copy);
        self.store.medium.write_header(self.copy, self.header.as_bytes())?;
        self.commits += 1;
        self.store.tid.0 += 1;
        Ok(())
    }

    fn pfs_index(&self, label: &[u8]) -> Result<usize, ImageError> {
        self.pfss.iter().position(|pfs| pfs.label() == label).ok_or(ImageError::Missing("PFS"))
    }

    fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        Uuid::random(bytes)
    }
}

fn read_inode(medium: &Medium, entry: &Blockref) -> Result<Inode, ImageError> {
    let mut bytes = [0; INODE_BYTES];
    medium.read(entry.data_off().offset(), &mut bytes)?;
    entry.verify(&bytes)?;
    Ok(*Inode::in_block(&bytes)?)
}
