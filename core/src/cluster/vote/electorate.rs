//! Which nodes vote, and how many votes are enough.

use super::NodeSet;

/// The voters of one configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voters {
    /// The voters that are there.
    pub nodes: NodeSet,
    /// The number of all voters by the cluster record, there or not. The number of visible disks says nothing.
    pub count: usize,
}

impl Voters {
    /// The number of voters that decides: more than half.
    pub fn quorum(&self) -> usize {
        self.count.max(1) / 2 + 1
    }

    /// True when enough voters are in the set.
    pub fn has_quorum(&self, set: NodeSet) -> bool {
        self.nodes.intersection(set).len() >= self.quorum()
    }
}

/// The voters and, while a change of them is pending, also the former voters: then a decision needs both quorums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Electorate {
    /// The voters.
    pub current: Voters,
    /// The voters before the pending change.
    pub previous: Option<Voters>,
}

impl Electorate {
    /// An electorate without a pending change.
    pub fn of(nodes: NodeSet, count: usize) -> Self {
        Self { current: Voters { nodes, count }, previous: None }
    }

    /// All nodes whose votes count for something.
    pub fn nodes(&self) -> NodeSet {
        self.current.nodes.union(self.previous.map_or(NodeSet::EMPTY, |voters| voters.nodes))
    }

    /// True when the set has every quorum that is needed.
    pub fn has_quorum(&self, set: NodeSet) -> bool {
        self.current.has_quorum(set) && self.previous.is_none_or(|voters| voters.has_quorum(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half() {
        for (count, quorum) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (8, 5)] {
            assert_eq!(Voters { nodes: NodeSet::EMPTY, count }.quorum(), quorum, "{count}");
        }
    }

    #[test]
    fn only_voters_count() {
        let electorate = Electorate::of(NodeSet(0b0011), 3);
        assert!(electorate.has_quorum(NodeSet(0b0011)));
        assert!(!electorate.has_quorum(NodeSet(0b1101)));
    }

    #[test]
    fn a_pending_change_needs_both() {
        let previous = Some(Voters { nodes: NodeSet(0b0111), count: 3 });
        let electorate = Electorate { current: Voters { nodes: NodeSet(0b11100), count: 3 }, previous };
        assert_eq!(electorate.nodes(), NodeSet(0b11111));
        assert!(!electorate.has_quorum(NodeSet(0b00011)) && !electorate.has_quorum(NodeSet(0b11000)));
        assert!(electorate.has_quorum(NodeSet(0b01110)));
    }
}
