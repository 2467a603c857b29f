//! The commands that a node gets, and its answers.
//!
//! Commands and replies contain only logical content: keys, names, metadata, data as it is stored. They never contain a place on
//! a device, so nodes with different layouts give equal replies. Inodes are named by *slots*, which the sender of the commands
//! chooses: a command may use a slot before the command that opens it was executed.

use super::{Elements, EntryBatch};
use crate::io::Buffer;
use crate::media::blockref::BlockStats;
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Blockref, Compression, Dirent, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid};
use crate::memory::Box;

/// Names an inode on every node, from the command that opens it until the one that closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A command that changes nothing.
#[derive(Debug)]
pub enum Command<'a> {
    /// Opens the PFS with this label. Reply: `Inode`, `Absent`.
    OpenPfs {
        /// The label.
        label: &'a [u8],
        /// The slot for its root.
        into: Slot,
    },
    /// Looks at the first PFS root with a key in `range`, without opening it. Reply: `Inode`, `Absent`.
    NextPfs {
        /// Where to look in the super-root.
        range: KeyRange,
    },
    /// Opens an inode by number. Reply: `Inode`, `Absent`.
    OpenInode {
        /// The root of its PFS.
        pfs: Slot,
        /// Its number.
        inum: Inum,
        /// The slot for it.
        into: Slot,
    },
    /// Finds the entry of this name. Reply: `Entry`, `Absent`.
    MatchName {
        /// The directory.
        directory: Slot,
        /// The name.
        name: &'a [u8],
    },
    /// Fills a batch with entries. Reply: `Scanned`.
    Scan {
        /// The directory.
        directory: Slot,
        /// The keys to look at.
        range: KeyRange,
        /// The batch to fill.
        batch: &'a mut EntryBatch,
    },
    /// Reads the file block with this key. Reply: `Block`.
    ReadBlock {
        /// The file.
        file: Slot,
        /// The block's offset in the file.
        key: Key,
    },
    /// Starts reading file blocks that will be wanted soon. Reply: `Done`.
    Prefetch {
        /// The file.
        file: Slot,
        /// Their offsets.
        range: KeyRange,
    },
    /// Finds the first block of a file that isn't a hole. Reply: `Key`, `Absent`.
    NextBlock {
        /// The file.
        file: Slot,
        /// Where to look.
        range: KeyRange,
    },
    /// Adds up the blocks stored for what is below an inode, including uncommitted ones. Reply: `Stored`.
    Stored {
        /// The inode.
        slot: Slot,
    },
    /// Lists what is below an inode, except what didn't change since an operation. Reply: `Scanned`.
    List {
        /// The inode.
        slot: Slot,
        /// The keys to look at.
        range: KeyRange,
        /// The operation since which changes are listed.
        since: ModifyTid,
        /// The list to fill.
        elements: &'a mut Elements,
    },
    /// Makes a slot name an inode that is known to exist, because another node answered for it. Reply: `Done`.
    Name {
        /// The root of its PFS.
        pfs: Slot,
        /// Its number.
        inum: Inum,
        /// The slot for it.
        into: Slot,
    },
    /// Forgets a slot. Reply: `Done`.
    Close {
        /// The slot.
        slot: Slot,
    },
}

/// An inode, as commands return it.
#[derive(Clone, Copy)]
pub struct InodeRecord {
    /// Its key: inode number or place in the super-root.
    pub key: Key,
    /// The operation that last changed it or anything below.
    pub modify_tid: ModifyTid,
    /// How its block is protected.
    pub methods: Methods,
    /// What is below it.
    pub stats: BlockStats,
    /// Everything but the body.
    pub meta: InodeMeta,
}

impl InodeRecord {
    pub(crate) fn new(bref: &Blockref, meta: &InodeMeta) -> Self {
        Self { key: bref.key(), modify_tid: bref.modify_tid(), methods: bref.methods, stats: bref.stats(), meta: *meta }
    }
}

impl core::fmt::Debug for InodeRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "InodeRecord({:?}, {:?}, {:?})", self.key, self.meta.inum(), self.modify_tid)
    }
}

/// 64 KiB of a file.
#[derive(Debug)]
pub enum FileBlock {
    /// Nothing is stored: all zero.
    Hole,
    /// The file's content is stored in its inode.
    Embedded(Box<[u8; EMBEDDED_BYTES]>),
    /// A data block as it is stored, with a valid check code.
    Stored {
        /// The stored bytes.
        buffer: Buffer,
        /// How they are compressed.
        compression: Compression,
    },
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The keys not looked at yet; none at the end.
    pub remaining: Option<KeyRange>,
}

/// A node's answer.
#[derive(Debug)]
pub enum Reply {
    /// It doesn't exist: a statement about content, never about trouble.
    Absent,
    /// An inode.
    Inode(Box<InodeRecord>),
    /// A directory entry, and its key.
    Entry(Key, Dirent),
    /// The batch was filled.
    Scanned(Scanned),
    /// A file block.
    Block(FileBlock),
    /// A key.
    Key(Key),
    /// Bytes of blocks.
    Stored(u64),
    /// The command was executed; there is nothing more to say.
    Done,
}
