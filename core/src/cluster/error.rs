//! What a failed operation says to its user.

use crate::node::{NodeError, NodeFault};

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Memory ran out. Nothing was changed; the operation may be tried again.
    #[error("out of memory: the budget given at mount is used up")]
    NoMemory,
    /// As many inodes are open as the budget allows.
    #[error("too many open files for the memory given at mount")]
    TooManyOpen,
    /// There is no room for it.
    #[error("no space left on the file system")]
    NoSpace,
    /// No node has a good copy. With one node: that node's fault.
    #[error("{0}")]
    AllCopiesBad(NodeFault),
}

/// With one node its fault leaves no copy. With several, only a vote may say so.
impl From<NodeError> for OpError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NoMemory => Self::NoMemory,
            NodeError::NoSpace => Self::NoSpace,
            NodeError::Fault(fault) => Self::AllCopiesBad(fault),
        }
    }
}
