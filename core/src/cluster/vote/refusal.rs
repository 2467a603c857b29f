//! Why a mount doesn't happen, and what the operator can do about it.

use super::{NodeSet, Role, Version};
use crate::media::{Corruption, HostName, Timestamp, Uuid};
use crate::node::NodeIndex;

/// A mount that can't be: something is missing, and comes back when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are no members at all.
    #[error("no member of the cluster is there: name the volumes that hold it")]
    NoMembers,
    /// Slaves and soft nodes alone don't make a cluster.
    #[error("no master of the cluster is there: add its volumes, or look with --as-of")]
    NoMaster,
    /// Too few voters.
    #[error("no quorum: {have} of {of} masters are there, {need} are needed: add the missing volumes")]
    NoQuorum {
        /// Voters that are there.
        have: usize,
        /// Voters by the record.
        of: usize,
        /// Voters needed.
        need: usize,
    },
    /// Too few of those that voted before a change of the members that isn't finished.
    #[error(
        "a change of members is unfinished and {have} of the {of} former masters are there, {need} are needed: add them"
    )]
    NoPreviousQuorum {
        /// Former voters that are there.
        have: usize,
        /// Former voters by the record.
        of: usize,
        /// Former voters needed.
        need: usize,
    },
    /// Several masters, and no record of what they have in common.
    #[error("{masters} masters without a cluster record: join them with `hammer2 cluster adopt`")]
    NoRecord {
        /// How many.
        masters: usize,
    },
    /// A quorum is lost to a disk and its copy.
    #[error("nodes {first} and {second} are copies of one member ({fsid}): detach one, or name the one to use")]
    SameMember {
        /// One.
        first: NodeIndex,
        /// The other.
        second: NodeIndex,
        /// What both say they are.
        fsid: Uuid,
    },
    /// The newest version is known, nobody has it whole, and it may have been acknowledged.
    #[error(
        "nodes {holders} have the newest version {version}, but none can be trusted with it: add another master that has it"
    )]
    NoTrustedHolder {
        /// The version.
        version: Version,
        /// Those that say they have it.
        holders: NodeSet,
    },
    /// Another mount went on with a quorum while this one had none.
    #[error("node {node} was changed by another mount meanwhile: unmount this one, whose last changes are lost")]
    Overtaken {
        /// The node.
        node: NodeIndex,
    },
    /// The node that was asked for can't be read.
    #[error("node {node} can't be read: replace its volume, or mount another")]
    Unreadable {
        /// The node.
        node: NodeIndex,
    },
    /// The node's record can't be believed.
    #[error("node {node}: {corruption}: mount without it, then `hammer2 cluster replace` it")]
    DamagedRecord {
        /// The node.
        node: NodeIndex,
        /// What is wrong.
        corruption: Corruption,
    },
    /// The node can't be mounted by itself.
    #[error("node {node} is a {role}, not a soft node: mount the cluster, or look with --as-of")]
    NotSoft {
        /// The node.
        node: NodeIndex,
        /// What it is.
        role: Role,
    },
    /// There is no such node, or it has no record to start from.
    #[error("node {node} is no member that could be mounted: name another")]
    NoSuchNode {
        /// The node.
        node: NodeIndex,
    },
    /// More forks than a record can name were to be given up at once.
    #[error(
        "more histories to give up than a record can name: detach some of nodes {nodes}, and force again with them later"
    )]
    TooManyForks {
        /// Those that have them.
        nodes: NodeSet,
    },
    /// Another mount writes to it.
    #[error(
        "node {node} is in use by another mount, on {host}, which wrote to it at {time} UTC by its clock: unmount it there first"
    )]
    InUse {
        /// The node.
        node: NodeIndex,
        /// The other's machine.
        host: HostName,
        /// When the other wrote its heartbeat.
        time: Timestamp,
    },
    /// Another mount has changed it between the first look at it and now.
    #[error("node {node} was changed by another mount while this one began: mount again")]
    ChangedMeanwhile {
        /// The node.
        node: NodeIndex,
    },
    /// One version is looked at, by the operator's wish.
    #[error("mounted read-only as of one version: mount the cluster to change it")]
    AsOf,
    /// The last epoch was used.
    #[error("the cluster has used up all its epochs: copy it to a new one")]
    NoMoreEpochs,
}

/// A mount that must not be: histories contradict each other, and only the operator knows which to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Two histories with commits.
    #[error(
        "split brain: nodes {node} ({version}) and {reference} ({current}) were written apart: \
         look at each with --as-of, then `hammer2 cluster force` the one to keep"
    )]
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
    #[error(
        "node {node} has acknowledged changes ({version}) that the others lack ({current}): \
         `hammer2 cluster force` the one to keep"
    )]
    AckedTail {
        /// The node.
        node: NodeIndex,
        /// What it has.
        version: Version,
        /// What the others have.
        current: Version,
    },
    /// A slave has what no master has.
    #[error(
        "slave {node} ({version}) is ahead of the masters ({current}), so they lost changes: \
         look with --as-of, or `hammer2 cluster force` one"
    )]
    SlaveAhead {
        /// The slave.
        node: NodeIndex,
        /// What it has.
        version: Version,
        /// What the masters have.
        current: Version,
    },
    /// Two configurations with one number.
    #[error("nodes {first} and {second} disagree on who the members are: `hammer2 cluster force` the one to keep")]
    TwoConfigs {
        /// The one.
        first: NodeIndex,
        /// The other.
        second: NodeIndex,
    },
}
