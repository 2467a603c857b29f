//! The changes that a node is told to make.
//!
//! A modification's outcome depends only on logical content, never on layout, memory or a clock: it carries numbers, times, keys,
//! methods, data as it is stored, and its transaction id. A node executes modifications in order, or leaves.

use super::{Sharing, Slot};
use crate::io::Buffer;
use crate::media::check::CheckField;
use crate::media::geometry::CHUNK_BYTES;
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Dirent, FileKind, Inode, InodeMeta, Inum, Key, KeyRange, Methods, PfsKind};
use crate::memory::{Heap, NoMemory};

/// A file block as it will be stored: made once, above the nodes.
#[derive(Debug)]
pub struct StoredBlock {
    /// The bytes, as many as the block has on media.
    pub buffer: Buffer,
    /// How they are checked and compressed.
    pub methods: Methods,
    /// Their check code.
    pub check: CheckField,
}

impl StoredBlock {
    /// Prepares the block for sharing among several nodes. A block that fills whole chunks is then in memory once for all of
    /// them; of a smaller one, each node keeps a copy anyway, beside its other small blocks.
    pub fn make_shareable(&mut self, heap: Heap) -> Result<(), NoMemory> {
        if self.is_small() { Ok(()) } else { self.buffer.make_shareable(heap) }
    }

    pub(super) fn is_small(&self) -> bool {
        self.buffer.len() < CHUNK_BYTES as usize
    }
}

/// A block handed to a node.
#[derive(Debug)]
pub enum GivenBlock<'a> {
    /// It belongs to the node.
    Owned(StoredBlock),
    /// It is taken only when it is written, and stays with its owner if that fails.
    Lent(&'a mut Option<StoredBlock>),
    /// It stays with its owner, and the node shares its memory: it was [prepared](StoredBlock::make_shareable) for that.
    Shown(&'a StoredBlock),
    /// It was taken.
    Taken,
}

impl GivenBlock<'_> {
    /// The block, unless it was taken.
    pub fn get(&self) -> Option<&StoredBlock> {
        match self {
            Self::Owned(block) => Some(block),
            Self::Lent(block) => block.as_ref(),
            Self::Shown(block) => Some(block),
            Self::Taken => None,
        }
    }

    /// Takes it, if it may be taken and hasn't been.
    pub fn take(&mut self) -> Option<StoredBlock> {
        match core::mem::replace(self, Self::Taken) {
            Self::Owned(block) => Some(block),
            Self::Lent(block) => block.take(),
            Self::Shown(_) | Self::Taken => None,
        }
    }

    /// Prepares it for being [shown](Self::Shown) to several nodes.
    pub fn make_shareable(&mut self, heap: Heap) -> Result<(), NoMemory> {
        match self {
            Self::Owned(block) => block.make_shareable(heap),
            Self::Lent(Some(block)) => block.make_shareable(heap),
            Self::Lent(None) | Self::Shown(_) | Self::Taken => Ok(()),
        }
    }

    /// The memory of a shown block, for this node to keep.
    pub(super) fn share(&self) -> Result<Option<Buffer>, NoMemory> {
        match self {
            Self::Shown(block) if !block.is_small() => block.buffer.share().ok_or(NoMemory).map(Some),
            _ => Ok(None),
        }
    }
}

/// A new file: an inode, and the directory entry that is its first name.
#[derive(Clone, Copy)]
pub struct Creation<'a> {
    /// The inode; its body is file content or empty.
    pub inode: &'a Inode,
    /// What it is.
    pub kind: FileKind,
    /// The name.
    pub name: &'a [u8],
    /// Where both are put.
    pub places: Places,
}

/// Where a new file and its name are put, and how they are protected.
#[derive(Clone, Copy)]
pub struct Places {
    /// The root of the PFS.
    pub pfs: Slot,
    /// How the inode's block is protected.
    pub methods: Methods,
    /// The directory.
    pub directory: Slot,
    /// The entry is put under the first of these keys, and none of them may be taken.
    pub keys: KeyRange,
    /// How the entry is protected.
    pub entry_methods: Methods,
    /// A free slot that is to name the inode.
    pub into: Option<Slot>,
}

impl<'a> Creation<'a> {
    /// What the directory says of the file.
    pub(super) fn entry(&self) -> Dirent {
        Dirent { inum: self.inode.meta.inum(), name_len: self.name.len(), kind: self.kind }
    }

