//! Reports of runs: lines, or JSON objects.

use std::fmt::Display;
use std::io::{self, Write};

use hammer2_sim::{Counts, Settings, Tally};
use serde_json::{Map, Value, json};

/// Where and how reports are printed.
pub(crate) struct Report<'o> {
    output: &'o mut dyn Write,
    is_json: bool,
}

impl<'o> Report<'o> {
    pub(crate) fn new(output: &'o mut dyn Write, is_json: bool) -> Self {
        Self { output, is_json }
    }

    fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.output, "{line}")
    }

    /// Prints a line for a run with a violation, and one for its smallest failing form, if that was searched for.
    pub(crate) fn violation(
        &mut self,
        seed: u64,
        what: &str,
        settings: &Settings,
        least: Option<&Settings>,
    ) -> io::Result<()> {
        let again = command(seed, settings);
        let least = least.map(|least| {
            let what = hammer2_sim::run(seed, least).violation.unwrap_or_default();
            (command(seed, least), what)
        });
        if self.is_json {
            return self.line(json!({
                "violation": what, "seed": seed, "reproduce": again,
                "least": least.map(|(command, what)| json!({ "violation": what, "reproduce": command })),
            }));
        }
        self.line(format_args!("seed {seed}: {what}; {again}"))?;
        least.map_or(Ok(()), |(command, what)| self.line(format_args!("  least: {what}; {command}")))
    }

    /// Prints the faults and verdicts that never occurred.
    pub(crate) fn never(&mut self, never: &[&str]) -> io::Result<()> {
        if self.is_json {
            self.line(json!({ "never": never }))
        } else {
            self.line(format_args!("never: {}", never.join(", ")))
        }
    }

    /// Prints the last line.
    pub(crate) fn total(&mut self, total: &Tally) -> io::Result<()> {
        let Tally { seeds, operations, acked_syncs, crashes, violations, trace_hash, .. } = total;
        let hash = format!("{trace_hash:016x}");
        if self.is_json {
            return self.line(json!({
                "seeds": seeds, "operations": operations, "acked_syncs": acked_syncs, "crashes": crashes,
                "faults": counts(&total.faults), "verdicts": counts(&total.verdicts), "violations": violations,
                "trace_hash": hash,
            }));
        }
        self.line(format_args!(
            "{seeds} seeds, {operations} operations, {acked_syncs} syncs acknowledged, {crashes} crashes, {violations} \
             violations, trace {hash}"
        ))
    }
}

fn counts(counts: &Counts) -> Value {
    counts.iter().map(|(name, number)| (name.clone(), Value::from(*number))).collect::<Map<_, _>>().into()
}

/// The command line for one seed.
pub(crate) fn command(seed: u64, settings: &Settings) -> String {
    let mut line = format!("hammer2-sim --start {seed} --seeds 1");
    if let Some(nodes) = settings.nodes {
        line += &format!(" --nodes {nodes}");
    }
    if let Some(rule) = settings.without {
        line += &format!(" --without {}", rule.name());
    }
    if settings.steps != Settings::default().steps {
        line += &format!(" --steps {}", settings.steps);
    }
    if !settings.left_out.is_empty() {
        line += &format!(" --no-faults {}", settings.left_out.join(","));
    }
    if !settings.crashes {
        line += " --no-crashes";
    }
    line
}
