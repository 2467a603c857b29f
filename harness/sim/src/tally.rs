//! Counts of the events in one run or many.

use std::collections::BTreeMap;

use hammer2_core::random::mix;

use crate::settings::Settings;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// The verdicts on mounts, nodes and changes that must all occur in enough runs, by name.
const VERDICTS: [&str; 45] = [
    "acked-tail",
    "brought-back",
    "bulkfreed",
    "change-finished",
    "change-undone",
    "ejected-dissent",
    "ejected-fault",
    "fenced",
    "in-use",
    "member-added",
    "member-promoted",
    "member-removed",
    "member-replaced",
    "membership-refused",
    "no-master",
    "no-previous-quorum",
    "no-quorum",
    "no-space",
    "no-such-pfs",
    "no-trusted-holder",
    "node-apart",
    "node-behind",
    "node-behind-to-compare",
    "node-in-sync",
    "node-outside",
    "node-twin",
    "not-a-volume",
    "not-writable",
    "other-cluster",
    "rebuilt",
    "resumed",
    "resynced",
    "rival-left",
    "rolled-forward",
    "same-member",
    "scrubbed",
    "served",
    "silent-writer",
    "slave-ahead",
    "snapshot-read",
    "snapshot-taken",
    "snapshots-given",
    "soft-mount",
    "split-brain",
    "two-configs",
];

/// Counts of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Operations of clients.
    pub operations: u64,
    /// Syncs that were acknowledged.
    pub acked_syncs: u64,
    /// Times the host lost its power.
    pub crashes: u64,
    /// Faults that struck, by kind.
    pub faults: Counts,
    /// Outcomes of mounts, states of nodes, and why nodes left.
    pub verdicts: Counts,
    /// Runs in which something was wrong.
    pub violations: u64,
    /// A hash of every request and every result of all runs.
    pub trace_hash: u64,
}

impl Tally {
    pub(crate) fn fault(&mut self, kind: &str) {
        count(&mut self.faults, kind, 1);
    }

    pub(crate) fn verdict(&mut self, name: &str) {
        count(&mut self.verdicts, name, 1);
    }

    /// Kinds of faults and verdicts that never occurred.
    pub fn never(&self) -> impl Iterator<Item = &'static str> {
        let faults = Settings::all_faults().filter(|kind| !self.faults.contains_key(*kind));
        faults.chain(VERDICTS.into_iter().filter(|name| !self.verdicts.contains_key(*name)))
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.operations += other.operations;
        self.acked_syncs += other.acked_syncs;
        self.crashes += other.crashes;
        self.violations += other.violations;
        other.faults.iter().for_each(|(name, number)| count(&mut self.faults, name, *number));
        other.verdicts.iter().for_each(|(name, number)| count(&mut self.verdicts, name, *number));
        self.trace_hash = mix(self.trace_hash.wrapping_mul(31) ^ other.trace_hash);
    }
}

fn count(counts: &mut Counts, name: &str, number: u64) {
    match counts.get_mut(name) {
        Some(counted) => *counted += number,
        None => drop(counts.insert(name.to_owned(), number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurred_is_named() {
        let mut tally = Tally::default();
        let all = tally.never().count();
        tally.fault("hang");
        tally.verdict("two-configs");
        let never: Vec<&str> = tally.never().collect();
        assert_eq!(never.len(), all - 2);
        assert!(never.contains(&"slow") && never.contains(&"split-brain") && !never.contains(&"hang"));
    }
}
