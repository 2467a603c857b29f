//! What a node is told to change.
//!
//! A modification's outcome depends on logical content alone, never on layout, memory or a clock: numbers, times, keys, methods
//! and data as it is stored travel in it, and so does its transaction id. It is executed in order, or the node leaves.

use super::Slot;
use crate::io::Buffer;
use crate::media::check::CheckField;
use crate::media::geometry::CHUNK_BYTES;
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Dirent, Inode, InodeMeta, Inum, Key, KeyRange, Methods, PfsKind};
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
    /// Makes it possible to give the block to several nodes: one that fills chunks of its own is in memory once for all of them,
    /// and of a smaller one each keeps a copy anyway, beside its other small blocks.
    pub fn make_shareable(&mut self, heap: Heap) -> Result<(), NoMemory> {
        if self.is_small() { Ok(()) } else { self.buffer.make_shareable(heap) }
    }

    pub(super) fn is_small(&self) -> bool {
        self.buffer.len() < CHUNK_BYTES as usize
    }
}

/// A block on its way to a node.
#[derive(Debug)]
pub enum GivenBlock<'a> {
    /// It is the node's.
    Owned(StoredBlock),
    /// It is taken only when it is written, and stays where it was when that fails.
    Lent(&'a mut Option<StoredBlock>),
    /// It stays where it is, and the node shares its memory: it was [made so](StoredBlock::make_shareable).
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

    /// Takes it, if it may be taken and nobody has.
    pub fn take(&mut self) -> Option<StoredBlock> {
        match core::mem::replace(self, Self::Taken) {
            Self::Owned(block) => Some(block),
            Self::Lent(block) => block.take(),
            Self::Shown(_) | Self::Taken => None,
        }
    }

    /// Makes it possible to [show](Self::Shown) it to several nodes.
    pub fn make_shareable(&mut self, heap: Heap) -> Result<(), NoMemory> {
        match self {
            Self::Owned(block) => block.make_shareable(heap),
            Self::Lent(Some(block)) => block.make_shareable(heap),
            Self::Lent(None) | Self::Shown(_) | Self::Taken => Ok(()),
        }
    }

    /// The memory of a block that is shown, for this node to keep.
    pub(super) fn share(&self) -> Result<Option<Buffer>, NoMemory> {
        match self {
            Self::Shown(block) if !block.is_small() => block.buffer.share().ok_or(NoMemory).map(Some),
            _ => Ok(None),
        }
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
    /// Replaces what an inode says. A body of blockrefs stays; one that was file content and no longer is becomes empty.
    WriteInode {
        /// The inode.
        slot: Slot,
        /// What it shall say.
        meta: &'a InodeMeta,
        /// The file content in it, when that changes too.
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
        /// Where.
        key: Key,
        /// What it says.
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
        /// Where.
        key: Key,
    },
    /// Stores a file block in place of what was there.
    WriteBlock {
        /// The file.
        file: Slot,
        /// Its offset.
        key: Key,
        /// The block.
        block: GivenBlock<'a>,
    },
    /// Makes file blocks a hole.
    RemoveBlocks {
        /// The file.
        file: Slot,
        /// Their offsets.
        range: KeyRange,
    },
    /// Says of the arrays below an inode that hold keys of a range that the operation changed something there. For copies: a
    /// change that leaves nothing behind, and nothing to copy, still has to be found by who copies from the copy.
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
        /// Where.
        key: Key,
        /// The PFS whose content it takes over as it is: a snapshot of it.
        origin: Option<Slot>,
    },
    /// Says what a PFS root is in its cluster, which is the node's own. What the PFS holds doesn't change.
    SetPfsRole {
        /// The root.
        slot: Slot,
        /// What it is.
        kind: PfsKind,
        /// The masters there are.
        masters: u8,
    },
    /// Removes a PFS with all below it. Outcome: `Done`, `Absent`.
    RemovePfs {
        /// Where it is in the super-root.
        key: Key,
    },
}

/// What came of a modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The key is taken.
    Exists,
    /// There is no such thing.
    Absent,
}

impl Modification<'_> {
    /// The same, for one of several nodes: its file block stays where it is. None for a modification without one, which any
    /// number of nodes can be given.
    pub fn shown(&self) -> Option<Modification<'_>> {
        let Self::WriteBlock { file, key, block } = self else { return None };
        let block = GivenBlock::Shown(block.get()?);
        Some(Modification::WriteBlock { file: *file, key: *key, block })
    }
}
