//! Medians and ratios.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::workloads::Cost;

/// Half of the limit is the goal in every row.
const GOAL: f64 = 0.5;

/// All that was measured.
pub struct Report {
    /// In the order they were measured.
    rows: Vec<&'static str>,
    costs: BTreeMap<(&'static str, &'static str), Vec<Cost>>,
    candidates: Vec<&'static str>,
    peaks: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { rows: Vec::new(), costs: BTreeMap::new(), candidates: Vec::new(), peaks: BTreeMap::new() }
    }

    /// Notes a cost.
    pub fn note(&mut self, row: &'static str, candidate: &'static str, cost: Cost) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        if !self.candidates.contains(&candidate) {
            self.candidates.push(candidate);
        }
        self.costs.entry((row, candidate)).or_default().push(cost);
    }

    /// Notes the most memory a server had.
    pub fn note_peak(&mut self, candidate: &'static str, bytes: u64) {
        let peak = self.peaks.entry(candidate).or_default();
        *peak = bytes.max(*peak);
    }

    fn median(&self, row: &'static str, candidate: &'static str, of: impl Fn(&Cost) -> Duration) -> Duration {
        let mut times: Vec<_> = self.costs.get(&(row, candidate)).into_iter().flatten().map(of).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// How much of another's speed we have, by processor time and on the wall.
    fn ratios(&self, row: &'static str, other: &'static str) -> (f64, f64) {
        let ratio = |of: fn(&Cost) -> Duration| {
            self.median(row, other, of).as_secs_f64() / self.median(row, "hammer2", of).as_secs_f64()
        };
        (ratio(|cost| cost.cpu), ratio(|cost| cost.wall))
    }

    /// True when every row reached its goal.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| self.ratios(row, "limit").0 >= GOAL)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "milliseconds of processor time, client and server (on the wall); medians")?;
        write!(f, "{:22}", "")?;
        for candidate in &self.candidates {
            write!(f, " {candidate:>18}")?;
        }
        writeln!(f, "   of the limit: cpu, wall")?;
        for row in &self.rows {
            write!(f, "{row:22}")?;
            for candidate in &self.candidates {
                let cpu = self.median(row, candidate, |cost| cost.cpu).as_secs_f64() * 1000.0;
                let wall = self.median(row, candidate, |cost| cost.wall).as_secs_f64() * 1000.0;
                write!(f, " {:>18}", format!("{cpu:.0} ({wall:.0})"))?;
            }
            let (cpu, wall) = self.ratios(row, "limit");
            writeln!(f, "   {cpu:.2}, {wall:.2}{}", if cpu >= GOAL { "" } else { "  MISSED" })?;
        }
        for (candidate, bytes) in self.peaks.iter().filter(|(_, bytes)| **bytes > 0) {
            writeln!(f, "{candidate}: its server had at most {} MiB", bytes >> 20)?;
        }
        Ok(())
    }
}
