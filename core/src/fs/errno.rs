//! The POSIX numbers of errors, as on Linux, which FUSE uses too.

use super::Error;

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const ENOMEM: i32 = 12;
const EEXIST: i32 = 17;
const EXDEV: i32 = 18;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EMLINK: i32 = 31;
const ENAMETOOLONG: i32 = 36;
const ENOTEMPTY: i32 = 39;
const EDQUOT: i32 = 122;

impl Error {
    /// The error's number on Linux.
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotFound => ENOENT,
            Self::NotADirectory => ENOTDIR,
            Self::IsADirectory => EISDIR,
            Self::NotRegular | Self::NotASymlink | Self::InvalidName | Self::InvalidMove | Self::Overlap => EINVAL,
            Self::Exists => EEXIST,
            Self::NotEmpty => ENOTEMPTY,
            Self::TooManyLinks => EMLINK,
            Self::FileTooLarge => EFBIG,
            Self::ReadOnly => EROFS,
            Self::NameTooLong => ENAMETOOLONG,
            Self::NoData => ENXIO,
            Self::NoMemory => ENOMEM,
            Self::TooManyOpen => ENFILE,
            Self::NoSpace => ENOSPC,
            Self::OverQuota(_) => EDQUOT,
            Self::OtherQuota => EXDEV,
            Self::Io(_)
            | Self::Corrupt { .. }
            | Self::NoQuorum { .. }
            | Self::Lost
            | Self::Refused(_)
            | Self::Alarm(_)
            | Self::Resync(_)
            | Self::Membership(_) => EIO,
        }
    }

    /// True for errors that come from the disks or from memory, not from the call: somebody should be told.
    pub fn is_trouble(&self) -> bool {
        matches!(self.errno(), EIO | ENOMEM)
    }
}
