//! Latencies of operations, by class.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reading content.
    Read,
    /// Listing and looking at attributes.
    Look,
    /// Writing content.
    Write,
    /// Changing names and sizes.
    Change,
    /// fsync.
    Sync,
}

/// All classes.
pub(crate) const CLASSES: [Class; 5] = [Class::Read, Class::Look, Class::Write, Class::Change, Class::Sync];

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Look => "look",
            Self::Write => "write",
            Self::Change => "change",
            Self::Sync => "sync",
        })
    }
}

/// The longest recorded time, ten minutes; longer times count as this.
const LONGEST_US: u64 = 600_000_000;

/// Times of operations, in microseconds, to three digits.
pub(crate) struct Latencies([Histogram<u64>; CLASSES.len()]);

/// The reported percentiles of a class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self(CLASSES.map(|_| Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds of which one is larger")))
    }
}

impl Latencies {
    /// Notes an operation.
    pub(crate) fn note(&mut self, class: Class, time: Duration) {
        self.0[class as usize].saturating_record(time.as_micros() as u64);
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Self) {
        for (histogram, other) in self.0.iter_mut().zip(&other.0) {
            histogram.add(other).expect("the same bounds");
        }
    }

    /// The percentiles of a class.
    pub(crate) fn of(&self, class: Class) -> Percentiles {
        let histogram = &self.0[class as usize];
        Percentiles {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }

    /// All classes that had operations.
    pub(crate) fn json(&self) -> Value {
        let all = CLASSES.iter().map(|class| (class.to_string(), self.of(*class))).filter(|(_, of)| of.count > 0);
        let all = all.map(|(class, of)| (class, of.json()));
        Value::Object(all.collect())
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        let Self { count, .. } = self;
        let (p50, p99, p999, max) = (ms(self.p50_us), ms(self.p99_us), ms(self.p999_us), ms(self.max_us));
        write!(f, "{count} operations; p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.1} ms, at most {max:.0} ms")
    }
}

impl Percentiles {
    fn json(&self) -> Value {
        let Self { count, p50_us, p99_us, p999_us, max_us } = self;
        json!({ "count": count, "p50_us": p50_us, "p99_us": p99_us, "p999_us": p999_us, "max_us": max_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut latencies = Latencies::default();
        for us in 1..=1000 {
            latencies.note(Class::Read, Duration::from_micros(us));
        }
        latencies.note(Class::Read, Duration::from_secs(20));
        let of = latencies.of(Class::Read);
        assert_eq!((of.count, of.p50_us, of.p99_us), (1001, 501, 991));
        assert!(of.p999_us >= 1000 && of.max_us >= 20_000_000);
        assert_eq!(latencies.of(Class::Sync).count, 0);
    }
}
