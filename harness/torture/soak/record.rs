//! The record of a run: samples, events and totals over time, as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hammer2_torture::server::Counters;
use serde_json::{Value, json};

use crate::latency::Latencies;

/// The state at a time.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) counters: Counters,
    pub(crate) broken: usize,
    pub(crate) acts: u64,
    pub(crate) syncs: u64,
    /// The latencies of operations since the sample before.
    pub(crate) latencies: Latencies,
}

/// The record.
pub(crate) struct Record {
    begun: Instant,
    pub(crate) samples: Vec<Sample>,
    events: Vec<(f64, String)>,
    /// How often each thing was done, by name.
    pub(crate) totals: BTreeMap<&'static str, u64>,
    pub(crate) latencies: Latencies,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            samples: Vec::new(),
            events: Vec::new(),
            totals: BTreeMap::new(),
            latencies: Latencies::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Notes an event, for readers of the JSON.
    pub(crate) fn event(&mut self, what: impl Into<String>) {
        self.events.push((self.seconds(), what.into()));
    }

    /// Counts something.
    pub(crate) fn count(&mut self, what: &'static str, more: u64) {
        *self.totals.entry(what).or_default() += more;
    }

    /// Keeps a sample.
    pub(crate) fn sample(&mut self, sample: Sample) {
        self.latencies.add(&sample.latencies);
        self.samples.push(sample);
    }

    /// The record as JSON at the end of the run, with its seed.
    pub(crate) fn json(&self, seed: u64, outcome: &str) -> Value {
        let most = |of: fn(&Sample) -> u64| self.samples.iter().map(of).max().unwrap_or(0);
        json!({
            "seed": seed,
            "outcome": outcome,
            "seconds": rounded(self.seconds()),
            "totals": self.totals,
            "latencies": self.latencies.json(),
            "most_resident_bytes": most(|sample| sample.resident_bytes),
            "most_memory_bytes": most(|sample| sample.counters.memory_peak_bytes),
            "samples": self.samples.iter().map(Sample::json).collect::<Vec<_>>(),
            "events": self.events.iter().map(|(at, what)| json!([rounded(*at), what])).collect::<Vec<_>>(),
        })
    }
}

impl Sample {
    fn json(&self) -> Value {
        json!({
            "seconds": rounded(self.seconds),
            "resident_bytes": self.resident_bytes,
            "memory_bytes": self.counters.memory_bytes,
            "memory_peak_bytes": self.counters.memory_peak_bytes,
            "free_bytes": self.counters.free_bytes,
            "nodes_in_sync": self.counters.in_sync.len(),
            "disks_broken": self.broken,
            "acts": self.acts,
            "syncs": self.syncs,
            "nodes_left": self.counters.get("nodes left"),
            "nodes_back": self.counters.get("nodes back"),
            "latencies": self.latencies.json(),
        })
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}
