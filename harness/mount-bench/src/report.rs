//! Medians and ratios.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::candidates::{Copies, Name};
use crate::row::Row;
use crate::timed::Cost;

/// A share of another's speed that is to be reached, in one row or in all.
struct Goal {
    other: Name,
    row: Option<Row>,
    ratio: f64,
}

/// With one copy: half of the limit in every row.
const ONE_COPY: &[Goal] = &[Goal { other: Name::Limit, row: None, ratio: 0.5 }];

/// With three: as fast as raid1c3 in rows that are mostly copying, three times ZFS in every row.
const THREE_COPIES: &[Goal] = &[
    Goal { other: Name::Raid1c3, row: Some(Row::SequentialWrite), ratio: 1.0 },
    Goal { other: Name::Zfs, row: None, ratio: 3.0 },
];

/// All measurements.
pub(crate) struct Report {
    /// The rows, in the order in which they were measured.
    rows: Vec<Row>,
    costs: BTreeMap<(Row, Name), Vec<Cost>>,
    candidates: Vec<Name>,
    peaks: BTreeMap<Name, u64>,
    copies: Copies,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(copies: Copies) -> Self {
        Self { rows: Vec::new(), costs: BTreeMap::new(), candidates: Vec::new(), peaks: BTreeMap::new(), copies }
    }

    /// Notes a cost.
    pub(crate) fn note(&mut self, row: Row, candidate: Name, cost: Cost) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        if !self.candidates.contains(&candidate) {
            self.candidates.push(candidate);
        }
        self.costs.entry((row, candidate)).or_default().push(cost);
    }

    /// Notes the most memory that a server had.
    pub(crate) fn note_peak(&mut self, candidate: Name, bytes: u64) {
        let peak = self.peaks.entry(candidate).or_default();
        *peak = bytes.max(*peak);
    }

    fn median(&self, row: Row, candidate: Name, of: impl Fn(&Cost) -> Duration) -> Duration {
        let mut times: Vec<_> = self.costs.get(&(row, candidate)).into_iter().flatten().map(of).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// Our share of another's speed, by processor time and by wall time.
    fn ratios(&self, row: Row, other: Name) -> (f64, f64) {
        let ratio = |of: fn(&Cost) -> Duration| {
            self.median(row, other, of).as_secs_f64() / self.median(row, Name::Hammer2, of).as_secs_f64()
        };
        (ratio(|cost| cost.cpu), ratio(|cost| cost.wall))
    }

    /// The share of another's speed that must be reached in a row, if it was measured.
    fn goal(&self, row: Row, other: Name) -> Option<f64> {
        let applies = |goal: &&Goal| goal.other == other && goal.row.is_none_or(|only| only == row);
        let goals = if self.copies == Copies::One { ONE_COPY } else { THREE_COPIES };
        goals.iter().find(applies).map(|goal| goal.ratio).filter(|_| self.candidates.contains(&other))
    }

    fn others(&self) -> impl Iterator<Item = Name> {
        self.candidates.iter().copied().filter(|name| *name != Name::Hammer2)
    }

    /// The ratio that counts: against in-kernel filesystems, whose threads are charged to no process, that of wall time.
    fn counted(&self, row: Row, other: Name) -> f64 {
        let (cpu, wall) = self.ratios(row, other);
        if self.peaks.get(&other).is_some_and(|bytes| *bytes > 0) { cpu } else { wall }
    }

    /// True when every row reached its goals.
    pub(crate) fn is_good(&self) -> bool {
        let is_reached = |row, other| self.goal(row, other).is_none_or(|goal| self.counted(row, other) >= goal);
        self.rows.iter().all(|row| self.others().all(|other| is_reached(*row, other)))
    }

    /// The medians in milliseconds, by row and candidate: processor time, with three copies also wall time, as `wall`.
    pub(crate) fn json(&self) -> Value {
        let times = |row, of: fn(&Cost) -> Duration| -> Map<String, Value> {
            let milliseconds = |name| (self.median(row, name, of).as_secs_f64() * 10_000.0).round() / 10.0;
            self.candidates.iter().map(|name| (name.key().to_owned(), milliseconds(*name).into())).collect()
        };
        let row = |row: Row| {
            let mut facts = times(row, |cost| cost.cpu);
            if self.copies == Copies::Three {
                facts.insert("wall".to_owned(), times(row, |cost| cost.wall).into());
            }
            (row.key().to_owned(), facts.into())
        };
        Value::Object(Row::ALL.into_iter().filter(|row| self.rows.contains(row)).map(row).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "milliseconds of processor time, client and server (on the wall); medians")?;
        write!(f, "{:22}", "")?;
        for candidate in &self.candidates {
            write!(f, " {:>18}", candidate.words(self.copies))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:22}", row.words())?;
            for candidate in &self.candidates {
                let cpu = self.median(*row, *candidate, |cost| cost.cpu).as_secs_f64() * 1000.0;
                let wall = self.median(*row, *candidate, |cost| cost.wall).as_secs_f64() * 1000.0;
                write!(f, " {:>18}", format!("{cpu:.0} ({wall:.0})"))?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "the speed of {} as a part of others', by processor time (on the wall)",
            Name::Hammer2.words(self.copies)
        )?;
        for row in &self.rows {
            write!(f, "{:22} {:18}", row.words(), "")?;
            for other in self.others() {
                let (cpu, wall) = self.ratios(*row, other);
                let is_missed = self.goal(*row, other).is_some_and(|goal| self.counted(*row, other) < goal);
                let mark = if is_missed { "MISSED " } else { "" };
                write!(f, " {:>18}", format!("{mark}{cpu:.2} ({wall:.2})"))?;
            }
            writeln!(f)?;
        }
        for (candidate, bytes) in self.peaks.iter().filter(|(_, bytes)| **bytes > 0) {
            let candidate = candidate.words(self.copies);
            writeln!(f, "{candidate}: its server had at most {} MiB", bytes >> 20)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [Row; 9] = [
        Row::SequentialWrite,
        Row::SequentialRead,
        Row::RandomRead,
        Row::RandomWrite,
        Row::Create,
        Row::Stat,
        Row::Unlink,
        Row::ReadDir,
        Row::Untar,
    ];

    fn measured(copies: Copies, names: &[Name]) -> Report {
        let mut report = Report::new(copies);
        for row in ROWS {
            for (place, name) in names.iter().enumerate() {
                let cpu = Duration::from_micros(1500 * (place as u64 + 1));
                report.note(row, *name, Cost { wall: 2 * cpu, cpu });
            }
        }
        report
    }

    #[test]
    fn the_object_has_milliseconds_of_every_row_and_candidate_and_no_others() {
        let object = measured(Copies::One, &[Name::Hammer2, Name::Limit, Name::Ext4]).json();
        let keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        let rows =
            ["seq_write", "seq_read", "random_read", "random_write", "create", "stat", "unlink", "readdir", "untar"];
        assert_eq!(keys, rows);
        for row in rows {
            assert_eq!(object[row], serde_json::json!({ "hammer2": 1.5, "limit": 3.0, "ext4": 4.5 }));
        }
    }

    #[test]
    fn with_three_copies_the_time_on_the_wall_is_beside_that_of_processors() {
        let object = measured(Copies::Three, &[Name::Hammer2, Name::Raid1c3, Name::Zfs]).json();
        let wall = serde_json::json!({ "hammer2": 3.0, "raid1c3": 6.0, "zfs": 9.0 });
        assert_eq!(object["untar"], serde_json::json!({ "hammer2": 1.5, "raid1c3": 3.0, "zfs": 4.5, "wall": wall }));
    }
}
