//! Errors as Linux names them.

use fuser::Errno;
use hammer2_core::cluster::NodeFault;
use hammer2_core::fs::Error;

/// Why a request isn't done, and what the log says of it when it is our fault, not the caller's.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) trouble: Option<Error>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, trouble: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let errno = match error {
            Error::NotFound => Errno::ENOENT,
            Error::NotADirectory => Errno::ENOTDIR,
            Error::IsADirectory => Errno::EISDIR,
            Error::NotRegular | Error::NotASymlink | Error::InvalidName | Error::InvalidMove => Errno::EINVAL,
            Error::Exists => Errno::EEXIST,
            Error::NotEmpty => Errno::ENOTEMPTY,
            Error::TooManyLinks => Errno::EMLINK,
            Error::FileTooLarge => Errno::EFBIG,
            Error::ReadOnly => Errno::EROFS,
            Error::NameTooLong => Errno::ENAMETOOLONG,
            Error::NoData => Errno::ENXIO,
            Error::NoMemory => Errno::ENOMEM,
            Error::TooManyOpen => Errno::ENFILE,
            Error::NoSpace => Errno::ENOSPC,
            Error::OverQuota(_) => Errno::EDQUOT,
            Error::OtherQuota => Errno::EXDEV,
            Error::Io(_)
            | Error::Corrupt { .. }
            | Error::NoQuorum { .. }
            | Error::Lost
            | Error::Refused(_)
            | Error::Alarm(_)
            | Error::Resync(_)
            | Error::Membership(_) => Errno::EIO,
        };
        // That another machine took over is told once, not by everybody who meets it.
        let is_fenced = matches!(error, Error::Io(NodeFault::Fenced { .. }));
        let is_trouble = matches!(errno, Errno::EIO | Errno::ENOMEM) && !is_fenced;
        Self { errno, trouble: is_trouble.then_some(error) }
    }
}
