//! Reads what is left of a filesystem that may be damaged anywhere, and never writes.
//!
//! [`Rescue`] opens volumes whose headers may be gone ([`Rescue::states`] are the headers that are left). A [`Walk`] goes over a
//! tree from any blockrefs: a part of it that can't be read is a [`Gap`], and the walk goes on behind it. Where no tree leads,
//! [`Rescue::scan`] looks at every kilobyte for inodes and for blockrefs of inodes and names. A block is always believed on the
//! strength of its check code, compared with that in a blockref; a block for which no surviving blockref has a code is [named by
//! its place](unchecked_inode) and [not checked](is_checked).
//!
//! Memory doesn't grow with the volumes: the block cache has its budget, and the caller of a scan decides where to keep what it
//! finds.

mod absent;
mod content;
mod recognition;
mod scan;
#[cfg(test)]
mod tests;
mod volumes;
mod walk;

pub use content::Piece;
pub use scan::{Scanned, Scanner};
pub use walk::{Gap, Step, Walk};

use core::cell::RefCell;

use crate::io::{BlockCache, DeviceName, Disk, ReadError};
use crate::media::compression::Decompressor;
use crate::media::volume_header::Blockset;
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Corruption, DataOff, Dirent, Inode, Inum, Key, KeyBits, KeyRange,
    MediaOffset, Methods, MirrorTid, Radix,
};
use crate::memory::{Heap, NoMemory, Vec};
use crate::node::OpenError;

/// The name of a directory entry.
pub type Name = heapless::Vec<u8, { crate::media::geometry::MAX_NAME_BYTES }>;

/// The state of a filesystem according to one of its headers.
#[derive(Clone, Copy)]
pub struct State {
    /// The header's flush.
    pub tid: MirrorTid,
    /// Leads to the super-root.
    pub super_root: Blockset,
}

/// A damaged filesystem, opened for reading what is left.
pub struct Rescue {
    heap: Heap,
    blocks: BlockCache,
    states: Vec<State>,
    absent: Vec<usize>,
    headerless: Vec<DeviceName>,
    decompressor: RefCell<Decompressor>,
}

/// A name in a directory, and what it names.
pub struct Entry {
    /// The name.
    pub name: Name,
    /// The inode.
    pub inum: Inum,
    /// The code of the file's type.
    pub kind: u8,
}

impl Rescue {
    /// Opens `disks`, all volumes of one filesystem. Disks without a header take the free places in the order in which they are
    /// given; missing volumes are replaced by devices that fail every request.
    pub async fn open(heap: Heap, disks: Vec<Disk>, cache_bytes: usize) -> Result<Self, OpenError> {
        let volumes::Arranged { volumes, states, absent, headerless } = volumes::arrange(heap, disks).await?;
        Ok(Self {
            heap,
            blocks: BlockCache::new(heap, volumes, cache_bytes)?,
            states,
            absent,
            headerless,
            decompressor: RefCell::new(Decompressor::new(heap)?),
        })
    }

    /// The states of the headers that are left, the newest first.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The numbers of volumes that weren't given.
    pub fn absent(&self) -> &[usize] {
        &self.absent
    }

    /// Devices without any header.
    pub fn headerless(&self) -> &[DeviceName] {
        &self.headerless
    }

    /// Bytes of the address space.
    pub fn total_bytes(&self) -> u64 {
        self.blocks.volumes().total_bytes()
    }

    /// A walk over the roots of all PFSs of a state; an error if its super-root can't be read.
    pub async fn pfs_roots(&self, state: &State) -> Result<Result<Walk, ReadError>, NoMemory> {
        let mut top = Walk::new(state.super_root, KeyRange::only(Inum::SUPER_ROOT.key()));
        match top.next(self).await? {
            None => Ok(Err(Corruption::NoSuperRoot.into())),
            Some(Step::Gap(gap)) => Ok(Err(gap.error)),
            Some(Step::Leaf(bref)) => {
                let inode = self.inode(&bref).await?;
                Ok(inode.map(|inode| Walk::new(inode.body_set(), KeyRange::ALL)))
            }
        }
    }

    /// The inode a blockref leads to.
    pub async fn inode(&self, bref: &Blockref) -> Result<Result<Inode, ReadError>, NoMemory> {
        match self.blocks.load(bref).await {
            Ok(block) => Ok(Inode::in_block(&block.bytes()).copied().map_err(ReadError::Corrupt)),
            Err(ReadError::NoMemory) => Err(NoMemory),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The inode with this number in the index below a PFS root; none where the index has none.
    pub async fn lookup(
        &self,
        root: &Blockset,
        inum: Inum,
    ) -> Result<Result<Option<(Blockref, Inode)>, ReadError>, NoMemory> {
        let mut walk = Walk::new(*root, KeyRange::only(inum.key()));
        let bref = match walk.next(self).await? {
            None => return Ok(Ok(None)),
            Some(Step::Gap(gap)) => return Ok(Err(gap.error)),
            Some(Step::Leaf(bref)) => bref,
        };
        if !bref.is(BlockKind::Inode) {
            return Ok(Err(Corruption::BlockType(bref.kind_code()).into()));
        }
        Ok(self.inode(&bref).await?.and_then(|inode| match inode.meta.inum() {
            found if found == inum => Ok(Some((bref, inode))),
            found => Err(Corruption::InodeNumber { wanted: inum, found }.into()),
        }))
    }

    /// Reads the name that a leaf of a directory's tree stands for.
    pub async fn entry(&self, leaf: &Blockref) -> Result<Result<Entry, ReadError>, NoMemory> {
        let read = match leaf.kind() {
            Ok(BlockKind::Dirent) => self.dirent(leaf).await,
            // Older writers put the inode itself under its name (format 3.2).
            Ok(BlockKind::Inode) => match self.inode(leaf).await? {
                Ok(inode) => inode.meta.name().map_err(ReadError::Corrupt).and_then(|name| {
                    let kind = inode.meta.kind()? as u8;
                    Ok(Entry { name: Name::from_slice(name).unwrap_or_default(), inum: inode.meta.inum(), kind })
                }),
                Err(error) => Err(error),
            },
            _ => Err(ReadError::Corrupt(Corruption::BlockType(leaf.kind_code()))),
        };
        match read {
            Err(ReadError::NoMemory) => Err(NoMemory),
            read => Ok(read),
        }
    }

    async fn dirent(&self, leaf: &Blockref) -> Result<Entry, ReadError> {
        let dirent = Dirent::read(leaf)?;
        let name = if leaf.data_off().radix()?.is_some() {
            let block = self.blocks.load(leaf).await?;
            let bytes = block.bytes();
            Name::from_slice(dirent.name(leaf, Some(&bytes))?)
        } else {
            Name::from_slice(dirent.name(leaf, None)?)
        };
        // A name is never longer.
        Ok(Entry { name: name.unwrap_or_default(), inum: dirent.inum, kind: dirent.kind as u8 })
    }
}

/// True when the block that a blockref leads to is compared with a check code.
pub fn is_checked(bref: &Blockref) -> bool {
    bref.methods.check().is_ok_and(|method| method.code_bytes() > 0)
}

/// Names an inode only by its place: what is read there is compared with no check code.
pub fn unchecked_inode(at: MediaOffset, key: Key) -> Blockref {
    let methods = Methods::new(CheckMethod::None, Compression::None);
    let mut bref = Blockref::new(BlockKind::Inode, key, KeyBits(0), methods);
    bref.set_data_off(DataOff::new(at, Radix::MIN));
    bref
}
