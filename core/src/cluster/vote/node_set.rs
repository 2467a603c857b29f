//! Sets of nodes.

use core::fmt;

use crate::node::NodeIndex;

/// The most nodes a cluster has.
pub const MAX_NODES: usize = crate::media::cluster_record::MAX_MEMBERS;

/// A set of nodes, as bits. An index that no cluster has is in no set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u8);

impl NodeSet {
    /// No nodes.
    pub const EMPTY: Self = Self(0);

    /// The first `count` nodes.
    pub fn first_nodes(count: usize) -> Self {
        (0..count.min(MAX_NODES)).map(|index| NodeIndex(index as u8)).collect()
    }

    /// The set of one node.
    pub fn only(node: NodeIndex) -> Self {
        Self(1u8.checked_shl(node.0.into()).unwrap_or(0))
    }

    /// True when the node is in the set.
    pub fn contains(self, node: NodeIndex) -> bool {
        self.0 & Self::only(node).0 != 0
    }

    /// True when all of `other` is in the set.
    pub fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Adds a node.
    pub fn insert(&mut self, node: NodeIndex) {
        *self = self.with(node);
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: NodeIndex) {
        self.0 &= !Self::only(node).0;
    }

    /// The set with a node added.
    pub fn with(self, node: NodeIndex) -> Self {
        Self(self.0 | Self::only(node).0)
    }

    /// The nodes in either set.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The nodes in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The nodes in this set that aren't in `other`.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when no node is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many nodes are in the set.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The node with the lowest index.
    pub fn first(self) -> Option<NodeIndex> {
        self.iter().next()
    }

    /// The nodes, lowest index first.
    pub fn iter(self) -> impl Iterator<Item = NodeIndex> {
        (0..MAX_NODES as u8).map(NodeIndex).filter(move |node| self.contains(*node))
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeIndex>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        self.iter().try_for_each(|node| {
            write!(f, "{separator}{}", node.0)?;
            separator = ", ";
            Ok(())
        })
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;

    #[test]
    fn sets() {
        let set: NodeSet = [NodeIndex(0), NodeIndex(2)].into_iter().collect();
        assert_eq!((set.len(), set.first(), format!("{set}")), (2, Some(NodeIndex(0)), "0, 2".into()));
        assert!(set.contains(NodeIndex(2)) && !set.contains(NodeIndex(1)));
        assert_eq!(NodeSet::first_nodes(3).difference(set), NodeSet::only(NodeIndex(1)));
        assert!(NodeSet::first_nodes(3).contains_all(set) && !set.contains_all(NodeSet::first_nodes(3)));
    }

    #[test]
    fn nodes_come_and_go() {
        let mut set = NodeSet::first_nodes(3);
        set.remove(NodeIndex(1));
        set.remove(NodeIndex(5));
        assert_eq!(set, [NodeIndex(0), NodeIndex(2)].into_iter().collect());
        set.insert(NodeIndex(1));
        assert_eq!(set, NodeSet::first_nodes(3));
    }

    #[test]
    fn indices_no_cluster_has() {
        for index in [8, 31, 32, 64, 255] {
            assert!(NodeSet::only(NodeIndex(index)).is_empty());
            assert!(!NodeSet(0xff).contains(NodeIndex(index)));
        }
        assert_eq!(NodeSet::first_nodes(99), NodeSet(0xff));
    }
}
