//! Why a mount is refused. The messages, with what the operator can do, are in [`wording`](super::wording).

use super::{NodeSet, Role, Version};
use crate::media::{Corruption, HostName, Timestamp, Uuid};
use crate::node::NodeIndex;

/// A mount isn't possible: something is missing, and the mount becomes possible when that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There are no members at all.
    NoMembers,
    /// Slaves and soft nodes alone don't make a cluster.
    NoMaster,
    /// Too few voters.
    NoQuorum {
        /// Voters that are there.
        have: usize,
        /// Voters by the record.
        of: usize,
        /// Voters needed.
        need: usize,
    },
    /// Too few of the former voters are there while a change of the members isn't finished.
    NoPreviousQuorum {
        /// Former voters that are there.
        have: usize,
        /// Former voters by the record.
        of: usize,
        /// Former voters needed.
        need: usize,
    },
    /// There are several masters, and no record of what they have in common.
    NoRecord {
        /// How many.
        masters: usize,
    },
    /// The nodes named together have nothing to do with each other.
    Unrelated {
        /// A node, and the cluster its PFS belongs to.
        first: (NodeIndex, Uuid),
        /// Another node and its cluster.
        second: (NodeIndex, Uuid),
    },
    /// A disk and its copy are both there, and without both there is no quorum.
    SameMember {
        /// One of them.
        first: NodeIndex,
        /// The other.
        second: NodeIndex,
        /// The id of the member that both claim to be.
        fsid: Uuid,
    },
    /// The newest version is known and may have been acknowledged, but no node has it whole.
    NoTrustedHolder {
        /// The version.
        version: Version,
        /// The nodes that say they have it.
        holders: NodeSet,
    },
    /// Another mount continued with a quorum while this one had none.
    Overtaken {
        /// The node.
        node: NodeIndex,
    },
    /// The node that was asked for can't be read.
    Unreadable {
        /// The node.
        node: NodeIndex,
    },
    /// The node's record can't be believed.
    DamagedRecord {
        /// The node.
        node: NodeIndex,
        /// What is wrong.
        corruption: Corruption,
    },
    /// The node can't be mounted by itself.
    NotSoft {
        /// The node.
        node: NodeIndex,
        /// Its role.
        role: Role,
    },
    /// There is no such node, or it has no record to start from.
    NoSuchNode {
        /// The node.
        node: NodeIndex,
    },
    /// More forks had to be given up at once than a record can name.
    TooManyForks {
        /// The nodes that have them.
        nodes: NodeSet,
    },
    /// Another mount writes to it.
    InUse {
        /// The node.
        node: NodeIndex,
        /// The machine of the other mount.
        host: HostName,
        /// When the other mount wrote its heartbeat.
        time: Timestamp,
    },
    /// Another mount has changed the node since this one first looked at it.
    ChangedMeanwhile {
        /// The node.
        node: NodeIndex,
    },
    /// One version is mounted for reading, as the operator wanted.
    AsOf,
    /// The last epoch number is used up.
    NoMoreEpochs,
}

/// A mount that must not happen: histories contradict each other, and only the operator knows which to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alarm {
    /// Two histories with commits.
    SplitBrain {
        /// The node with one of them.
        node: NodeIndex,
        /// Its version.
        version: Version,
        /// The node with the other.
        reference: NodeIndex,
        /// The version of that node.
        current: Version,
    },
    /// The other nodes continued without something that was acknowledged.
    AckedTail {
        /// The node.
        node: NodeIndex,
        /// Its version.
        version: Version,
        /// The version of the others.
        current: Version,
    },
    /// A slave has changes that no master has.
    SlaveAhead {
        /// The slave.
        node: NodeIndex,
        /// Its version.
        version: Version,
        /// The version of the masters.
        current: Version,
    },
    /// There are two configurations with the same number.
    TwoConfigs {
        /// The node with one of them.
        first: NodeIndex,
        /// The node with the other.
        second: NodeIndex,
    },
}
