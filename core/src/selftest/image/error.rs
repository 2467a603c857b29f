//! Why an image can't be made.

use crate::io::DeviceError;
use crate::media::Corruption;
use crate::memory::NoMemory;
use crate::newfs::NewfsError;

/// Why an image can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The volumes couldn't be formatted.
    #[error(transparent)]
    Newfs(#[from] NewfsError),
    /// A disk in memory refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Something written before isn't there.
    #[error(transparent)]
    Corruption(#[from] Corruption),
    /// No memory.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// The volumes are full.
    #[error("the image is full")]
    NoSpace,
    /// There is no such PFS, inode or block.
    #[error("no such {0}")]
    Missing(&'static str),
    /// All keys of a name's hash are taken.
    #[error("too many names of the same hash")]
    HashFull,
}
