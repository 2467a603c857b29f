//! Why a mount doesn't happen. What is said of it, and what the operator can do, is in [`wording`](super::wording).

use super::{NodeSet, Role, Version};
use crate::media::{Corruption, HostName, Timestamp, Uuid};
use crate::node::NodeIndex;

/// A mount that can't be: something is missing, and comes back when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Too few of those that voted before a change of the members that isn't finished.
    NoPreviousQuorum {
        /// Former voters that are there.
        have: usize,
        /// Former voters by the record.
        of: usize,
        /// Former voters needed.
        need: usize,
    },
    /// Several masters, and no record of what they have in common.
    NoRecord {
        /// How many.
        masters: usize,
    },
    /// Nodes were named together that have nothing to do with each other.
    Unrelated {
        /// A node, and the cluster its PFS is of.
        first: (NodeIndex, Uuid),
        /// Another.
        second: (NodeIndex, Uuid),
    },
    /// A quorum is lost to a disk and its copy.
    SameMember {
        /// One.
        first: NodeIndex,
        /// The other.
        second: NodeIndex,
        /// What both say they are.
        fsid: Uuid,
    },
    /// The newest version is known, nobody has it whole, and it may have been acknowledged.
    NoTrustedHolder {
        /// The version.
        version: Version,
        /// Those that say they have it.
        holders: NodeSet,
    },
    /// Another mount went on with a quorum while this one had none.
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
        /// What it is.
        role: Role,
    },
    /// There is no such node, or it has no record to start from.
    NoSuchNode {
        /// The node.
        node: NodeIndex,
    },
    /// More forks than a record can name were to be given up at once.
    TooManyForks {
        /// Those that have them.
        nodes: NodeSet,
    },
    /// Another mount writes to it.
    InUse {
        /// The node.
        node: NodeIndex,
        /// The other's machine.
        host: HostName,
        /// When the other wrote its heartbeat.
        time: Timestamp,
    },
    /// Another mount has changed it between the first look at it and now.
    ChangedMeanwhile {
        /// The node.
        node: NodeIndex,
    },
    /// One version is looked at, by the operator's wish.
    AsOf,
    /// The last epoch was used.
    NoMoreEpochs,
}

/// A mount that must not be: histories contradict each other, and only the operator knows which to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Two histories with commits.
    SplitBrain {
        /// The one.
        node: NodeIndex,
        /// What it has.
        version: Version,
        /// The other.
        reference: NodeIndex,
        /// What that has.
        current: Version,
    },
    /// The others went on without something that was acknowledged.
    AckedTail {
        /// The node.
        node: NodeIndex,
        /// What it has.
        version: Version,
        /// What the others have.
        current: Version,
    },
    /// A slave has what no master has.
    SlaveAhead {
        /// The slave.
        node: NodeIndex,
        /// What it has.
        version: Version,
        /// What the masters have.
        current: Version,
    },
    /// Two configurations with one number.
    TwoConfigs {
        /// The one.
        first: NodeIndex,
        /// The other.
        second: NodeIndex,
    },
}
