//! How a failed operation is reported to the user.

use super::vote::{Alarm, Refusal};
use crate::memory::NoMemory;
use crate::node::{NodeError, NodeFault};

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// Memory ran out. Nothing was changed; the operation may be tried again.
    #[error("out of memory: the budget given at mount is used up")]
    NoMemory,
    /// As many inodes are open as the budget allows.
    #[error("too many open files for the memory given at mount")]
    TooManyOpen,
    /// There is no room for the data.
    #[error("no space left on the file system")]
    NoSpace,
    /// Too few nodes are left. This says nothing about content; operations work again when enough nodes have come back.
    #[error("no quorum: {in_sync} of {voters} masters are in sync; bring more of them back")]
    NoQuorum {
        /// Masters in sync.
        in_sync: u8,
        /// Masters in all.
        voters: u8,
    },
    /// No node is left that has executed everything, or the remaining ones contradict each other.
    #[error("no node is left to go on with: what was synced is safe; unmount, and mount again with a quorum")]
    Lost,
    /// The cluster can't be mounted for changes.
    #[error("{0}")]
    Refused(Refusal),
    /// The cluster must not be mounted for changes.
    #[error("{0}")]
    Alarm(Alarm),
    /// No node has a good copy. With one node, this is that node's fault.
    #[error("{0}")]
    AllCopiesBad(NodeFault),
}

/// With one node, a fault leaves no copy. With several, only a vote may lead to this error.
impl From<NodeError> for OpError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NoMemory => Self::NoMemory,
            NodeError::NoSpace => Self::NoSpace,
            NodeError::Fault(fault) => Self::AllCopiesBad(fault),
        }
    }
}

impl From<NoMemory> for OpError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}
