//! The kinds of findings: faults, and what they cost.

use crate::io::{DeviceError, DeviceName};
use crate::media::{Corruption, Inum, Key, MirrorTid};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A structure breaks a rule of the format.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The device can't read the block.
    #[error("{device}: {error}")]
    Device {
        /// The device.
        device: DeviceName,
        /// The device's error.
        error: DeviceError,
    },

    // Volume headers.
    /// A header copy can't be read.
    #[error("can't be read: {0}")]
    HeaderUnreadable(DeviceError),
    /// The header copy was never written.
    #[error("the copy is blank")]
    BlankHeader,
    /// The copy was being written when the power failed; its twin is whole.
    #[error("torn, but its second copy is whole: the next mount for writing mends it")]
    HeaderTorn,
    /// The damaged copy was newer than all whole ones.
    #[error("damaged, and newer than every whole one: `hammer2 fsck --repair` goes on without it")]
    NewestHeaderLost,
    /// There is a valid header beyond the end of the volume.
    #[error("a header beyond the end of the volume, left over from something else")]
    StrayHeader,
    /// The header copy differs from the newest one in a field that must be the same.
    #[error("differs from the newest copy in {0}")]
    HeaderDiffers(&'static str),
    /// A field of a valid header makes no sense.
    #[error("{0}")]
    HeaderField(&'static str),
    /// Something is wrong below an older header copy.
    #[error("findings in the older state below this copy: {0}")]
    OlderState(u64),

    // Arrays of blockrefs.
    /// An empty entry has bytes that aren't zero.
    #[error("an empty entry is not all zero")]
    EmptyNotZero,
    /// A block claims to be newer than its container.
    #[error("mirror_tid {child} is newer than the container's {container}")]
    MirrorTid {
        /// The block's.
        child: MirrorTid,
        /// Its container's.
        container: MirrorTid,
    },
    /// A block is referred to twice where that isn't allowed.
    #[error("the block is used in two places, or lies within itself")]
    UsedTwice,
    /// The block lies before the end of the aux area.
    #[error("the block lies in the boot or aux area")]
    InAreas,

    // Inodes.
    /// The name of an indexed inode isn't its number.
    #[error("an indexed inode must be called by its number")]
    HiddenName,
    /// `name_key` isn't the blockref's key.
    #[error("name_key {0} is not the key")]
    NameKey(Key),
    /// The inode number is higher than any that the PFS has given out.
    #[error("inode number above the highest given out, {0}")]
    InumUnissued(Inum),
    /// The number isn't one of an indexed inode.
    #[error("a reserved inode number")]
    InumReserved,
    /// The method for new data doesn't exist.
    #[error("{0} is not a known method")]
    Method(&'static str),
    /// An inode that can't have content contains blockrefs.
    #[error("content in an inode of a type that has none")]
    ContentOfSpecial,

    // PFS roots.
    /// A PFS root lacks something.
    #[error("PFS root: {0}")]
    PfsRoot(&'static str),
    /// Two PFSs have one UUID.
    #[error("{0} is also that of another PFS")]
    SharedUuid(&'static str),

    // Names.
    /// The key lies outside the collision range of its name.
    #[error("key {0} is not one of this name")]
    NameHash(Key),
    /// The inode an entry names is damaged, or in a damaged part of the inode index.
    #[error("its inode {0} can't be read")]
    InodeUnreadable(Inum),
    /// A name is in its directory twice.
    #[error("the name is there twice")]
    DuplicateName,
    /// An inode lies in a directory where an entry should be.
    #[error("an inode embedded in a directory (an old layout)")]
    EmbeddedInode,
    /// `..` of a directory doesn't lead to the directory that contains its name.
    #[error("its parent is said to be inode {said}, but its name is in inode {named_in}")]
    Parent {
        /// `iparent`.
        said: Inum,
        /// The directory that names it.
        named_in: Inum,
    },
    /// The directory can't be reached from the root, although something names it.
    #[error("the directory is below itself, cut off from the root")]
    Cycle,
    /// The inode has no name.
    #[error("no directory entry names it (link count {0})")]
    Orphan(u64),
    /// The file was removed while it was open, and the mount ended without closing it.
    #[error("removed while it was open: the next mount for writing takes it away")]
    ListedOrphan,
    /// There are more or fewer names than the link count says.
    #[error("link count {stored}, but {found} names")]
    LinkCount {
        /// What the inode says.
        stored: u64,
        /// What was found.
        found: u64,
    },
    /// Not all names could be read, so counts prove nothing.
    #[error("parts of directories can't be read, so link counts and orphans were not checked")]
    LinksUnchecked,

    // Quotas.
    /// The recorded use of a directory's quota isn't the actual one.
    #[error("quota: {bytes} bytes and {inodes} inodes are used, but other numbers are recorded")]
    QuotaUse {
        /// Bytes of what is below it.
        bytes: u64,
        /// Inodes below it.
        inodes: u64,
    },
    /// Parts of what is below a directory with a quota can't be read.
    #[error("parts of the PFS can't be read, so what is used of this quota was not checked")]
    QuotaUnchecked,

    // File data.
    /// A data block lies beyond the end of the file.
    #[error("data behind the end of the file")]
    BeyondEnd,

    // Freemap.
    /// The freemap marks a block in use as free.
    #[error("in use, but free in the freemap")]
    UsedButFree,
    /// A block lies in a part of a chunk that the freemap considers free.
    #[error("in use, but behind the point from which the freemap gives its chunk out (linear {0:#x})")]
    BehindLinear(u32),
    /// Blocks are newer than the freemap.
    #[error("{0} chunks in use are newer than the freemap and free in it")]
    NewerThanFreemap(u64),
    /// A freemap record contradicts itself.
    #[error("record of {segment}: {what}")]
    Record {
        /// The address of the segment it describes.
        segment: Key,
        /// What contradicts what.
        what: &'static str,
    },
    /// Space is allocated, but nothing refers to it.
    #[error("{0} bytes are allocated, but nothing refers to them")]
    Leaked(u64),
    /// Space is staged, and nothing refers to it.
    #[error("{0} bytes are staged by one bulkfree pass")]
    Staged(u64),
    /// The free space in the header isn't that in the freemap.
    #[error("allocator_free {stored:#x}, the freemap says {counted:#x}")]
    AllocatorFree {
        /// The header's figure.
        stored: u64,
        /// The freemap's.
        counted: u64,
    },

    /// A harmless deviation that other systems are known for.
    #[error("{count} times: {quirk}")]
    Quirk {
        /// The deviation.
        quirk: Quirk,
        /// How often.
        count: u64,
    },
}

/// Harmless deviations that other systems are known for, which are only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Metadata without a check code (check method DISABLED).
    Unprotected,
    /// `update_tid`, which nothing uses, is set.
    UpdateTid,
    /// Bytes after the end of a name.
    NameTail,
    /// Bytes after the end of a file, within its last block.
    FileTail,
    /// An uncompressed block of another size than its place in the file calls for.
    BlockSize,
    /// A name that is in a block although it fits into its entry.
    NameBlock,
    /// A directory or special file with a size.
    SizeOfSpecial,
    /// A segment that can't be allocated from isn't marked so.
    ReservedRecord,
    /// A freemap class on an empty segment, or none on one in use.
    Class,
    /// A block in a segment of another class.
    ClassMixed,
    /// A block in use is staged; the next bulkfree pass keeps it.
    StagedInUse,
}

impl Quirk {
    pub(super) const COUNT: usize = 11;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Unprotected,
        Self::UpdateTid,
        Self::NameTail,
        Self::FileTail,
        Self::BlockSize,
        Self::NameBlock,
        Self::SizeOfSpecial,
        Self::ReservedRecord,
        Self::Class,
        Self::ClassMixed,
        Self::StagedInUse,
    ];

    pub(super) fn cost(self) -> Cost {
        match self {
            Self::Unprotected => Cost::DamageUnnoticed,
            _ => Cost::Nothing,
        }
    }
}

impl core::fmt::Display for Quirk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unprotected => "metadata without a check code",
            Self::UpdateTid => "update_tid in use",
            Self::NameTail => "stray bytes behind a name",
            Self::FileTail => "stray bytes behind the end of a file",
            Self::BlockSize => "a data block larger or smaller than its place calls for",
            Self::NameBlock => "a short name in a block of its own",
            Self::SizeOfSpecial => "a size on what has none",
            Self::ReservedRecord => "a reserved segment not marked as full",
            Self::Class => "a freemap class that doesn't fit the segment's use",
            Self::ClassMixed => "a block in a segment of another class",
            Self::StagedInUse => "a chunk in use is staged to be freed",
        })
    }
}

