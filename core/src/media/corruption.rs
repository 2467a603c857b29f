//! What can be wrong with bytes from a disk.

use super::check_method::CheckMethod;
use super::file_kind::FileKind;
use super::numbers::{DataOff, Inum, Key};

/// A structure that breaks a rule of the format. The code that finds it adds the block in which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    // Volume headers.
    /// The magic number isn't HAMMER2's.
    #[error("no HAMMER2 volume header")]
    NoHeader,
    /// The header was written by a machine of the other byte order.
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
    /// The entry of the super-root is missing, or something else is in its place.
    #[error("no super-root in the volume header")]
    NoSuperRoot,

    // Cluster records.
    /// The check code of a cluster record is wrong.
    #[error("cluster record fails its check code")]
    ClusterRecordCheck,
    /// A cluster record has an unknown format.
    #[error("cluster record of format {0} is not supported")]
    ClusterRecordFormat(u16),
    /// A field of a cluster record is impossible.
    #[error("cluster record field {0} is invalid")]
    ClusterRecord(&'static str),
    /// A volume has two records of one cluster.
    #[error("two records of the same cluster on one volume")]
    ClusterRecordTwice,

    // Blocks and blockrefs.
    /// The content doesn't match its check code.
    #[error("{0} check code mismatch")]
    Check(CheckMethod),
    /// The check method doesn't exist.
    #[error("unknown check method {0}")]
    UnknownCheck(u8),
    /// The block type doesn't exist or doesn't belong here.
    #[error("unexpected block type {0}")]
    BlockType(u8),
    /// The size radix isn't in 10..16.
    #[error("invalid block size radix {0}")]
    Radix(u8),
    /// The block has a size that its type can't have.
    #[error("a block of radix {0} can't hold this structure")]
    BlockSize(u8),
    /// A block is required, and there is none.
    #[error("block missing")]
    NoBlock,
    /// The block lies outside the volumes.
    #[error("block {0} lies outside the file system")]
    OutOfRange(DataOff),
    /// The block isn't aligned, or crosses a boundary.
    #[error("block {0} is misaligned")]
    Alignment(DataOff),
    /// The block lies in a reserved segment.
    #[error("block {0} lies in a reserved segment")]
    Reserved(DataOff),
    /// The key span is wider than the key space, or the key isn't a multiple of its span.
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
    /// Indirect blocks are nested deeper than in any real tree: a loop.
    #[error("indirect blocks nested too deeply: a loop")]
    TooDeep,

    // Inodes.
    /// The inode's version isn't 1.
    #[error("inode version {0}")]
    InodeVersion(u16),
    /// The inode is filed under another number than its own.
    #[error("inode {found} found under {wanted}")]
    InodeNumber {
        /// The key it is filed under.
        wanted: Inum,
        /// The number it has.
        found: Inum,
    },
    /// The file type doesn't exist.
    #[error("unknown file type {0}")]
    FileType(u8),
    /// An inode contains data that can't be there: it is a directory, or the data has more than 512 bytes.
    #[error("inode with embedded data of {0} bytes")]
    DirectData(u64),
    /// The size is one that no file can have, or a directory has a size.
    #[error("invalid file size {0:#x}")]
    FileSize(u64),
    /// The name has no bytes or too many.
    #[error("invalid name length {0}")]
    NameLength(u16),
    /// The name is one that no file can have: `.`, `..`, or one with `/` or NUL in it.
    #[error("forbidden file name")]
    ForbiddenName,
    /// The root of a PFS isn't marked as one.
    #[error("not a PFS root")]
    NotPfsRoot,
    /// The super-root isn't one.
    #[error("not a super-root")]
    NotSuperRoot,

    // Names.
    /// The inode of a directory entry doesn't exist.
    #[error("directory entry for inode {0}, which doesn't exist")]
    Dangling(Inum),
    /// A directory entry gives another type than its inode.
    #[error("directory entry says {entry:?}, inode says {inode:?}")]
    EntryType {
        /// The entry's type.
        entry: FileKind,
        /// The inode's type.
        inode: FileKind,
    },
    /// A directory is below itself, or in two places.
    #[error("directory {0} reached by two ways: a cycle or a second link")]
    DirectoryCycle(Inum),

    // File data.
    /// The compression isn't one of data blocks.
    #[error("unknown compression {0}")]
    UnknownCompression(u8),
    /// The LZ4 block has fewer bytes than it says, or is damaged.
    #[error("damaged LZ4 block")]
    Lz4,
    /// The ZLIB stream is damaged.
    #[error("damaged ZLIB block")]
    Zlib,
    /// A data block has another span than 64 KiB.
    #[error("data block with keybits {0}")]
    DataSpan(u8),

    // Freemap.
    /// A freemap block is in another place than its reserved slots.
    #[error("freemap block {0} is not in its reserved slot")]
    FreemapPlace(DataOff),
    /// A freemap node has a width that doesn't exist.
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
