//! What is mounted and how: the facts by which votes are judged.

use super::{Electorate, MAX_NODES, NodeSet, Role};
use crate::node::NodeIndex;

/// What was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The cluster, by its quorum.
    Quorum,
    /// One soft node, by itself.
    Soft(NodeIndex),
    /// One version, read-only, as the nodes of the sync set hold it; no quorum is claimed.
    AsOf,
}

/// The state of a mount that decides how votes are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The role of each node; none for an index without a node.
    pub(crate) roles: [Option<Role>; MAX_NODES],
    /// The sync set, slaves included: nodes that have executed everything that was acknowledged, or hold it in their backlog.
    pub(crate) sync: NodeSet,
    /// The voters, from the cluster record.
    pub(crate) electorate: Electorate,
    /// What was mounted.
    pub(crate) target: Target,
}

impl View {
    /// The nodes with a role that `wanted` accepts.
    pub(crate) fn nodes_of(&self, wanted: impl Fn(Role) -> bool) -> NodeSet {
        let is_wanted = |node: &NodeIndex| self.role(*node).is_some_and(&wanted);
        (0..MAX_NODES as u8).map(NodeIndex).filter(is_wanted).collect()
    }

    /// The role of a node.
    pub(crate) fn role(&self, node: NodeIndex) -> Option<Role> {
        self.roles.get(usize::from(node.0)).copied().flatten()
    }

    /// The masters and the super-root of the sync set that the record lists as voters.
    pub(crate) fn voting(&self) -> NodeSet {
        self.nodes_of(Role::votes).intersection(self.electorate.nodes()).intersection(self.sync)
    }

    /// The nodes whose opinions are asked for.
    pub(super) fn eligible(&self) -> NodeSet {
        match self.target {
            Target::Quorum => self.voting(),
            Target::Soft(node) => NodeSet::only(node),
            Target::AsOf => self.sync,
        }
    }

    /// The nodes whose copies may be read though their opinion isn't asked: slaves in step.
    pub(super) fn followers(&self) -> NodeSet {
        match self.target {
            Target::Quorum => self.nodes_of(|role| role == Role::Slave).intersection(self.sync),
            Target::Soft(_) | Target::AsOf => NodeSet::EMPTY,
        }
    }

    /// True when `set` is enough to decide by numbers.
    pub(super) fn has_quorum(&self, set: NodeSet) -> bool {
        match self.target {
            Target::Quorum => self.electorate.has_quorum(set),
            Target::Soft(node) => set.contains(node),
            Target::AsOf => Electorate::of(self.sync, self.sync.len()).has_quorum(set),
        }
    }
}
