//! Which nodes' answers count, and which nodes have contradicted.

use core::cell::Cell;

use super::vote::{Electorate, NodeSet, Target};
use super::{Ejection, MAX_NODES, NodeIndex};

/// Which nodes decide for the cluster.
pub(super) struct Assent {
    /// The nodes that vote, and how many votes there are.
    electorate: Cell<Electorate>,
    target: Cell<Target>,
    /// Nodes that contradicted the others and must leave before the next header is written, with the reasons.
    dissenters: Cell<[Option<Ejection>; MAX_NODES]>,
    /// True when the remaining nodes contradicted each other: nothing is changed any more.
    suspended: Cell<bool>,
}

impl Default for Assent {
    fn default() -> Self {
        Self {
            electorate: Cell::new(Electorate::of(NodeSet::first_nodes(1), 1)),
            target: Cell::new(Target::Quorum),
            dissenters: Cell::new([None; MAX_NODES]),
            suspended: Cell::new(false),
        }
    }
}

impl Assent {
    pub(super) fn electorate(&self) -> Electorate {
        self.electorate.get()
    }

    /// Sets the electorate that votes from here on.
    pub(super) fn elect(&self, electorate: Electorate) {
        self.electorate.set(electorate);
    }

    /// True when these nodes are a quorum.
    pub(super) fn has_quorum(&self, nodes: NodeSet) -> bool {
        self.electorate.get().has_quorum(nodes)
    }

    pub(super) fn target(&self) -> Target {
        self.target.get()
    }

    /// Sets the version that is asked for from here on.
    pub(super) fn aim_at(&self, target: Target) {
        self.target.set(target);
    }

    pub(super) fn note_dissent(&self, leave: &[(NodeIndex, Ejection)]) {
        let mut dissenters = self.dissenters.get();
        leave.iter().for_each(|(index, why)| dissenters[usize::from(index.0)] = Some(*why));
        self.dissenters.set(dissenters);
    }

    /// Returns the nodes that contradicted, and forgets them.
    pub(super) fn take_dissenters(&self) -> impl Iterator<Item = (NodeIndex, Ejection)> + use<> {
        let dissenters = (0..).map(NodeIndex).zip(self.dissenters.take());
        dissenters.filter_map(|(index, why)| Some((index, why?)))
    }

    pub(super) fn suspend(&self) {
        self.suspended.set(true);
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspended.get()
    }
}
