//! What happened in a run, as data: for the page that shows it, and to see where two runs part.
//!
//! A chronicle only listens. It draws no random numbers and makes no requests, so a run that is chronicled is the same run.

use std::cell::{Cell, RefCell};

use serde::Serialize;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in virtual time since the run began.
    #[serde(rename = "at")]
    pub nanoseconds: u64,
    /// Stands for every request and every result until then: two runs that have been the same have the same here.
    #[serde(skip)]
    pub trace: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The run begins.
    Begun {
        /// How large each disk is, in bytes.
        disks: Vec<u64>,
        /// The clusters on them.
        clusters: Vec<ClusterBegun>,
    },
    /// A round begins.
    Round {
        /// What it is about: the work of clients, or something that is done to disks.
        name: &'static str,
        /// The label of the cluster it is about.
        cluster: String,
    },
    /// Disks were opened to be mounted.
    Opened {
        /// Which disk each node is; none for a copy, a blank disk and the like.
        nodes: Vec<Option<usize>>,
        /// The label of what is mounted.
        cluster: String,
    },
    /// A mount was refused, as it should be or not.
    Refused {
        /// The name of the reason.
        why: String,
        /// The reason in words.
        text: String,
    },
    /// What was mounted isn't any more.
    Ended {
        /// The power went.
        by_power_cut: bool,
    },
    /// The power goes.
    PowerCut,
    /// Something is done to a disk, or to the whole cluster.
    Fault {
        /// What it is called.
        name: String,
        /// To which disk, if it is one of them.
        disk: Option<usize>,
    },
    /// What was wrong with a disk is over.
    FaultOver {
        /// What it was called.
        name: String,
        /// The disk.
        disk: usize,
        /// Some request met it.
        has_struck: bool,
    },
    /// What a disk is to the mount changed.
    Node {
        /// The disk.
        disk: usize,
        /// Its place among the nodes of the mount.
        node: usize,
        /// How it is in short.
        state: NodeState,
        /// What it is exactly.
        detail: String,
    },
    /// A disk has another commit.
    Commit {
        /// The disk.
        disk: usize,
        /// The commit: epoch and number.
        version: String,
    },
    /// The cluster is otherwise than before.
    Cluster {
        /// Its epoch.
        epoch: u64,
        /// The last commit: epoch and number.
        version: String,
        /// Whether it can be changed, and whether all members are in step.
        health: &'static str,
        /// Masters in step.
        in_sync: usize,
        /// Masters there are.
        masters: usize,
    },
    /// The members of a cluster change, or may.
    Members {
        /// The cluster's label.
        cluster: String,
        /// What is changed.
        change: String,
        /// What each disk is then; none for one that is no member.
        roles: Vec<Option<&'static str>>,
        /// What came of it so far.
        outcome: &'static str,
    },
    /// A client did something.
    Step {
        /// Which client.
        client: u64,
        /// Which step of all clients' in this mount.
        number: u64,
        /// What it did.
        what: &'static str,
        /// That in detail, and what came of it.
        detail: String,
        /// It was an error, which may be as it should be.
        has_failed: bool,
        /// When it began, in virtual time.
        began: u64,
    },
    /// All there was is to be durable.
    Durable {
        /// Why it isn't, if it isn't acknowledged.
        error: Option<String>,
    },
    /// What is served was compared with what may be served, and agrees.
    Served,
    /// The filesystem did something by itself.
    Kept {
        /// What it tells.
        text: String,
    },
    /// What a run is counted by: what mounts, nodes and changes came to.
    Verdict {
        /// Its name.
        name: String,
    },
    /// Something looks wrong, unless the next moments excuse it.
    Suspicion {
        /// What would be wrong.
        text: String,
    },
    /// A promise was broken.
    Wrong {
        /// Which one, and how.
        text: String,
    },
    /// After a violation: what a disk holds on its own.
    Held {
        /// The disk.
        disk: usize,
        /// How that differs from what was acknowledged last.
        text: String,
    },
}

/// A cluster as a run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterBegun {
    /// Its label.
    pub label: String,
    /// It is a soft member, which is mounted by itself.
    pub is_alone: bool,
    /// What each disk is to it.
    pub roles: Vec<Option<&'static str>>,
}

/// How a node is, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It has everything.
    InSync,
    /// It lacks something.
    Behind,
    /// It is being brought in step.
    Repair,
    /// It left.
    Out,
    /// It is no part of the mount.
    Aside,
}

/// What happened, in order.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    is_kept: Cell<bool>,
    entries: RefCell<Vec<Entry>>,
}

impl Chronicle {
    /// From here on it is kept.
    pub(crate) fn begin(&self) {
        self.is_kept.set(true);
    }

    /// True if anybody wants to know what happens.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.get()
    }

    /// Adds something.
    pub(crate) fn add(&self, nanoseconds: u64, trace: u64, what: What) {
        self.entries.borrow_mut().push(Entry { nanoseconds, trace, what });
    }

    /// True if this was told to be wrong, or to look wrong.
    pub(crate) fn tells_of(&self, wrong: &str) -> bool {
        first_wrong(&self.entries.borrow(), wrong).is_some()
    }

    /// Ends it: all that happened.
    pub(crate) fn take(&self) -> Vec<Entry> {
        self.is_kept.set(false);
        self.entries.take()
    }
}

/// The moment at which a violation was first seen, even if it could still have been excused then.
pub fn first_wrong(entries: &[Entry], violation: &str) -> Option<usize> {
    let tells = |entry: &Entry| match &entry.what {
        What::Wrong { text } | What::Suspicion { text } => text == violation,
        _ => false,
    };
    entries.iter().position(tells)
}

/// The first thing in one run that isn't so in another of the same seed. Until then both made the same requests.
pub fn parting(one: &[Entry], other: &[Entry]) -> Option<usize> {
    let differ = (0..).zip(one).find(|(place, entry)| other.get(*place) != Some(*entry));
    differ.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(nanoseconds: u64, trace: u64, what: What) -> Entry {
        Entry { nanoseconds, trace, what }
    }

    #[test]
    fn runs_part_where_they_are_told_apart_for_the_first_time() {
        let one = [entry(1, 7, What::Served), entry(2, 8, What::PowerCut)];
        assert_eq!(parting(&one, &one), None);
        // The same is told of both, and something else was done until then.
        assert_eq!(parting(&one, &[one[0].clone(), entry(2, 9, What::PowerCut)]), Some(1));
        assert_eq!(parting(&one, &[entry(1, 7, What::PowerCut)]), Some(0));
        assert_eq!(parting(&one, &one[..1]), Some(1));
    }

    #[test]
    fn a_violation_is_where_it_was_suspected_first() {
        let text = "I14: too late".to_owned();
        let wrong = What::Wrong { text: text.clone() };
        let other = What::Suspicion { text: "I13: excused".to_owned() };
        let entries = [entry(1, 1, other), entry(2, 1, What::Suspicion { text: text.clone() }), entry(3, 1, wrong)];
        assert_eq!(first_wrong(&entries, &text), Some(1));
        assert_eq!(first_wrong(&entries[..1], &text), None);
    }
}
