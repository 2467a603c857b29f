//! Results, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

/// One comparison: how much was done in a second of CPU time.
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// By whom else.
    pub against: &'static str,
    /// The unit of the rates.
    pub unit: &'static str,
    /// What hammer2-core did.
    pub ours: f64,
    /// What the other did.
    pub theirs: f64,
    /// The ratio to be reached, if there is one.
    pub goal: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }

    fn is_good(&self) -> bool {
        self.goal.is_none_or(|goal| self.ratio() >= goal)
    }
}

/// All comparisons.
pub struct Report {
    runs: u32,
    rows: Vec<Row>,
}

impl Report {
    /// A report of medians of `runs` runs.
    pub fn new(runs: u32) -> Self {
        Self { runs, rows: Vec::new() }
    }

    /// Adds a comparison.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// True when all goals were reached.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(Row::is_good)
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name, "against": row.against, "unit": row.unit, "ours": row.ours, "theirs": row.theirs,
                "ratio": row.ratio(), "goal": row.goal, "reached": row.is_good(),
            })
        });
        json!({ "clock": "process CPU time", "runs": self.runs, "results": rows.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU time, medians of {} runs", self.runs)?;
        writeln!(f, "{:42} {:>9} {:>9} {:10} {:>6} {:>6}  against", "", "ours", "theirs", "", "ratio", "goal")?;
        for row in &self.rows {
            let Row { name, against, unit, ours, theirs, goal } = row;
            let missed = if row.is_good() { "" } else { "  MISSED" };
            let goal = goal.map_or_else(String::new, |goal| format!("{goal:.2}"));
            writeln!(
                f,
                "{name:42} {ours:9.0} {theirs:9.0} {unit:10} {:6.2} {goal:>6}  {against}{missed}",
                row.ratio()
            )?;
        }
        Ok(())
    }
}
