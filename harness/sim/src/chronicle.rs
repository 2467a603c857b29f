//! The events of a run as data, for the page that shows it, and to see where two runs part.
//!
//! A chronicle only listens. It draws no random numbers and makes no requests, so a run that is chronicled is the same run.

use std::cell::{Cell, RefCell};

use serde::Serialize;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in virtual time since the run began.
    #[serde(rename = "at")]
    pub nanoseconds: u64,
    /// A hash of every request and every result until then: it is the same in two runs that have been the same.
    #[serde(skip)]
    pub trace: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The run begins.
    Begun {
        /// The size of each disk in bytes.
        disks: Vec<u64>,
        /// The clusters on them.
        clusters: Vec<ClusterBegun>,
    },
    /// A round begins.
    Round {
        /// Its purpose: the work of clients, or a fault between mounts.
        name: &'static str,
        /// The label of the cluster it is about.
        cluster: String,
    },
    /// Disks were opened to be mounted.
    Opened {
        /// Which disk each node is; none for a copy, a blank disk and the like.
        nodes: Vec<Option<usize>>,
        /// The label of the mounted PFS.
        cluster: String,
    },
    /// A mount was refused, as it should be or not.
    Refused {
        /// The name of the reason.
        why: String,
        /// The reason in words.
        text: String,
    },
    /// A mount ended.
    Ended {
        /// The power went.
        by_power_cut: bool,
    },
    /// The power goes.
    PowerCut,
    /// A fault strikes a disk, or the whole cluster.
    Fault {
        /// Its name.
        name: String,
        /// The disk, if it strikes a single one.
        disk: Option<usize>,
    },
    /// A fault of a disk is over.
    FaultOver {
        /// Its name.
        name: String,
        /// The disk.
        disk: usize,
        /// Some request met it.
        has_struck: bool,
    },
    /// The state of a disk in the mount changed.
    Node {
        /// The disk.
        disk: usize,
        /// Its place among the nodes of the mount.
        node: usize,
        /// Its state in short.
        state: NodeState,
        /// Its exact state.
        detail: String,
    },
    /// A disk has another commit.
    Commit {
        /// The disk.
        disk: usize,
        /// The commit: epoch and number.
        version: String,
    },
    /// The state of the cluster changed.
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
        /// The change.
        change: String,
        /// The role of each disk after it; none for a disk that isn't a member.
        roles: Vec<Option<&'static str>>,
        /// The result so far.
        outcome: &'static str,
    },
    /// A client did something.
    Step {
        /// Which client.
        client: u64,
        /// The number of the step among those of all clients in this mount.
        number: u64,
        /// What it did.
        what: &'static str,
        /// The details, with the result.
        detail: String,
        /// It failed, which may be as it should.
        has_failed: bool,
        /// When it began, in virtual time.
        began: u64,
    },
    /// A client asked to make everything durable.
    Durable {
        /// The error, if it wasn't acknowledged.
        error: Option<String>,
    },
    /// The content of the mount was compared with the allowed states, and agrees.
    Served,
    /// The filesystem did something by itself.
    Kept {
        /// Its message.
        text: String,
    },
    /// A verdict by which runs are counted: the outcome of a mount, a node or a change.
    Verdict {
        /// Its name.
        name: String,
    },
    /// Something looks wrong, but may still be excused.
    Suspicion {
        /// What looks wrong.
        text: String,
    },
    /// A promise was broken.
    Wrong {
        /// Which promise, and how.
        text: String,
    },
    /// After a violation: the content of a disk by itself.
    Held {
        /// The disk.
        disk: usize,
        /// How it differs from the last acknowledged state.
        text: String,
    },
}

/// A cluster at the beginning of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterBegun {
    /// Its label.
    pub label: String,
    /// It is a soft member, which is mounted by itself.
    pub is_alone: bool,
    /// The role of each disk in it.
    pub roles: Vec<Option<&'static str>>,
}

/// The state of a node, in short.
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
    /// It doesn't take part in the mount.
    Aside,
}

/// The events of a run, in order.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    is_kept: Cell<bool>,
    entries: RefCell<Vec<Entry>>,
}

impl Chronicle {
    /// Begins to keep events.
    pub(crate) fn begin(&self) {
        self.is_kept.set(true);
    }

    /// True if events are kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.get()
    }

    /// Adds an event.
    pub(crate) fn add(&self, nanoseconds: u64, trace: u64, what: What) {
        self.entries.borrow_mut().push(Entry { nanoseconds, trace, what });
    }

    /// True if an event says that this is wrong, or looks wrong.
    pub(crate) fn tells_of(&self, wrong: &str) -> bool {
        first_wrong(&self.entries.borrow(), wrong).is_some()
    }

    /// Ends it, and returns all events.
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

/// The first event of one run that differs in another of the same seed. Until then both made the same requests.
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
        // The event is the same in both, but the requests before it differ.
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