    /// Only the half that is the inode.
    pub fn inode_alone(&self) -> Modification<'a> {
        let Places { pfs, methods, .. } = self.places;
        Modification::CreateInode { pfs, inode: self.inode, methods }
    }

    /// Only the half that is the entry.
    pub fn entry_alone(&self) -> Modification<'a> {
        let Places { directory, keys, entry_methods: methods, .. } = self.places;
        Modification::AddEntry { directory, key: keys.first, entry: self.entry(), name: self.name, methods }
    }
}

/// A command that changes something.
pub enum Modification<'a> {
    /// Adds an inode to the index, under its number. Outcome: `Done`, `Exists`.
    CreateInode {
        /// The root of its PFS.
        pfs: Slot,
        /// The inode; its body is file content or empty.
        inode: &'a Inode,
        /// How its block is protected.
        methods: Methods,
    },
    /// Adds an inode and its first name, or neither. Outcome: `Done`; `Exists` when a key is taken, be it by the same name or by
    /// another with the same hash.
    Create(Creation<'a>),
    /// Replaces an inode's metadata. A body of blockrefs stays; one that was file content and no longer is becomes empty.
    WriteInode {
        /// The inode.
        slot: Slot,
        /// The new metadata.
        meta: &'a InodeMeta,
        /// The file content in the inode, if that changes too.
        content: Option<&'a [u8; EMBEDDED_BYTES]>,
    },
    /// Removes an inode from the index, with all below it. Outcome: `Done`, `Absent`.
    RemoveInode {
        /// The root of its PFS.
        pfs: Slot,
        /// Its number.
        inum: Inum,
    },
    /// Adds a directory entry. Outcome: `Done`, `Exists`.
    AddEntry {
        /// The directory.
        directory: Slot,
        /// Its key.
        key: Key,
        /// Its content.
        entry: Dirent,
        /// Its name.
        name: &'a [u8],
        /// How it is protected.
        methods: Methods,
    },
    /// Removes a directory entry. Outcome: `Done`, `Absent`.
    RemoveEntry {
        /// The directory.
        directory: Slot,
        /// Its key.
        key: Key,
    },
    /// Stores a file block in place of the former one.
    WriteBlock {
        /// The file.
        file: Slot,
        /// Its offset.
        key: Key,
        /// The block.
        block: GivenBlock<'a>,
    },
    /// Turns file blocks into a hole.
    RemoveBlocks {
        /// The file.
        file: Slot,
        /// Their offsets.
        range: KeyRange,
    },
    /// Makes file blocks those of another file, or of another part of the same: both share them then. Holes become holes. The
    /// two ranges have nothing in common.
    CloneBlocks(Sharing),
    /// Stamps the arrays below an inode that hold keys of a range as changed by the operation. This is for copies: a change that
    /// leaves nothing to copy must still be found when the copy is copied in turn.
    Stamp {
        /// The inode.
        slot: Slot,
        /// The keys.
        range: KeyRange,
    },
    /// Adds a PFS root to the super-root. Outcome: `Done`, `Exists`.
    CreatePfs {
        /// The root; its body is what is below it.
        inode: &'a Inode,
        /// Its key.
        key: Key,
        /// The PFS whose content it takes over, for a snapshot.
        origin: Option<Slot>,
    },
    /// Sets the role of a PFS root in its cluster on this node. The content of the PFS doesn't change.
    SetPfsRole {
        /// The root.
        slot: Slot,
        /// Its role.
        kind: PfsKind,
        /// The number of masters.
        masters: u8,
    },
    /// Removes a PFS with all below it. Outcome: `Done`, `Absent`.
    RemovePfs {
        /// Its key in the super-root.
        key: Key,
    },
}

/// The outcome of a modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The key is taken.
    Exists,
    /// There is nothing to remove.
    Absent,
}

impl Modification<'_> {
    /// The same modification for one of several nodes: its file block stays with the owner. None for a modification without a
    /// block, which any number of nodes can be given as it is.
    pub fn shown(&self) -> Option<Modification<'_>> {
        let Self::WriteBlock { file, key, block } = self else { return None };
        let block = GivenBlock::Shown(block.get()?);
        Some(Modification::WriteBlock { file: *file, key: *key, block })
    }
}
