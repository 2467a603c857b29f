//! The kinds of findings: what can be wrong, and what it costs.

use crate::io::{DeviceError, DeviceName};
use crate::media::{Corruption, Inum, Key, MirrorTid};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A structure breaks a rule of the format.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The device doesn't give the block.
    #[error("{device}: {error}")]
    Device {
        /// The device.
        device: DeviceName,
        /// What it said.
        error: DeviceError,
    },

    // Volume headers.
    /// A header copy can't be read.
    #[error("can't be read: {0}")]
    HeaderUnreadable(DeviceError),
    /// A header copy that was never written.
    #[error("the copy is blank")]
    BlankHeader,
    /// A copy that was being written when power went; its twin is whole.
    #[error("torn, but its second copy is whole: the next mount for writing mends it")]
    HeaderTorn,
    /// A damaged copy that was newer than all that is whole.
    #[error("damaged, and newer than every whole one: `hammer2 fsck --repair` goes on without it")]
    NewestHeaderLost,
    /// A valid header beyond the end of the volume.
    #[error("a header beyond the end of the volume, left over from something else")]
    StrayHeader,
    /// A header copy disagrees with the newest one on what must be the same.
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
    /// A block claims to be newer than what it is in.
    #[error("mirror_tid {child} is newer than the container's {container}")]
    MirrorTid {
        /// The block's.
        child: MirrorTid,
        /// Its container's.
        container: MirrorTid,
    },
    /// A block is referred to twice where that can't be.
    #[error("the block is used in two places, or lies within itself")]
    UsedTwice,
    /// A block before the end of the aux area.
    #[error("the block lies in the boot or aux area")]
    InAreas,

    // Inodes.
    /// The name of an indexed inode isn't its number.
    #[error("an indexed inode must be called by its number")]
    HiddenName,
    /// `name_key` isn't the blockref's key.
    #[error("name_key {0} is not the key")]
    NameKey(Key),
    /// An inode number higher than what the PFS has given out.
    #[error("inode number above the highest given out, {0}")]
    InumUnissued(Inum),
    /// A number that isn't one of an indexed inode.
    #[error("a reserved inode number")]
    InumReserved,
    /// A method for new data that doesn't exist.
    #[error("{0} is not a known method")]
    Method(&'static str),
    /// Blockrefs in an inode that can't have content.
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
    /// A key outside the collision range of its name.
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
    /// `..` of a directory leads elsewhere than to where its name is.
    #[error("its parent is said to be inode {said}, but its name is in inode {named_in}")]
    Parent {
        /// `iparent`.
        said: Inum,
        /// The directory that names it.
        named_in: Inum,
    },
    /// A directory that can't be reached from the root, though something names it.
    #[error("the directory is below itself, cut off from the root")]
    Cycle,
    /// An inode without a name.
    #[error("no directory entry names it (link count {0})")]
    Orphan(u64),
    /// A file that was removed while it was open, when the mount ended without closing it.
    #[error("removed while it was open: the next mount for writing takes it away")]
    ListedOrphan,
    /// More or fewer names than the link count says.
    #[error("link count {stored}, but {found} names")]
    LinkCount {
        /// What the inode says.
        stored: u64,
        /// What was found.
        found: u64,
    },
    /// Names couldn't all be read, so counts prove nothing.
    #[error("parts of directories can't be read, so link counts and orphans were not checked")]
    LinksUnchecked,

    // Quotas.
    /// What a directory says is used of its quota isn't what there is.
    #[error("quota: {bytes} bytes and {inodes} inodes are used, but something else is noted")]
    QuotaUse {
        /// Bytes of what is below it.
        bytes: u64,
        /// Inodes below it.
        inodes: u64,
    },
    /// What is below a directory with a quota can't all be read.
    #[error("parts of the PFS can't be read, so what is used of this quota was not checked")]
    QuotaUnchecked,

    // File data.
    /// A data block behind the end of the file.
    #[error("data behind the end of the file")]
    BeyondEnd,

    // Freemap.
    /// A block in use that the freemap calls free.
    #[error("in use, but free in the freemap")]
    UsedButFree,
    /// A block in what the freemap calls the free rest of a chunk.
    #[error("in use, but behind the point from which the freemap gives its chunk out (linear {0:#x})")]
    BehindLinear(u32),
    /// A block newer than the freemap.
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
    /// Allocated, referred to by nothing.
    #[error("{0} bytes are allocated, but nothing refers to them")]
    Leaked(u64),
    /// Half-freed, referred to by nothing.
    #[error("{0} bytes are staged by one bulkfree pass")]
    Staged(u64),
    /// The free space in the header isn't what the freemap has.
    #[error("allocator_free {stored:#x}, the freemap says {counted:#x}")]
    AllocatorFree {
        /// The header's figure.
        stored: u64,
        /// The freemap's.
        counted: u64,
    },

    /// Something known of other writers, harmless.
    #[error("{count} times: {quirk}")]
    Quirk {
        /// What.
        quirk: Quirk,
        /// How often.
        count: u64,
    },
}

