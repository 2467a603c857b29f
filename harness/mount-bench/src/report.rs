//! Medians and ratios.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::candidates::Copies;
use crate::workloads::Cost;

/// Of the speed of another, so much is to be reached, in one row or in all.
struct Goal {
    other: &'static str,
    row: Option<&'static str>,
    ratio: f64,
}

/// With one copy: half of the limit in every row.
const ONE_COPY: &[Goal] = &[Goal { other: "limit", row: None, ratio: 0.5 }];

/// With three: as fast as raid1c3 in what is mostly copying, three times ZFS in every row.
const THREE_COPIES: &[Goal] = &[
    Goal { other: "raid1c3", row: Some("sequential write"), ratio: 1.0 },
    Goal { other: "zfs-fuse", row: None, ratio: 3.0 },
];

/// All that was measured.
pub(crate) struct Report {
    /// In the order they were measured.
    rows: Vec<&'static str>,
    costs: BTreeMap<(&'static str, &'static str), Vec<Cost>>,
    candidates: Vec<&'static str>,
    peaks: BTreeMap<&'static str, u64>,
    goals: &'static [Goal],
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(copies: Copies) -> Self {
        let goals = if copies == Copies::One { ONE_COPY } else { THREE_COPIES };
        Self { rows: Vec::new(), costs: BTreeMap::new(), candidates: Vec::new(), peaks: BTreeMap::new(), goals }
    }

    /// Notes a cost.
    pub(crate) fn note(&mut self, row: &'static str, candidate: &'static str, cost: Cost) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        if !self.candidates.contains(&candidate) {
            self.candidates.push(candidate);
        }
        self.costs.entry((row, candidate)).or_default().push(cost);
    }

    /// Notes the most memory a server had.
    pub(crate) fn note_peak(&mut self, candidate: &'static str, bytes: u64) {
        let peak = self.peaks.entry(candidate).or_default();
        *peak = bytes.max(*peak);
    }

    fn median(&self, row: &'static str, candidate: &'static str, of: impl Fn(&Cost) -> Duration) -> Duration {
        let mut times: Vec<_> = self.costs.get(&(row, candidate)).into_iter().flatten().map(of).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// What is measured against the others: the first.
    fn ours(&self) -> &'static str {
        self.candidates.first().copied().unwrap_or_default()
    }

    /// How much of another's speed we have, by processor time and on the wall.
    fn ratios(&self, row: &'static str, other: &'static str) -> (f64, f64) {
        let ratio = |of: fn(&Cost) -> Duration| {
            self.median(row, other, of).as_secs_f64() / self.median(row, self.ours(), of).as_secs_f64()
        };
        (ratio(|cost| cost.cpu), ratio(|cost| cost.wall))
    }

    /// What must be reached of another's speed in a row, if it was measured.
    fn goal(&self, row: &'static str, other: &'static str) -> Option<f64> {
        let applies = |goal: &&Goal| goal.other == other && goal.row.is_none_or(|only| only == row);
        self.goals.iter().find(applies).map(|goal| goal.ratio).filter(|_| self.candidates.contains(&other))
    }

    /// In-kernel filesystems do their work in threads that nobody is charged for: against them the time on the wall counts.
    fn counted(&self, row: &'static str, other: &'static str) -> f64 {
        let (cpu, wall) = self.ratios(row, other);
        if self.peaks.get(other).is_some_and(|bytes| *bytes > 0) { cpu } else { wall }
    }

    /// True when every row reached its goals.
    pub(crate) fn is_good(&self) -> bool {
        let others = || self.candidates.iter().skip(1);
        let is_reached = |row, other| self.goal(row, other).is_none_or(|goal| self.counted(row, other) >= goal);
        self.rows.iter().all(|row| others().all(|other| is_reached(row, other)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "milliseconds of processor time, client and server (on the wall); medians")?;
        write!(f, "{:22}", "")?;
        for candidate in &self.candidates {
            write!(f, " {candidate:>18}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{row:22}")?;
            for candidate in &self.candidates {
                let cpu = self.median(row, candidate, |cost| cost.cpu).as_secs_f64() * 1000.0;
                let wall = self.median(row, candidate, |cost| cost.wall).as_secs_f64() * 1000.0;
                write!(f, " {:>18}", format!("{cpu:.0} ({wall:.0})"))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "the speed of {} as a part of others', by processor time (on the wall)", self.ours())?;
        for row in &self.rows {
            write!(f, "{row:22} {:18}", "")?;
            for other in self.candidates.iter().skip(1) {
                let (cpu, wall) = self.ratios(row, other);
                let is_missed = self.goal(row, other).is_some_and(|goal| self.counted(row, other) < goal);
                let mark = if is_missed { "MISSED " } else { "" };
                write!(f, " {:>18}", format!("{mark}{cpu:.2} ({wall:.2})"))?;
            }
            writeln!(f)?;
        }
        for (candidate, bytes) in self.peaks.iter().filter(|(_, bytes)| **bytes > 0) {
            writeln!(f, "{candidate}: its server had at most {} MiB", bytes >> 20)?;
        }
        Ok(())
    }
}
