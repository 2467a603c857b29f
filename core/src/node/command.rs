//! What a node is told to do, and what it answers.
//!
//! Commands and replies hold logical content only: keys, names, metadata, data as it is stored. Never a place on a device, so
//! that nodes with different layouts give equal replies. Things are named by *slots*, which whoever gives the commands
//! chooses: a command may name what an earlier one opens before that one was executed.

use super::{Elements, EntryBatch};
use crate::io::Buffer;
use crate::media::blockref::BlockStats;
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Blockref, Compression, Dirent, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid};
use crate::memory::Box;

/// Names an inode on every node, from the command that opens it to the one that closes it.
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
        /// Which keys.
        range: KeyRange,
        /// Where to.
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
    /// Adds up the blocks that are stored for what is below an inode, those that aren't committed yet, too. Reply: `Stored`.
    Stored {
        /// The inode.
        slot: Slot,
    },
    /// Lists what is below an inode, leaving out what didn't change since an operation. Reply: `Scanned`.
    List {
        /// The inode.
        slot: Slot,
        /// Which keys.
        range: KeyRange,
        /// What is left out.
        since: ModifyTid,
        /// Where to.
        elements: &'a mut Elements,
    },
    /// Makes a slot name an inode that is known to be there: another node answered for it. Reply: `Done`.
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

impl Command<'_> {
    /// The same command once more, for another node.
    pub fn again(&mut self) -> Command<'_> {
        match self {
            Self::OpenPfs { label, into } => Command::OpenPfs { label, into: *into },
            Self::NextPfs { range } => Command::NextPfs { range: *range },
            Self::OpenInode { pfs, inum, into } => Command::OpenInode { pfs: *pfs, inum: *inum, into: *into },
            Self::MatchName { directory, name } => Command::MatchName { directory: *directory, name },
            Self::Scan { directory, range, batch } => Command::Scan { directory: *directory, range: *range, batch },
            Self::ReadBlock { file, key } => Command::ReadBlock { file: *file, key: *key },
            Self::Prefetch { file, range } => Command::Prefetch { file: *file, range: *range },
            Self::NextBlock { file, range } => Command::NextBlock { file: *file, range: *range },
            Self::Stored { slot } => Command::Stored { slot: *slot },
            Self::List { slot, range, since, elements } => {
                Command::List { slot: *slot, range: *range, since: *since, elements }
            }
            Self::Name { pfs, inum, into } => Command::Name { pfs: *pfs, inum: *inum, into: *into },
            Self::Close { slot } => Command::Close { slot: *slot },
        }
    }
}

/// An inode as commands tell of it.
#[derive(Clone, Copy)]
pub struct InodeRecord {
    /// Its key: inode number or place in the super-root.
    pub key: Key,
    /// The operation that last changed it or anything below.
    pub modify_tid: ModifyTid,
    /// How its block is protected.
    pub methods: Methods,
    /// What is below.
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
    /// The file lies in its inode.
    Embedded(Box<[u8; EMBEDDED_BYTES]>),
    /// A data block as it is stored, its check code found good.
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

/// What a node answers.
#[derive(Debug)]
pub enum Reply {
    /// It isn't there. A statement about content, never about trouble.
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
    /// Nothing more to say.
    Done,
}