/// What a fault costs the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cost {
    /// Nothing.
    #[error("no data is affected")]
    Nothing,
    /// Nothing on this system.
    #[error("no data is lost, but other systems may refuse it")]
    OtherSystems,
    /// Nothing can be mounted.
    #[error("the file system can't be mounted")]
    FileSystem,
    /// A header copy is lost as a fallback.
    #[error("one copy fewer to fall back on")]
    HeaderCopy,
    /// The copy that claims to be newer than the newest good one.
    #[error("if it was the newest copy, what was written since the one before is lost")]
    NewestState,
    /// One PFS.
    #[error("the whole PFS is lost")]
    Pfs,
    /// An unknown number of PFSs.
    #[error("all PFSs below are lost, about {0}")]
    Pfss(u16),
    /// An inode.
    #[error("the file or directory can't be opened")]
    Inode,
    /// An inode and a number of entries or blocks below it.
    #[error("the file or directory can't be opened; about {0} entries or blocks below it are lost")]
    InodeWith(u16),
    /// Part of a PFS's inode index or root directory.
    #[error("about {0} files, directories or names are lost")]
    Index(u16),
    /// Part of a directory.
    #[error("about {0} entries of the directory are lost")]
    Entries(u16),
    /// One name.
    #[error("the name can't be used")]
    Name,
    /// One name, and the file it names.
    #[error("the file or directory of this name is lost")]
    Named,
    /// The name works, but its content is doubtful.
    #[error("the name may not be found")]
    NameUnfindable,
    /// A range of a file.
    #[error("bytes {first} to {last} of the file can't be read")]
    Bytes {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Space that is not available.
    #[error("the space is unavailable until bulkfree runs")]
    UntilBulkfree,
    /// Space that may belong to damaged parts.
    #[error("it may belong to damaged parts: save those before bulkfree runs")]
    MaybeDamaged,
    /// Space that stays taken.
    #[error("its space stays taken")]
    Space,
    /// Removing one name frees too much.
    #[error("removing one name can remove the content of the others")]
    EarlyRemoval,
    /// Removing the last name frees too little.
    #[error("the space stays taken when the last name is removed")]
    LateRemoval,
    /// A block may be allocated again.
    #[error("a write may overwrite it: don't mount the file system for writing")]
    Overwrite,
    /// The state of some space is unknown.
    #[error("the space it describes can't be checked or allocated from")]
    FreemapPart,
    /// Recovery and copies depend on transaction ids.
    #[error("recovery after a crash, or a copy of changes, may miss it")]
    Recovery,
    /// Only `..` is wrong.
    #[error("'..' leads to the wrong directory")]
    DotDot,
    /// Directories that can't be reached.
    #[error("the directory and all below it can't be reached")]
    Unreachable,
    /// New files may collide with old ones.
    #[error("a new file may take its number")]
    Collision,
    /// New data can't be written.
    #[error("new data can't be written to it")]
    NewData,
    /// Figures are wrong.
    #[error("only the figures shown are wrong")]
    Figures,
    /// A quota is applied to wrong figures.
    #[error(
        "writes may be refused too early or too late: `fsck --repair` or, with all members, `quota --recount` counts anew"
    )]
    Limits,
    /// Damage would go unnoticed.
    #[error("damage there would go unnoticed")]
    DamageUnnoticed,
    /// PFSs of different groups may be confused.
    #[error("systems that mount clusters take the two for copies of each other")]
    ClusterMix,
}
