//! Making one answer of the nodes' answers about one element (protocol 2.4).
//!
//! A decision takes the agreement of a quorum of the record's voters, asked among the sync set. Three rules go beyond counting:
//!
//! - The sync set has executed everything that was acknowledged, so when all of it agrees, that is the answer, even if it is
//!   smaller than a quorum. (Writing stops then.)
//! - A readable copy beats errors: when all nodes of the sync set that could look agree that the element is there, it is there.
//!   Absence is never concluded that way.
//! - A node that can't read a block has still voted: the block's verified parent told what it is.
//!
//! An answer that differs from the decision is a fault of its node, which has to leave. Later votes never change a verdict.

use super::{NodeSet, View};
use crate::media::{BlockKind, Key, KeyBits, ModifyTid};
use crate::node::{NodeFault, NodeIndex};

/// The properties of an element that can be compared between nodes; never a place, an indirect block, or a `mirror_tid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its key.
    pub(crate) key: Key,
    /// Its kind.
    pub(crate) kind: BlockKind,
    /// The width of its span.
    pub(crate) keybits: KeyBits,
    /// The operation that last changed it.
    pub(crate) modify_tid: ModifyTid,
    /// Its logical size.
    pub(crate) bytes: u64,
}

/// What a node says of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// Nothing yet.
    Pending,
    /// There is no such element; in an iteration: no further one.
    Absent,
    /// The element is this one, and its data is good.
    Present(Element),
    /// This one, by its verified parent; but its data can't be read.
    #[cfg_attr(not(test), expect(dead_code, reason = "protocol 2.4 has it; nodes here say that they failed"))]
    /// The element is this one according to its verified parent, but its data can't be read.
    Unreadable(Element, NodeFault),
    /// The node couldn't even look.
    Failed(NodeFault),
}

impl Vote {
    fn element(&self) -> Option<&Element> {
        match self {
            Self::Present(element) | Self::Unreadable(element, _) => Some(element),
            Self::Pending | Self::Absent | Self::Failed(_) => None,
        }
    }

    fn fault(&self) -> Option<NodeFault> {
        match self {
            Self::Unreadable(_, fault) | Self::Failed(fault) => Some(*fault),
            Self::Pending | Self::Absent | Self::Present(_) => None,
        }
    }
}

/// What must be done about nodes, whatever the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Care {
    /// Nodes whose copy can't be read: repair it from a good one.
    pub(crate) heal: NodeSet,
    /// Nodes in the sync set with different content: eject and resynchronize them.
    pub(crate) evict: NodeSet,
    /// Nodes that haven't answered: eject them when their deadline has passed.
    pub(crate) late: NodeSet,
}

/// What follows from the votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// The element is this one.
    Present {
        /// The element.
        element: Element,
        /// The node whose copy is taken by default: a master before a slave.
        focus: NodeIndex,
        /// All nodes that say so, including slaves.
        agree: NodeSet,
        /// Those of them whose copy is good. The focus need not be one of them.
        readable: NodeSet,
        /// What to do about the others.
        care: Care,
    },
    /// There is no such element; in an iteration: no further one.
    NotFound(Care),
    /// Votes that are still to come can decide it.
    InProgress {
        /// Nodes that haven't answered.
        waiting: NodeSet,
        /// Nodes that already contradict each other: raise the alarm when there are any.
        diverged: NodeSet,
    },
    /// No vote that is still to come can decide it. This is never taken for "not found".
    NoQuorum {
        /// Nodes that contradict each other.
        diverged: NodeSet,
        /// Nodes that couldn't look.
        failed: NodeSet,
    },
    /// No node has a readable copy.
    AllFailed {
        /// What one of them said.
        fault: NodeFault,
        /// All nodes that failed.
        nodes: NodeSet,
    },
}

/// The verdict on votes in this view; the votes start with that of node 0. Votes from outside the sync set are ignored.
pub(crate) fn resolve(votes: &[Vote], view: &View) -> Verdict {
    Ballot::of(votes, view).verdict()
}

/// The votes, sorted by what they say.
struct Ballot<'a> {
    votes: &'a [Vote],
    view: &'a View,
    eligible: NodeSet,
    followers: NodeSet,
    pending: NodeSet,
    absent: NodeSet,
    failed: NodeSet,
}

impl<'a> Ballot<'a> {
    fn of(votes: &'a [Vote], view: &'a View) -> Self {
        let (eligible, followers) = (view.eligible(), view.followers());
        let mut ballot = Self {
            votes,
            view,
            eligible,
            followers,
            pending: NodeSet::EMPTY,
            absent: NodeSet::EMPTY,
            failed: NodeSet::EMPTY,
        };
        ballot.pending = ballot.saying(|vote| *vote == Vote::Pending);
        ballot.absent = ballot.saying(|vote| *vote == Vote::Absent);
        ballot.failed = ballot.saying(|vote| matches!(vote, Vote::Failed(_)));
        ballot
    }

    /// The asked nodes whose vote is as wanted, including followers.
    fn saying(&self, wanted: impl Fn(&Vote) -> bool) -> NodeSet {
        let asked = self.eligible.union(self.followers);
        asked.iter().filter(|node| self.vote(*node).is_some_and(&wanted)).collect()
    }

