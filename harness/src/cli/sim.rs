//! `hammer2 sim`: simulates clusters.

use std::cell::Cell;
use std::num::NonZero;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::progress::bar;
use super::session::Settings as ToolSettings;
use super::{Failure, Outcome};
use crate::sim::{self, Counts, Ingredient, Run, Settings, Tally};

/// Runs go on until so many have failed.
const SHOWN: usize = 10;

/// Simulate clusters on disks that fail, and check what they promise
///
/// Each seed is one run: disks, clients, faults, power cuts. The same seed is always the same run. Nothing outside the process is
/// touched.
#[derive(Args)]
#[command(after_help = "Exit status:
  0  nothing was wrong in any run
  1  a promise was broken, and the line that says so says how to see it again; or something never occurred
  2  wrong usage")]
pub(super) struct Sim {
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    start: u64,
    /// Nodes of every cluster [default: drawn from each seed, mostly 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: Option<u8>,
    /// Leave an ingredient of the protocol out: something must go wrong then
    #[arg(long, value_name = "INGREDIENT", value_parser = ingredient_names())]
    without: Option<String>,
    /// List the ingredients that can be left out, and do nothing else
    #[arg(long)]
    rules: bool,
    /// Steps of clients in each run
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Faults not to use, separated by commas
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = fault_names())]
    no_faults: Vec<String>,
    /// Never cut the power
    #[arg(long)]
    no_crashes: bool,
    /// Fail if a kind of fault or a verdict never occurs, too: with thousands of runs all do
    #[arg(long)]
    complete: bool,
    /// Runs at the same time [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Tell on standard error what happens; for a single run
    #[arg(long)]
    trace: bool,
    /// Print a JSON object a line: each violation, then the summary
    #[arg(long)]
    json: bool,
}

fn ingredient_names() -> Vec<&'static str> {
    Ingredient::ALL.map(Ingredient::name).to_vec()
}

fn fault_names() -> Vec<&'static str> {
    Settings::all_faults().collect()
}

impl Sim {
    pub(super) fn run(&self, _: &ToolSettings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.rules {
            let mut rules = Ingredient::ALL.into_iter();
            return rules.try_for_each(|rule| output.line(rule.name())).map(|()| Outcome::Good);
        }
        let settings = self.settings();
        if self.trace && log::set_logger(&Trace).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
        tell_of_panics(&settings);
        let mut total = Tally::default();
        let progress = bar("seeds", self.seeds);
        let mut failed: Vec<(u64, String)> = Vec::new();
        self.each_seed(&settings, |seed, run| {
            progress.inc(1);
            total.add(&run.tally);
            failed.extend(run.violation.map(|what| (seed, what)));
            // Without an ingredient one failure is all that is wanted.
            failed.len() < if settings.without.is_some() { 1 } else { SHOWN }
        });
        progress.finish_and_clear();
        log::set_max_level(log::LevelFilter::Off);
        for (number, (seed, what)) in failed.iter().enumerate() {
            let least = (number == 0).then(|| sim::shrink(*seed, &settings));
            self.tell(output, *seed, what, &settings, least.as_ref())?;
        }
        let never: Vec<&str> = if self.complete { total.never().collect() } else { Vec::new() };
        if !never.is_empty() {
            self.tell_never(&never, output)?;
        }
        self.conclude(&total, output)?;
        Ok(if failed.is_empty() && never.is_empty() { Outcome::Good } else { Outcome::Bad })
    }

    fn settings(&self) -> Settings {
        // The names are checked by now.
        let find = |name: &String| Ingredient::ALL.into_iter().find(|ingredient| ingredient.name() == name);
        let default = Settings::default();
        Settings {
            nodes: self.nodes.map(usize::from),
            steps: self.steps.unwrap_or(default.steps),
            left_out: self.no_faults.clone(),
            crashes: !self.no_crashes,
            without: self.without.as_ref().and_then(find),
        }
    }

