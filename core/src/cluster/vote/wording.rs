//! Refusals in words: what is wrong with which node, and what can be done about it.
//!
//! Only the reader's tool knows what nodes are called: a tool that was given paths names paths, and its advice is commands that
//! can be typed as they are. Where nothing but numbers is known, numbers are used.

use core::fmt::{self, Display};

use super::{Alarm, NodeSet, Refusal};
use crate::node::NodeIndex;

/// What nodes are called.
pub trait Names {
    /// A node in a sentence.
    fn node(&self, node: NodeIndex, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// An order to the cluster, `hammer2 cluster ...`, about one of its nodes or about all, as it can be given.
    fn command(&self, order: &str, about: Option<NodeIndex>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Names for readers that know none.
struct Numbers;

impl Names for Numbers {
    fn node(&self, node: NodeIndex, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {node}")
    }

    fn command(&self, order: &str, about: Option<NodeIndex>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`hammer2 cluster {order}`")?;
        about.map_or(Ok(()), |node| write!(f, " of node {node}"))
    }
}

/// Something that is formatted with names.
pub struct Worded<'w, T> {
    what: &'w T,
    names: &'w dyn Names,
}

impl<'w, T> Worded<'w, T> {
    /// Makes `what` printable with these names.
    pub fn new(what: &'w T, names: &'w dyn Names) -> Self {
        Self { what, names }
    }

    fn node(&self, node: NodeIndex) -> impl Display {
        fmt::from_fn(move |f| self.names.node(node, f))
    }

    fn nodes(&self, nodes: NodeSet) -> impl Display {
        fmt::from_fn(move |f| {
            nodes.iter().enumerate().try_for_each(|(place, node)| {
                f.write_str(if place > 0 { ", " } else { "" })?;
                self.names.node(node, f)
            })
        })
    }

    fn command(&self, order: &'static str, about: Option<NodeIndex>) -> impl Display {
        fmt::from_fn(move |f| self.names.command(order, about, f))
    }

    /// The choice between two histories, of which one is to be kept.
    fn choice(&self, one: NodeIndex, other: NodeIndex) -> impl Display {
        fmt::from_fn(move |f| {
            let (one, other) = (self.command("force", Some(one)), self.command("force", Some(other)));
            write!(f, "look at each with --as-of, then keep one: {one}, or {other}")
        })
    }
}

impl Display for Worded<'_, Refusal> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.what {
            Refusal::NoMembers => write!(f, "no member of the cluster is there: name the volumes that hold it"),
            Refusal::NoMaster => {
                write!(f, "no master of the cluster is there: name its volumes, too, or look with --as-of")
            }
            Refusal::NoQuorum { have, of, need } => {
                write!(
                    f,
                    "no quorum: {have} of {of} masters are there, {need} are needed: name the others' volumes, "
                )?;
                write!(f, "too, or bring those back that can't be used")
            }
            Refusal::NoPreviousQuorum { have, of, need } => {
                write!(f, "a change of members is unfinished and {have} of the {of} former masters are there, ")?;
                write!(f, "{need} are needed: name them, too")
            }
            Refusal::NoRecord { masters } => {
                let adopt = self.command("adopt", None);
                write!(
                    f,
                    "{masters} masters without a cluster record: {adopt} joins them, with what the first of them has"
                )
            }
            Refusal::Unrelated { first: (first, one), second: (second, other) } => {
                let (first, second) = (self.node(first), self.node(second));
                write!(f, "{first} belongs to cluster {one}, {second} to cluster {other}, which have nothing to do ")?;
                write!(f, "with each other: name the nodes of one of them")
            }
            Refusal::SameMember { first, second, fsid } => {
                let (first, second) = (self.node(first), self.node(second));
                write!(f, "{first} and {second} are copies of one member ({fsid}): name only one of them")
            }
            Refusal::NoTrustedHolder { version, holders } => {
                let holders = self.nodes(holders);
                write!(f, "{holders}: the newest version {version} is there, but none can be trusted with it: ")?;
                write!(f, "add another master that has it")
            }
            Refusal::Overtaken { node } => {
                let node = self.node(node);
                write!(
                    f,
                    "{node} was changed by another mount meanwhile: unmount this one, whose last changes are lost"
                )
            }
            Refusal::Unreadable { node } => {
                let (name, replace) = (self.node(node), self.command("replace", Some(node)));
                write!(f, "{name} can't be read: {replace} puts another volume in its place")
            }
            Refusal::DamagedRecord { node, corruption } => {
                let (name, replace) = (self.node(node), self.command("replace", Some(node)));
                write!(f, "{name}: {corruption}: {replace} puts another volume in its place")
            }
            Refusal::NotSoft { node, role } => {
                let node = self.node(node);
                write!(f, "{node} is a {role}, not a soft node: mount the cluster, or look with --as-of")
            }
            Refusal::NoSuchNode { node } => {
                write!(f, "node {node} is no member that could be mounted: name another")
            }
            Refusal::TooManyForks { nodes } => {
                let nodes = self.nodes(nodes);
                write!(
                    f,
                    "{nodes}: more histories to give up than a record can name: leave some out, and force again "
                )?;
                write!(f, "with them later")
            }
            Refusal::InUse { node, host, time } => {
                let node = self.node(node);
                write!(
                    f,
                    "{node} is in use by another mount, on {host}, which wrote to it at {time} UTC by its clock: "
                )?;
                write!(f, "unmount it there first")
            }
            Refusal::ChangedMeanwhile { node } => {
                let node = self.node(node);
                write!(f, "{node} was changed by another mount while this one began: mount again")
            }
            Refusal::AsOf => write!(f, "mounted read-only as of one version: mount the cluster to change it"),
            Refusal::NoMoreEpochs => write!(f, "the cluster has used up all its epochs: copy it to a new one"),
        }
    }
}

impl Display for Worded<'_, Alarm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.what {
            Alarm::SplitBrain { node, version, reference, current } => {
                let (one, other) = (self.node(node), self.node(reference));
                write!(f, "split brain: {one} ({version}) and {other} ({current}) were written apart: ")?;
                self.choice(node, reference).fmt(f)
            }
            Alarm::AckedTail { node, version, current } => {
                let (one, force) = (self.node(node), self.command("force", Some(node)));
                write!(f, "{one} has acknowledged changes ({version}) that the others lack ({current}): ")?;
                write!(f, "{force} keeps them; name another node to give them up")
            }
            Alarm::SlaveAhead { node, version, current } => {
                let (one, force) = (self.node(node), self.command("force", Some(node)));
                write!(f, "the slave {one} ({version}) is ahead of the masters ({current}), so they lost changes: ")?;
                write!(f, "{force} keeps them; name a master to give them up")
            }
            Alarm::TwoConfigs { first, second } => {
                let (one, other) = (self.node(first), self.node(second));
                write!(f, "{one} and {other} disagree on who the members are: ")?;
                self.choice(first, second).fmt(f)
            }
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Worded::new(self, &Numbers).fmt(f)
    }
}

impl Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Worded::new(self, &Numbers).fmt(f)
    }
}

impl core::error::Error for Refusal {}

impl core::error::Error for Alarm {}
