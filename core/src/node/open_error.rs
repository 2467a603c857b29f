//! Why disks don't make a filesystem.

use crate::io::{DeviceError, DeviceName};
use crate::media::Corruption;
use crate::memory::NoMemory;

/// Why disks don't make a filesystem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Memory ran out.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// More nodes than a cluster may have.
    #[error("too many nodes: a cluster has at most 8")]
    TooManyNodes,
    /// What is mounted is no cluster, or it is one of a cluster's nodes by itself.
    #[error("only a cluster that was mounted with a quorum takes in nodes")]
    NoQuorumMount,
    /// No disk was given.
    #[error("no volume given")]
    NoVolumes,
    /// A device has no valid volume header.
    #[error("{device}: {corruption}")]
    Header {
        /// The device.
        device: DeviceName,
        /// What is wrong with its best header copy.
        corruption: Corruption,
    },
    /// No header of a device could be read.
    #[error("{device}: can't read the volume header: {error}")]
    Device {
        /// The device.
        device: DeviceName,
        /// What it said.
        error: DeviceError,
    },
    /// A device belongs to a different filesystem than the first one.
    #[error("{device}: belongs to another file system than {first}")]
    Foreign {
        /// The device.
        device: DeviceName,
        /// The first device given.
        first: DeviceName,
    },
    /// A volume was given twice.
    #[error("{device}: volume {id} was already given")]
    Duplicate {
        /// The device.
        device: DeviceName,
        /// The volume's number.
        id: u8,
    },
    /// A volume of the set wasn't given.
    #[error("volume {id} of {count} is missing: give all volumes of the file system")]
    Missing {
        /// The volume's number.
        id: usize,
        /// How many there are.
        count: usize,
    },
}
