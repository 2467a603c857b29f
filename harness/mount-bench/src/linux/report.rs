//! The part on the host: compares what the guests have printed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde_json::{Value, json};

use super::measured::{DiskRequests, Filesystem, Measured};
use crate::row::Row;

/// A share of a peer's speed that is to be reached in a row.
struct Goal {
    ours: Filesystem,
    peer: Filesystem,
    ratio: fn(Row) -> Option<f64>,
}

const GOALS: [Goal; 4] = [
    Goal { ours: Filesystem::Hammer2, peer: Filesystem::Btrfs, ratio: against_single },
    Goal { ours: Filesystem::Masters, peer: Filesystem::Raid1c3, ratio: against_raid1c3 },
    Goal { ours: Filesystem::Hammer2, peer: Filesystem::Ext4, ratio: of_what_is_warm },
    Goal { ours: Filesystem::Masters, peer: Filesystem::Ext4, ratio: of_what_is_warm },
];

fn against_single(row: Row) -> Option<f64> {
    of_what_is_warm(row).is_none().then_some(0.8)
}

fn against_raid1c3(row: Row) -> Option<f64> {
    match row {
        Row::SequentialWrite | Row::SequentialRead | Row::RandomRead => Some(1.0),
        Row::RandomWrite => Some(1.5),
        Row::Create => Some(0.7),
        Row::Stat | Row::ReadDir | Row::Unlink | Row::Untar => Some(1.0),
        Row::Fsync => Some(2.0),
        Row::WarmRead | Row::WarmStat => None,
    }
}

/// The goal for warm rows, which the kernel's caches answer without the filesystem: within 5 %.
fn of_what_is_warm(row: Row) -> Option<f64> {
    matches!(row, Row::WarmRead | Row::WarmStat).then_some(0.95)
}

/// All measurements, of every run.
pub(crate) struct Report(BTreeMap<(Row, Filesystem), Vec<Measured>>);

impl Report {
    /// Reads the output of consoles; every row of every filesystem must be there.
    pub(crate) fn read(console: impl BufRead) -> io::Result<Self> {
        let mut cells = BTreeMap::<_, Vec<_>>::new();
        for line in console.lines() {
            if let Some(measured) = Measured::parse(&line?) {
                cells.entry((measured.row, measured.filesystem)).or_default().push(measured);
            }
        }
        for filesystem in Filesystem::ALL {
            for row in Row::ALL {
                if !cells.contains_key(&(row, filesystem)) {
                    return Err(io::Error::other(format!("{} of {} wasn't measured", row.words(), filesystem.words())));
                }
            }
        }
        Ok(Self(cells))
    }

    fn runs(&self, row: Row, filesystem: Filesystem) -> &[Measured] {
        self.0.get(&(row, filesystem)).map_or(&[], Vec::as_slice)
    }

    /// Nanoseconds of processor time for an operation, the mean of all runs.
    fn nanoseconds(&self, row: Row, filesystem: Filesystem) -> f64 {
        let runs = self.runs(row, filesystem);
        let each = |run: &Measured| run.busy_ns as f64 / run.operations as f64;
        runs.iter().map(each).sum::<f64>() / runs.len() as f64
    }

    /// How much the slowest run is above the fastest, in percent.
    fn spread_percent(&self, row: Row, filesystem: Filesystem) -> f64 {
        let costs = || self.runs(row, filesystem).iter().map(|run| run.busy_ns as f64);
        let (least, most) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
        (most / least - 1.0) * 100.0
    }

    /// The requests to the disks in the first run.
    fn requests(&self, row: Row, filesystem: Filesystem) -> DiskRequests {
        self.runs(row, filesystem).first().map_or_else(DiskRequests::default, |run| run.requests)
    }

    fn ratio(&self, row: Row, ours: Filesystem, peer: Filesystem) -> f64 {
        self.nanoseconds(row, peer) / self.nanoseconds(row, ours)
    }

    /// True when every goal was reached.
    pub(crate) fn is_good(&self) -> bool {
        let is_reached =
            |goal: &Goal, row| (goal.ratio)(row).is_none_or(|ratio| self.ratio(row, goal.ours, goal.peer) >= ratio);
        GOALS.iter().all(|goal| Row::ALL.into_iter().all(|row| is_reached(goal, row)))
    }

