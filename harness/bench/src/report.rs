//! Results, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

/// The memory of a mount.
#[derive(Clone, Copy)]
pub struct Memory {
    /// The most it took at any time.
    pub peak_bytes: usize,
    /// Its budget; its heap refuses more than that and the smallest budget of a mount.
    pub given_bytes: usize,
}

/// A comparison: how much was done in a second of CPU time.
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// What it is compared with.
    pub against: &'static str,
    /// The unit of the rates.
    pub unit: &'static str,
    /// The rate of hammer2-core.
    pub ours: f64,
    /// The rate of the other.
    pub theirs: f64,
    /// The ratio to be reached, if there is one.
    pub goal: Option<f64>,
    /// The memory of the mount, if it was measured.
    pub memory: Option<Memory>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }

    fn is_good(&self) -> bool {
        self.goal.is_none_or(|goal| self.ratio() >= goal)
    }
}

/// A count, which is the same in every run.
pub struct Amount {
    /// What was counted.
    pub name: &'static str,
    /// The unit.
    pub unit: &'static str,
    /// The count.
    pub amount: u64,
    /// The limit.
    pub limit: u64,
    /// The memory of the mount, if it was measured.
    pub memory: Option<Memory>,
}

impl Amount {
    fn is_good(&self) -> bool {
        self.amount <= self.limit
    }
}

/// All comparisons.
pub struct Report {
    runs: u32,
    rows: Vec<Row>,
    amounts: Vec<Amount>,
}

impl Report {
    /// A report of medians of `runs` runs.
    pub fn new(runs: u32) -> Self {
        Self { runs, rows: Vec::new(), amounts: Vec::new() }
    }

    /// Adds a comparison.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a count.
    pub fn add_amount(&mut self, amount: Amount) {
        self.amounts.push(amount);
    }

    /// True when all goals were reached.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(Row::is_good) && self.amounts.iter().all(Amount::is_good)
    }

    /// An object of all counts, by their names.
    pub fn amounts_json(&self) -> Value {
        self.amounts.iter().map(|amount| (amount.name.to_owned(), Value::from(amount.amount))).collect()
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let memory = |memory: Memory| json!({ "peak_bytes": memory.peak_bytes, "given_bytes": memory.given_bytes });
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name, "against": row.against, "unit": row.unit, "ours": row.ours, "theirs": row.theirs,
                "ratio": row.ratio(), "goal": row.goal, "reached": row.is_good(), "memory": row.memory.map(memory),
            })
        });
        let amounts = self.amounts.iter().map(|amount| {
            json!({
                "name": amount.name, "unit": amount.unit, "amount": amount.amount, "limit": amount.limit,
                "reached": amount.is_good(), "memory": amount.memory.map(memory),
            })
        });
        json!({
            "clock": "process CPU time", "runs": self.runs,
            "results": rows.collect::<Vec<_>>(), "amounts": amounts.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} of {} MiB", self.peak_bytes as f64 / f64::from(1 << 20), self.given_bytes >> 20)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missed = |good: bool| if good { "" } else { "  MISSED" };
        if !self.rows.is_empty() {
            writeln!(f, "CPU time, medians of {} runs", self.runs)?;
            writeln!(
                f,
                "{:48} {:>9} {:>9} {:10} {:>6} {:>6} {:>19}  against",
                "", "ours", "theirs", "", "ratio", "goal", "memory at most"
            )?;
        }
        for row in &self.rows {
            let Row { name, against, unit, ours, theirs, goal, memory } = row;
            let goal = goal.map_or_else(String::new, |goal| format!("{goal:.2}"));
            let memory = memory.map_or_else(String::new, |memory| memory.to_string());
            writeln!(
                f,
                "{name:48} {ours:9.0} {theirs:9.0} {unit:10} {:6.2} {goal:>6} {memory:>19}  {against}{}",
                row.ratio(),
                missed(row.is_good())
            )?;
        }
        if !self.amounts.is_empty() {
            writeln!(f, "{:48} {:>9} {:>9} {:28} {:>10}", "Counted", "", "at most", "", "memory")?;
        }
        for Amount { name, unit, amount, limit, memory } in &self.amounts {
            let memory = memory.map_or_else(String::new, |memory| memory.to_string());
            writeln!(f, "{name:48} {amount:9} {limit:9} {unit:18} {memory:>19}{}", missed(amount <= limit))?;
        }
        Ok(())
    }
}
