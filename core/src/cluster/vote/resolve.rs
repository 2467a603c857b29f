//! From the answers of nodes about one element to one answer (protocol 2.4).
//!
//! What decides is agreement of a quorum of the record's voters, asked among the sync set. Three rules go beyond counting:
//!
//! - The sync set executed everything that was acknowledged, so when all of it agrees that is the answer, even if it is smaller
//!   than a quorum. (Writing stops then.)
//! - A copy that can be read beats errors: when all of the sync set that could look agrees that the element is there, it is
//!   there. Absence is never concluded that way.
//! - A block that can't be read has still voted: what it is was told by its verified parent.
//!
//! An answer that differs from the decision is a fault of its node, which has to leave. A verdict once given never changes
//! through votes that come later.

use super::{NodeSet, View};
use crate::media::{BlockKind, Key, KeyBits, ModifyTid};
use crate::node::{NodeFault, NodeIndex};

/// What can be compared of an element between nodes; never a place, an indirect block, or a `mirror_tid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its key.
    pub key: Key,
    /// What it is.
    pub kind: BlockKind,
    /// The width of its span.
    pub keybits: KeyBits,
    /// The operation that last changed it.
    pub modify_tid: ModifyTid,
    /// Its logical size.
    pub bytes: u64,
}

/// What a node says of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Nothing yet.
    Pending,
    /// There is none; in an iteration: no more.
    Absent,
    /// This one, and its data is good.
    Present(Element),
    /// This one, by its verified parent; but its data can't be read.
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

/// What has to be done about nodes, whatever the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// Their copy can't be read: repair it from a good one.
    pub heal: NodeSet,
    /// They hold something else though they are in the sync set: eject and resynchronize.
    pub evict: NodeSet,
    /// They haven't answered: eject them when their deadline has passed.
    pub late: NodeSet,
}

/// What follows from the votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The element is this one.
    Present {
        /// The element.
        element: Element,
        /// Whose copy is taken by default: a master's before a slave's.
        focus: NodeIndex,
        /// All that say so, slaves too.
        agree: NodeSet,
        /// Those of them whose copy is good. The focus may be any.
        readable: NodeSet,
        /// What to do about the others.
        care: Care,
    },
    /// There is no such element, in an iteration: no more.
    NotFound(Care),
    /// Nodes that have to be waited for can still decide.
    InProgress {
        /// They haven't answered.
        waiting: NodeSet,
        /// They contradict each other already: raise the alarm when there are any.
        diverged: NodeSet,
    },
    /// Nobody who is still to answer can decide it. Never taken for "not found".
    NoQuorum {
        /// They contradict each other.
        diverged: NodeSet,
        /// They couldn't look.
        failed: NodeSet,
    },
    /// No node has a readable copy.
    AllFailed {
        /// What one of them said.
        fault: NodeFault,
        /// All that failed.
        nodes: NodeSet,
    },
}

/// The verdict on votes, the first of node 0, in this view. Nodes outside the sync set are not listened to.
pub fn resolve(votes: &[Vote], view: &View) -> Verdict {
    Ballot::of(votes, view).verdict()
}

/// The votes by what they say.
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

    /// Those asked whose vote is as wanted, followers too.
    fn saying(&self, wanted: impl Fn(&Vote) -> bool) -> NodeSet {
        let asked = self.eligible.union(self.followers);
        asked.iter().filter(|node| self.vote(*node).is_some_and(&wanted)).collect()
    }

    fn vote(&self, node: NodeIndex) -> Option<&'a Vote> {
        self.votes.get(usize::from(node.0))
    }

    /// Those with an element under a key that `wanted` accepts.
    fn with_key(&self, wanted: impl Fn(Key) -> bool) -> NodeSet {
        self.saying(|vote| vote.element().is_some_and(|element| wanted(element.key)))
    }

    fn only_eligible(&self, set: NodeSet) -> NodeSet {
        set.intersection(self.eligible)
    }

    /// True when those that say an element is there decide it, `more` of the eligible joining them.
    fn decides_presence(&self, saying: NodeSet, more: NodeSet) -> bool {
        let all = self.only_eligible(saying.union(more));
        let all_that_could = all.union(self.failed).contains_all(self.eligible);
        self.view.has_quorum(all) || (!all.is_empty() && all_that_could)
    }

    /// The same for those that say it isn't there.
    fn decides_absence(&self, saying: NodeSet, more: NodeSet) -> bool {
        let all = self.only_eligible(saying.union(more));
        self.view.has_quorum(all) || (!all.is_empty() && all.contains_all(self.eligible))
    }

    /// Goes through the keys that are offered, lowest first. One that a quorum doesn't have is passed over: those that offer it
    /// hold something that was deleted, or never acknowledged. Behind a key that is still open nothing can be decided yet
    /// (who says a later one denies this one), but it remains to see whether it may be.
    fn verdict(&self) -> Verdict {
        // An element nobody has told of yet.
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

    /// The lowest key that voters offer behind `after`.
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

    /// The element is decided; it remains to find a copy.
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