/// Deviations that are known of other writers, are harmless, and are only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Metadata without a check code (check method DISABLED).
    Unprotected,
    /// `update_tid`, which nothing uses.
    UpdateTid,
    /// Bytes behind the end of a name.
    NameTail,
    /// Bytes behind the end of a file, within its last block.
    FileTail,
    /// A raw block of another size than its place in the file calls for.
    BlockSize,
    /// A name that would fit into its entry, in a block.
    NameBlock,
    /// A directory or special file with a size.
    SizeOfSpecial,
    /// A segment that can't be allocated from isn't marked so.
    ReservedRecord,
    /// A freemap class of a segment that is empty, or none of one in use.
    Class,
    /// A block in a segment of another class.
    ClassMixed,
    /// A block in use that is staged; the next bulkfree pass keeps it.
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

/// What a finding costs the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cost {
    /// Nothing.
    #[error("no data is affected")]
    Nothing,
    /// Nothing here, but elsewhere.
    #[error("no data is lost, but other systems may refuse it")]
    OtherSystems,
    /// Nothing can be mounted.
    #[error("the file system can't be mounted")]
    FileSystem,
    /// A header copy is no longer there to fall back on.
    #[error("one copy fewer to fall back on")]
    HeaderCopy,
    /// The copy said to be newer than the newest that is good.
    #[error("if it was the newest copy, what was written since the one before is lost")]
    NewestState,
    /// One PFS.
    #[error("the whole PFS is lost")]
    Pfs,
    /// An unknown number of them.
    #[error("all PFSs below are lost, about {0}")]
    Pfss(u16),
    /// What an inode stands for.
    #[error("the file or directory can't be opened")]
    Inode,
    /// An inode and what is below it, in number.
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
    /// One name, and what it names.
    #[error("the file or directory of this name is lost")]
    Named,
    /// The name works, but what it says is doubtful.
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
    /// Space that may be in use by what is damaged.
    #[error("it may belong to damaged parts: save those before bulkfree runs")]
    MaybeDamaged,
    /// Space that stays taken.
    #[error("its space stays taken")]
    Space,
    /// A removal frees too much.
    #[error("removing one name can remove the content of the others")]
    EarlyRemoval,
    /// A removal frees too little.
    #[error("the space stays taken when the last name is removed")]
    LateRemoval,
    /// A block may be given out again.
    #[error("a write may overwrite it: don't mount the file system for writing")]
    Overwrite,
    /// Something that is unknown now.
    #[error("the space it describes can't be checked or allocated from")]
    FreemapPart,
    /// Recovery and copying go by tids.
    #[error("recovery after a crash, or a copy of changes, may miss it")]
    Recovery,
    /// `..` only.
    #[error("'..' leads to the wrong directory")]
    DotDot,
    /// Directories that nobody can get at.
    #[error("the directory and all below it can't be reached")]
    Unreachable,
    /// New files get into the way of old ones.
    #[error("a new file may take its number")]
    Collision,
    /// New data can't be written.
    #[error("new data can't be written to it")]
    NewData,
    /// Figures are off.
    #[error("only the figures shown are wrong")]
    Figures,
    /// A quota is applied to what isn't so.
    #[error(
        "writes may be refused too early or too late: `fsck --repair` or, with all members, `quota --recount` counts anew"
    )]
    Limits,
    /// Damage goes unnoticed.
    #[error("damage there would go unnoticed")]
    DamageUnnoticed,
    /// Groups of PFSs are mixed up.
    #[error("systems that mount clusters take the two for copies of each other")]
    ClusterMix,
}
