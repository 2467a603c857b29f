//! The result of each failure, and of all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failures::Kind;

/// The result of a failure.
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// The failure in words.
    pub(crate) what: String,
    /// The other machine is in service now.
    pub(crate) has_moved: bool,
    /// The time from the failure until every writer had an acknowledged change.
    pub(crate) in_service_after: Duration,
    /// The time from mending until all disks were in step again.
    pub(crate) in_step_after: Duration,
    /// How often the machine in reserve was refused meanwhile.
    pub(crate) refusals: u64,
    /// Changes that became durable during it.
    pub(crate) changes: u64,
}

impl Outcome {
    /// The same, for programs.
    pub(crate) fn json(&self, seed: u64, number: u64) -> Value {
        json!({
            "seed": seed,
            "number": number,
            "kind": self.kind.name(),
            "what": self.what,
            "moved": self.has_moved,
            "in_service_after_seconds": seconds(self.in_service_after),
            "in_step_after_seconds": seconds(self.in_step_after),
            "refusals": self.refusals,
            "changes": self.changes,
        })
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

/// The results of all failures of a kind.
#[derive(Default)]
struct Sum {
    times: Vec<Duration>,
    moved: usize,
    refusals: u64,
}

/// The results of all failures.
#[derive(Default)]
pub(crate) struct Summary {
    kinds: BTreeMap<&'static str, Sum>,
    changes: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let sum = self.kinds.entry(outcome.kind.name()).or_default();
        sum.times.push(outcome.in_service_after);
        sum.moved += usize::from(outcome.has_moved);
        sum.refusals += outcome.refusals;
        self.changes += outcome.changes;
    }

    /// Prints a line for each kind, and a last one for all of them.
    pub(crate) fn print(&mut self) {
        for (name, Sum { times, moved, refusals }) in &mut self.kinds {
            times.sort();
            let (count, median, most) = (times.len(), times[times.len() / 2], times[times.len() - 1]);
            println!(
                "{name}: {count} times, {moved} taken over, {refusals} refusals; \
                 in service after {} s in the middle, {} s at most",
                seconds(median),
                seconds(most)
            );
        }
        println!("{} changes acknowledged, none lost", self.changes);
    }

    /// The same, for programs.
    pub(crate) fn json(&mut self) -> Value {
        let of = |sum: &mut Sum| {
            sum.times.sort();
            let (median, most) = (sum.times[sum.times.len() / 2], sum.times[sum.times.len() - 1]);
            json!({
                "times": sum.times.len(),
                "moved": sum.moved,
                "refusals": sum.refusals,
                "median_seconds": seconds(median),
                "most_seconds": seconds(most),
            })
        };
        let kinds: serde_json::Map<String, Value> =
            self.kinds.iter_mut().map(|(name, sum)| ((*name).to_owned(), of(sum))).collect();
        json!({ "kinds": kinds, "changes": self.changes })
    }
}
