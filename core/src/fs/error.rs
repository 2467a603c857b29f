//! Errors of the filesystem.

use crate::cluster::vote::{Alarm, Refusal};
use crate::cluster::{Ejection, MembershipError, NodeFault, OpError, OpenError};
use crate::io::DeviceError;
use crate::media::{Corruption, Inum, PfsKind};
use crate::memory::NoMemory;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such name.
    #[error("no such file or directory")]
    NotFound,
    /// The inode isn't a directory.
    #[error("not a directory")]
    NotADirectory,
    /// The inode is a directory.
    #[error("is a directory")]
    IsADirectory,
    /// The inode is no regular file, nor a symbolic link where one would do.
    #[error("not a regular file")]
    NotRegular,
    /// The inode isn't a symbolic link.
    #[error("not a symbolic link")]
    NotASymlink,
    /// The name is taken.
    #[error("file exists")]
    Exists,
    /// The directory has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// `.`, `..`, an empty name, or one with `/` or NUL in it.
    #[error("invalid file name")]
    InvalidName,
    /// A directory would come to lie below itself.
    #[error("a directory can't be moved below itself")]
    InvalidMove,
    /// The file already has as many names as it may have.
    #[error("too many links")]
    TooManyLinks,
    /// The file would be longer than the format allows.
    #[error("file too large")]
    FileTooLarge,
    /// The mount may not change anything.
    #[error("read-only file system")]
    ReadOnly,
    /// The name has more than 255 bytes.
    #[error("file name too long")]
    NameTooLong,
    /// The seek began beyond the last data, or beyond the end.
    #[error("no data at or after this offset")]
    NoData,
    /// Memory ran out. The next call may work.
    #[error("out of memory: the budget given at mount is used up")]
    NoMemory,
    /// A range of a file would become what a part of itself is.
    #[error("the ranges of the file overlap")]
    Overlap,
    /// As many files are in use as the budget allows.
    #[error("too many open files for the memory given at mount")]
    TooManyOpen,
    /// There is no room for the data.
    #[error("no space left on the file system")]
    NoSpace,
    /// A directory above it has reached its limit.
    #[error("disk quota exceeded: that of directory inode {0}")]
    OverQuota(Inum),
    /// The file would count in the limits of other directories, and can't be recounted on its own.
    #[error("it counts in the quota of another directory: copy it instead")]
    OtherQuota,
    /// Too few nodes of the cluster are left. Nothing was changed; operations work again when enough nodes have come back.
    #[error("no quorum: {in_sync} of {voters} masters are in sync; bring more of them back")]
    NoQuorum {
        /// Masters in sync.
        in_sync: u8,
        /// Masters in all.
        voters: u8,
    },
    /// No node of the cluster is left that has executed everything.
    #[error("no node is left to go on with: what was synced is safe; unmount, and mount again with a quorum")]
    Lost,
    /// The cluster can't be mounted for changes.
    #[error("{0}")]
    Refused(Refusal),
    /// The cluster must not be mounted for changes.
    #[error("{0}")]
    Alarm(Alarm),
    /// The members can't be changed.
    #[error("{0}")]
    Membership(MembershipError),
    /// A node can't be brought in step.
    #[error("a node can't be brought in step: {0}")]
    Resync(Ejection),
    /// Something can't be read.
    #[error("{0}")]
    Io(NodeFault),
    /// An inode holds something invalid.
    #[error("inode {inum}: {corruption}")]
    Corrupt {
        /// The inode.
        inum: Inum,
        /// What is wrong.
        corruption: Corruption,
    },
}

impl Error {
    /// True for damage to what is stored: trying again doesn't help.
    pub(super) fn is_damage(&self) -> bool {
        let is_bad = |fault: &NodeFault| {
            matches!(fault, NodeFault::Corrupt { .. } | NodeFault::Device { error: DeviceError::Io(_), .. })
        };
        match self {
            Self::Io(fault) => is_bad(fault),
            _ => matches!(self, Self::Corrupt { .. }),
        }
    }
}

impl From<OpError> for Error {
    fn from(error: OpError) -> Self {
        match error {
            OpError::NoMemory => Self::NoMemory,
            OpError::TooManyOpen => Self::TooManyOpen,
            OpError::NoSpace => Self::NoSpace,
            OpError::NoQuorum { in_sync, voters } => Self::NoQuorum { in_sync, voters },
            OpError::Lost => Self::Lost,
            OpError::Refused(refusal) => Self::Refused(refusal),
            OpError::Alarm(alarm) => Self::Alarm(alarm),
            OpError::AllCopiesBad(fault) => Self::Io(fault),
        }
    }
}

impl From<NoMemory> for Error {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Why a filesystem can't be mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The disks don't make a filesystem.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The super-root or a PFS can't be read.
    #[error("{0}")]
    Op(#[from] OpError),
    /// No PFS has that label, or there is none to choose by default.
    #[error("no such PFS: give the label of one (the `info` command lists them)")]
    NoSuchPfs,
    /// PFSs of this kind aren't mounted.
    #[error("a PFS of type {0} can't be mounted")]
    NotMountable(PfsKind),
    /// PFSs of this kind are only written by their cluster.
    #[error("a PFS of type {0} can't be written by itself")]
    NotWritable(PfsKind),
    /// The budget is too small.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}