    /// One object: for each row and filesystem the cost of an operation, the number of operations, the requests to the disks for
    /// all of them, and how far runs are apart.
    pub(crate) fn json(&self) -> Value {
        let cell = |row, filesystem| {
            let DiskRequests { reads, writes, flushes } = self.requests(row, filesystem);
            json!({
                "processor_ns_per_operation": self.nanoseconds(row, filesystem).round() as u64,
                "operations": self.runs(row, filesystem).first().map_or(0, |run| run.operations),
                "disk_reads": reads,
                "disk_writes": writes,
                "disk_flushes": flushes,
                "spread_percent": (self.spread_percent(row, filesystem) * 100.0).round() / 100.0,
            })
        };
        let row = |row: Row| {
            let cells =
                Filesystem::ALL.into_iter().map(|filesystem| (filesystem.key().to_owned(), cell(row, filesystem)));
            (row.key().to_owned(), Value::Object(cells.collect()))
        };
        Value::Object(Row::ALL.into_iter().map(row).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "nanoseconds of the guest's processor for an operation (requests to the disks for 1000 operations)"
        )?;
        write!(f, "{:20}", "")?;
        for filesystem in Filesystem::ALL {
            write!(f, " {:>15}", filesystem.words())?;
        }
        writeln!(f)?;
        for row in Row::ALL {
            write!(f, "{:20}", row.words())?;
            for filesystem in Filesystem::ALL {
                let DiskRequests { reads, writes, flushes } = self.requests(row, filesystem);
                let operations = self.runs(row, filesystem).first().map_or(1, |run| run.operations);
                let of_thousand = ((reads + writes + flushes) * 1000).div_ceil(operations);
                write!(f, " {:>15}", format!("{:.0} ({of_thousand})", self.nanoseconds(row, filesystem)))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "the speed of ours as a part of a peer's, and the goal")?;
        for goal in &GOALS {
            for row in Row::ALL {
                let Some(ratio) = (goal.ratio)(row) else { continue };
                let reached = self.ratio(row, goal.ours, goal.peer);
                let mark = if reached < ratio { "  MISSED" } else { "" };
                let (ours, peer) = (goal.ours.words(), goal.peer.words());
                writeln!(f, "{ours:>10} of {peer:8} {:20} {reached:5.2}  {ratio:4.2}{mark}", row.words())?;
            }
        }
        let cells = self.0.keys().map(|(row, filesystem)| (self.spread_percent(*row, *filesystem), row, filesystem));
        let Some((spread, row, filesystem)) = cells.max_by(|one, other| one.0.total_cmp(&other.0)) else {
            return Ok(());
        };
        writeln!(f, "runs differ by {spread:.1} % at most: {} of {}", row.words(), filesystem.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of guests in which everything of ours costs `ours`, and everything of others 1000, in one run, and 2 % more in
    /// the other.
    fn console(ours: u64) -> String {
        let mut console = String::from("guest: Linux\r\n");
        for (run, filesystem) in (0..2).flat_map(|run| Filesystem::ALL.map(|filesystem| (run, filesystem))) {
            for row in Row::ALL {
                let is_ours = matches!(filesystem, Filesystem::Hammer2 | Filesystem::Plain | Filesystem::Masters);
                let busy_ns = if is_ours { ours } else { 1000 } * (100 + 2 * run);
                let requests = DiskRequests { reads: 1, writes: 2, flushes: 3 };
                console += &format!("{}\r\n", Measured { filesystem, row, operations: 100, busy_ns, requests });
            }
        }
        console
    }

    #[test]
    fn the_object_has_every_row_and_filesystem_with_units_in_names() {
        let report = Report::read(console(500).as_bytes()).unwrap();
        let object = report.json();
        let cell = json!({
            "processor_ns_per_operation": 505, "operations": 100, "disk_reads": 1, "disk_writes": 2, "disk_flushes": 3,
            "spread_percent": 2.0,
        });
        assert_eq!(object.as_object().unwrap().len(), Row::ALL.len());
        for row in Row::ALL {
            assert_eq!(object[row.key()]["hammer2_3"], cell);
            assert_eq!(object[row.key()].as_object().unwrap().len(), Filesystem::ALL.len());
        }
    }

    #[test]
    fn goals_are_reached_at_half_the_cost_and_missed_at_as_much() {
        assert!(Report::read(console(500).as_bytes()).unwrap().is_good());
        let missed = Report::read(console(1000).as_bytes()).unwrap();
        assert!(!missed.is_good());
        let words = missed.to_string();
        let marked: Vec<_> = words.lines().filter(|line| line.ends_with("MISSED")).collect();
        assert_eq!(marked.len(), 2, "{words}");
        assert!(marked.iter().all(|line| line.contains("4 KiB write") || line.contains("fsync")), "{words}");
    }

    #[test]
    fn a_row_that_is_missing_is_told() {
        let console = console(500).lines().filter(|line| !line.contains("xfs untar")).collect::<Vec<_>>().join("\n");
        let error = Report::read(console.as_bytes()).err().unwrap();
        assert_eq!(error.to_string(), "untar of xfs wasn't measured");
    }
}
