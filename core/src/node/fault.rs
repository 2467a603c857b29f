//! The faults of a node.

use crate::chain::ChainError;
use crate::io::{DeviceError, DeviceName, ReadError};
use crate::media::{BlockName, Corruption, HostName, MirrorTid};

/// A node's place in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u8);

impl core::fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault of one node: a statement about the node, not about the user's request (protocol 6). Only the cluster layer decides
/// what it means to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeFault {
    /// A device failed.
    #[error("{block}: {device}: {error}")]
    Device {
        /// The block that was needed.
        block: BlockName,
        /// The device.
        device: DeviceName,
        /// What the device said.
        error: DeviceError,
    },
    /// A block holds something invalid.
    #[error("{block}: {corruption}")]
    Corrupt {
        /// The block.
        block: BlockName,
        /// What is wrong with it.
        corruption: Corruption,
    },
    /// Another mount writes to the volume: this mount must not write any more.
    #[error(
        "another mount took the volume over, on {by}: nothing is written here any more; unmount, then look at what is there"
    )]
    Fenced {
        /// The machine of the other mount.
        by: HostName,
    },
    /// The newest header is damaged, and its twin's place holds an older one, written by a system that has no twins.
    #[error(
        "the newest header ({lost:?}) is damaged, and what is left of it is of {newest:?}: read what you need, \
         or give up what was written since with `hammer2 fsck --repair`"
    )]
    NewestHeaderLost {
        /// The flush of the damaged header.
        lost: MirrorTid,
        /// The flush of the newest whole header.
        newest: MirrorTid,
    },
    /// The volume has no place for the cluster's record.
    #[error("{}", crate::media::record_table::RecordTableFull)]
    RecordTableFull,
    /// The slot names nothing on this node, which has missed a command.
    #[error("slot names nothing on this node")]
    UnknownSlot,
}

impl NodeFault {
    /// The device, if the fault is that of a device.
    pub fn device(&self) -> Option<DeviceName> {
        match self {
            Self::Device { device, .. } => Some(*device),
            _ => None,
        }
    }

    /// True when the device didn't answer in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Device { error: DeviceError::Timeout, .. })
    }
}

/// Why a node didn't execute a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// Memory ran out; the command may be tried again. This is never a vote.
    NoMemory,
    /// The node has no room for the data.
    NoSpace,
    /// The node is at fault.
    Fault(NodeFault),
}

impl From<ChainError> for NodeError {
    fn from(failed: ChainError) -> Self {
        let block = failed.block;
        match failed.error {
            ReadError::NoMemory => Self::NoMemory,
            ReadError::Device { device, error } => Self::Fault(NodeFault::Device { block, device, error }),
            ReadError::Corrupt(corruption) => Self::Fault(NodeFault::Corrupt { block, corruption }),
        }
    }
}

impl From<crate::memory::NoMemory> for NodeError {
    fn from(_: crate::memory::NoMemory) -> Self {
        Self::NoMemory
    }
}