    fn vote(&self, node: NodeIndex) -> Option<&'a Vote> {
        self.votes.get(usize::from(node.0))
    }

    /// The nodes with an element under a key that `wanted` accepts.
    fn with_key(&self, wanted: impl Fn(Key) -> bool) -> NodeSet {
        self.saying(|vote| vote.element().is_some_and(|element| wanted(element.key)))
    }

    fn only_eligible(&self, set: NodeSet) -> NodeSet {
        set.intersection(self.eligible)
    }

    /// True when the nodes that say an element is there decide it, once `more` of the eligible nodes join them.
    fn decides_presence(&self, saying: NodeSet, more: NodeSet) -> bool {
        let all = self.only_eligible(saying.union(more));
        let all_that_could = all.union(self.failed).contains_all(self.eligible);
        self.view.has_quorum(all) || (!all.is_empty() && all_that_could)
    }

    /// True when the nodes that say it is absent decide that, once `more` of the eligible nodes join them.
    fn decides_absence(&self, saying: NodeSet, more: NodeSet) -> bool {
        let all = self.only_eligible(saying.union(more));
        self.view.has_quorum(all) || (!all.is_empty() && all.contains_all(self.eligible))
    }

    /// Goes through the offered keys, lowest first. A key that a quorum doesn't have is skipped: the nodes that offer it hold
    /// something that was deleted, or never acknowledged. After a key that is still open nothing can be decided yet (a node that
    /// offers a later key denies this one), but it remains to see whether it may be.
    fn verdict(&self) -> Verdict {
        // This covers an element that no node has offered yet.
        let mut reachable = self.decides_presence(self.pending, self.pending);
        let mut open_since = None;
        let mut after = None;
        while let Some(key) = self.next_key(after) {
            let absent = self.only_eligible(self.absent.union(self.with_key(|other| other > key)));
            let at_key = self.only_eligible(self.with_key(|other| other == key));
            for node in at_key.iter() {
                let Some(element) = self.vote(node).and_then(Vote::element) else { continue };
                let saying = self.saying(|vote| vote.element() == Some(element));
                if self.decides_presence(saying, NodeSet::EMPTY) {
                    return self.present(*element, saying);
                }
                reachable |= self.decides_presence(saying, self.pending);
            }
            if !self.decides_absence(absent, NodeSet::EMPTY) {
                open_since = open_since.or(Some(absent.union(at_key)));
                if !self.decides_absence(absent, self.pending) {
                    return self.undecided(reachable, open_since.unwrap_or_default());
                }
            }
            after = Some(key);
        }
        if self.decides_absence(self.absent, NodeSet::EMPTY) {
            return Verdict::NotFound(Care { heal: self.failed, evict: self.with_key(|_| true), late: self.pending });
        }
        reachable |= self.decides_absence(self.absent, self.pending);
        self.undecided(reachable, open_since.unwrap_or_default())
    }

    /// The lowest key after `after` that voters offer.
    fn next_key(&self, after: Option<Key>) -> Option<Key> {
        let key_of = |node| self.vote(node)?.element().map(|element| element.key);
        self.eligible.iter().filter_map(key_of).filter(|key| after.is_none_or(|after| *key > after)).min()
    }

    fn undecided(&self, reachable: bool, opinions: NodeSet) -> Verdict {
        let differ =
            |a: NodeIndex, b: NodeIndex| self.vote(a).and_then(Vote::element) != self.vote(b).and_then(Vote::element);
        let first = opinions.first();
        let contradict = first.is_some_and(|first| opinions.iter().any(|node| differ(first, node)));
        let diverged = if contradict { opinions } else { NodeSet::EMPTY };
        let waiting = self.only_eligible(self.pending);
        if reachable && !waiting.is_empty() {
            return Verdict::InProgress { waiting, diverged };
        }
        let failed = self.only_eligible(self.failed);
        match self.fault_of(failed) {
            Some(fault) if opinions.union(self.absent).is_empty() && waiting.is_empty() => {
                Verdict::AllFailed { fault, nodes: failed }
            }
            _ => Verdict::NoQuorum { diverged, failed },
        }
    }

    /// The verdict when the element is decided and a copy remains to be found.
    fn present(&self, element: Element, agree: NodeSet) -> Verdict {
        let readable = self.saying(|vote| *vote == Vote::Present(element));
        let unreadable = agree.difference(readable);
        let focus = self.only_eligible(readable).first().or_else(|| readable.first());
        let Some(focus) = focus else {
            let nodes = unreadable.union(self.failed);
            return match self.fault_of(unreadable) {
                Some(fault) if self.pending.is_empty() => Verdict::AllFailed { fault, nodes },
                _ => Verdict::InProgress { waiting: self.pending, diverged: NodeSet::EMPTY },
            };
        };
        let evict = self.absent.union(self.with_key(|_| true)).difference(agree);
        let care = Care { heal: unreadable.union(self.failed), evict, late: self.pending };
        Verdict::Present { element, focus, agree, readable, care }
    }

    fn fault_of(&self, nodes: NodeSet) -> Option<NodeFault> {
        nodes.iter().find_map(|node| self.vote(node)?.fault())
    }
}

#[cfg(test)]
mod tests;