    /// Runs all seeds on several threads and hands the results over in the seeds' order, until `take` has enough.
    fn each_seed(&self, settings: &Settings, mut take: impl FnMut(u64, Run) -> bool) {
        let available = thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = self.jobs.map_or(available, NonZero::get);
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let (sender, results) = mpsc::sync_channel::<(u64, Run)>(jobs * 4);
        thread::scope(|scope| {
            for _ in 0..jobs {
                let sender = sender.clone();
                let (next, stop) = (&next, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.seeds {
                            return;
                        }
                        let seed = self.start.wrapping_add(number);
                        SEED.set(seed);
                        let run = sim::run(seed, settings);
                        if sender.send((number, run)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut waiting = std::collections::BTreeMap::new();
            let mut wanted = 0;
            'all: for (number, run) in results {
                waiting.insert(number, run);
                while let Some(run) = waiting.remove(&wanted) {
                    let goes_on = take(self.start.wrapping_add(wanted), run);
                    wanted += 1;
                    if !goes_on {
                        stop.store(true, Ordering::Relaxed);
                        break 'all;
                    }
                }
            }
        });
    }

    /// One line for a run in which something was wrong.
    fn tell(
        &self,
        output: &mut Output,
        seed: u64,
        what: &str,
        settings: &Settings,
        least: Option<&Settings>,
    ) -> Result<(), Failure> {
        let again = command(seed, settings);
        let shorter = least.map(|least| (command(seed, least), sim::run(seed, least).violation.unwrap_or_default()));
        if self.json {
            return output.line(json!({
                "violation": what, "seed": seed, "reproduce": again,
                "least": shorter.map(|(command, what)| json!({ "violation": what, "reproduce": command })),
            }));
        }
        output.line(format_args!("seed {seed}: {what}; {again}"))?;
        shorter.map_or(Ok(()), |(command, what)| output.line(format_args!("  least: {what}; {command}")))
    }

    fn tell_never(&self, never: &[&str], output: &mut Output) -> Result<(), Failure> {
        if self.json {
            output.line(json!({ "never": never }))
        } else {
            output.line(format_args!("never: {}", never.join(", ")))
        }
    }

    fn conclude(&self, total: &Tally, output: &mut Output) -> Result<(), Failure> {
        let Tally { seeds, operations, acked_syncs, crashes, violations, trace_hash, .. } = total;
        let hash = format!("{trace_hash:016x}");
        if self.json {
            return output.line(json!({
                "seeds": seeds, "operations": operations, "acked_syncs": acked_syncs, "crashes": crashes,
                "faults": counts(&total.faults), "verdicts": counts(&total.verdicts), "violations": violations,
                "trace_hash": hash,
            }));
        }
        output.line(format_args!(
            "{seeds} seeds, {operations} operations, {acked_syncs} syncs acknowledged, {crashes} crashes, {violations} \
             violations, trace {hash}"
        ))
    }
}

thread_local! {
    /// What this thread is running.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// A panic is a violation, too, and the last: it says how to see it again.
fn tell_of_panics(settings: &Settings) {
    let settings = settings.clone();
    panic::set_hook(Box::new(move |panic| {
        let seed = SEED.get();
        eprintln!("seed {seed}: {panic}; {}", command(seed, &settings));
        process::exit(1);
    }));
}

/// Tells what happens on standard error.
struct Trace;

impl log::Log for Trace {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{}", record.args());
    }

    fn flush(&self) {}
}

fn counts(counts: &Counts) -> Value {
    counts.iter().map(|(name, number)| (name.clone(), Value::from(*number))).collect::<serde_json::Map<_, _>>().into()
}

/// The command line for one seed.
fn command(seed: u64, settings: &Settings) -> String {
    let mut line = format!("hammer2 sim --start {seed} --seeds 1");
    if let Some(nodes) = settings.nodes {
        line += &format!(" --nodes {nodes}");
    }
    if let Some(ingredient) = settings.without {
        line += &format!(" --without {}", ingredient.name());
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
