//! What can be wrong with bytes from a disk.

use super::check_method::CheckMethod;
use super::file_kind::FileKind;
use super::numbers::{DataOff, Inum, Key};

/// A structure that isn't what the format demands. Whoever finds one adds which block it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    // Volume headers.
    /// The magic number isn't HAMMER2's.
    #[error("no HAMMER2 volume header")]
    NoHeader,
    /// Written by a machine of the other byte order.
    #[error("volume header of a big-endian machine, which is not supported")]
    ForeignEndian,
    /// A check code of the volume header is wrong.
    #[error("volume header fails its check code {0}")]
    HeaderCheck(HeaderCrc),
    /// The volume version isn't 1 or 2.
    #[error("volume version {0} is not supported")]
    Version(u32),
    /// The file system type UUID isn't HAMMER2's.
    #[error("file system type is not HAMMER2's")]
    FsType,
    /// A field of the volume header breaks a rule of format 1.3 or 1.4.
    #[error("volume header field {0} is invalid")]
    HeaderField(&'static str),
    /// No entry for the super-root, or something else in its place.
    #[error("no super-root in the volume header")]
    NoSuperRoot,

    // Cluster records.
    /// The check code of a cluster record is wrong.
    #[error("cluster record fails its check code")]
    ClusterRecordCheck,
    /// A cluster record in a format that isn't known.
    #[error("cluster record of format {0} is not supported")]
    ClusterRecordFormat(u16),
    /// A field of a cluster record is impossible.
    #[error("cluster record field {0} is invalid")]
    ClusterRecord(&'static str),
    /// Two records of one cluster on a volume.
    #[error("two records of the same cluster on one volume")]
    ClusterRecordTwice,

    // Blocks and blockrefs.
    /// The content doesn't match its check code.
    #[error("{0} check code mismatch")]
    Check(CheckMethod),
    /// A check method that doesn't exist.
    #[error("unknown check method {0}")]
    UnknownCheck(u8),
    /// A block type that doesn't exist or doesn't belong here.
    #[error("unexpected block type {0}")]
    BlockType(u8),
    /// A size radix outside 10..16.
    #[error("invalid block size radix {0}")]
    Radix(u8),
    /// A block of a size its type can't have.
    #[error("a block of radix {0} can't hold this structure")]
    BlockSize(u8),
    /// There must be a block, and there is none.
    #[error("block missing")]
    NoBlock,
    /// A block outside the volumes.
    #[error("block {0} lies outside the file system")]
    OutOfRange(DataOff),
    /// A block that isn't aligned, or crosses a boundary.
    #[error("block {0} is misaligned")]
    Alignment(DataOff),
    /// A block in a reserved segment.
    #[error("block {0} lies in a reserved segment")]
    Reserved(DataOff),
    /// A key span wider than the key space, or a key that isn't a multiple of its span.
    #[error("invalid key span: key {key}, keybits {keybits}")]
    KeySpan {
        /// The first key.
        key: Key,
        /// The width as a power of two.
        keybits: u8,
    },
    /// Entries of an array are unordered or overlap.
    #[error("entry with key {0} out of order")]
    Order(Key),
    /// An entry lies outside the span of its container.
    #[error("entry with key {0} outside its container")]
    Containment(Key),
    /// Indirect blocks nested deeper than any real tree: a loop.
    #[error("indirect blocks nested too deeply: a loop")]
    TooDeep,

    // Inodes.
    /// The inode's version isn't 1.
    #[error("inode version {0}")]
    InodeVersion(u16),
    /// An inode filed under another number than its own.
    #[error("inode {found} found under {wanted}")]
    InodeNumber {
        /// The key it is filed under.
        wanted: Inum,
        /// The number it bears.
        found: Inum,
    },
    /// A file type that doesn't exist.
    #[error("unknown file type {0}")]
    FileType(u8),
    /// Data inside the inode where that can't be: a directory, or more than 512 bytes.
    #[error("inode with embedded data of {0} bytes")]
    DirectData(u64),
    /// A size no file can have, or a directory with one.
    #[error("invalid file size {0:#x}")]
    FileSize(u64),
    /// A name of no or too many bytes.
    #[error("invalid name length {0}")]
    NameLength(u16),
    /// A name no file can have: `.`, `..`, or one with `/` or NUL in it.
    #[error("forbidden file name")]
    ForbiddenName,
    /// A root of a PFS that isn't marked as one.
    #[error("not a PFS root")]
    NotPfsRoot,
    /// A super-root that isn't one.
    #[error("not a super-root")]
    NotSuperRoot,

    // Names.
    /// A directory entry whose inode doesn't exist.
    #[error("directory entry for inode {0}, which doesn't exist")]
    Dangling(Inum),
    /// A directory entry that says another type than its inode.
    #[error("directory entry says {entry:?}, inode says {inode:?}")]
    EntryType {
        /// The entry's type.
        entry: FileKind,
        /// The inode's type.
        inode: FileKind,
    },
    /// A directory below itself, or in two places.
    #[error("directory {0} reached by two ways: a cycle or a second link")]
    DirectoryCycle(Inum),

    // File data.
    /// A compression that isn't one of data blocks.
    #[error("unknown compression {0}")]
    UnknownCompression(u8),
    /// The LZ4 block says more bytes than it has, or is damaged.
    #[error("damaged LZ4 block")]
    Lz4,
    /// The ZLIB stream is damaged.
    #[error("damaged ZLIB block")]
    Zlib,
    /// A data block with another span than 64 KiB.
    #[error("data block with keybits {0}")]
    DataSpan(u8),

    // Freemap.
    /// A freemap block at another place than its reserved slots.
    #[error("freemap block {0} is not in its reserved slot")]
    FreemapPlace(DataOff),
    /// A freemap node of a width that doesn't exist.
    #[error("freemap block with keybits {0}")]
    FreemapSpan(u8),
}

/// The volume header's three check codes (format 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderCrc {
    /// Over the super-root's blockset.
    SuperRoot,
    /// Over the first sector.
    Sector0,
    /// Over everything.
    Whole,
}

impl core::fmt::Display for HeaderCrc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::SuperRoot => "6 (super-root blockset)",
            Self::Sector0 => "7 (first sector)",
            Self::Whole => "of the whole header",
        })
    }
}
