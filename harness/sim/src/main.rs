//! `hammer2-sim`: simulates clusters.
#![forbid(unsafe_code)]

mod page;
mod report;
mod seeds;

use std::env;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use hammer2_core::media::check_functions::{HostChecks, portable_xxh64, use_host_checks};
use hammer2_sim::{Rule, Run, Settings, Tally, parting};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use report::{Report, command};

/// Runs stop after so many failures.
const SHOWN: usize = 10;

/// Check codes by instructions of the processor.
static CHECKS: HostChecks = HostChecks { crc32c: crc32c::crc32c, xxh64: portable_xxh64 };

/// Simulate clusters on disks that fail, and check their promises
///
/// Each seed is one run: disks, clients, faults, power cuts. The same seed is always the same run. Nothing outside the process is
/// touched.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 120,
    after_help = "Exit status:
  0  nothing was wrong in any run
  1  a promise was broken, and the line that says so says how to see it again; or something never occurred
  2  wrong usage, or the page can't be written"
)]
struct Sim {
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    start: u64,
    /// Nodes of every cluster [default: chosen by each seed, mostly 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: Option<u8>,
    /// Leave a rule of the protocol out: something must go wrong then
    #[arg(long, value_name = "RULE", value_parser = rule_names())]
    without: Option<String>,
    /// List the rules that can be left out, and do nothing else
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
    /// Also fail if a kind of fault or a verdict never occurs: with thousands of runs all do
    #[arg(long)]
    complete: bool,
    /// Runs at the same time [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Print what happens on standard error; for a single run
    #[arg(long)]
    trace: bool,
    /// Write the run as a page for a browser: nodes, faults, commits, clients over virtual time; for a single run (--seeds 1)
    /// The page needs no other files. If something was wrong, it points at the first moment at which that was seen, and for a run
    /// without a rule at the moment where the run with the rule first differs.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print a JSON object a line: each violation, then the summary
    #[arg(long)]
    json: bool,
}

fn rule_names() -> Vec<&'static str> {
    Rule::ALL.map(Rule::name).to_vec()
}

fn fault_names() -> Vec<&'static str> {
    Settings::all_faults().collect()
}

fn main() -> ExitCode {
    let sim = Sim::try_parse().and_then(Sim::that_can_be_done).unwrap_or_else(|error| refuse(&error));
    // Without them, runs are the same, but take longer.
    let _ = use_host_checks(&CHECKS);
    if sim.trace && log::set_logger(&Trace).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
    let mut output = BufWriter::new(io::stdout());
    match sim.run(&mut output).and_then(|is_good| output.flush().map(|()| is_good)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader of our output has closed it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hammer2-sim: standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the program for what is wrong with its arguments, which is an object where results are.
fn refuse(error: &clap::Error) -> ! {
    let wants_object = env::args_os().any(|argument| argument == "--json");
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) || !wants_object {
        error.exit();
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let what = lines.collect::<Vec<_>>().join(" ");
    let message = what.strip_prefix("error: ").unwrap_or(&what);
    let remedy = ["hammer2-sim --help"];
    eprintln!(
        "{}",
        json!({ "error": { "kind": "usage", "message": message, "remedy": remedy, "exit_code": error.exit_code() } })
    );
    process::exit(error.exit_code());
}

impl Sim {
    /// Returns these arguments if they go together.
    fn that_can_be_done(self) -> Result<Self, clap::Error> {
        if self.html.is_some() && self.seeds != 1 {
            let why = format!(
                "a page shows one run, and these are {}: add `--seeds 1`, and name the run by --start",
                self.seeds
            );
            return Err(Self::command().error(ErrorKind::ArgumentConflict, why));
        }
        Ok(self)
    }

    /// Runs all seeds and reports them; true if nothing was wrong.
    fn run(&self, output: &mut dyn Write) -> io::Result<bool> {
        if self.rules {
            Rule::ALL.iter().try_for_each(|rule| writeln!(output, "{}", rule.name()))?;
            return Ok(true);
        }
        let settings = self.settings();
        tell_of_panics(&settings);
        let settings = &settings;
        let jobs = self.jobs.unwrap_or_else(seeds::usual_jobs);
        let mut total = Tally::default();
        let progress = bar(self.seeds);
        let mut failed: Vec<(u64, String)> = Vec::new();
        let mut note = |seed: u64, run: Run| {
            progress.inc(1);
            total.add(&run.tally);
            failed.extend(run.violation.map(|what| (seed, what)));
            // Without a rule, one failure is enough.
            failed.len() < if settings.without.is_some() { 1 } else { SHOWN }
        };
        match &self.html {
            Some(path) => drop(note(self.start, self.show(settings, path))),
            None => seeds::run_each(self.start, self.seeds, jobs, settings, note),
        }
        progress.finish_and_clear();
        log::set_max_level(log::LevelFilter::Off);
        let mut report = Report::new(output, self.json);
        for (number, (seed, what)) in failed.iter().enumerate() {
            let least = (number == 0).then(|| hammer2_sim::shrink(*seed, settings));
            report.violation(*seed, what, settings, least.as_ref())?;
        }
        let never: Vec<&str> = if self.complete { total.never().collect() } else { Vec::new() };
        if !never.is_empty() {
            report.never(&never)?;
        }
        report.total(&total)?;
        Ok(failed.is_empty() && never.is_empty())
    }

    /// Runs the only seed, and writes its page.
    fn show(&self, settings: &Settings, path: &Path) -> Run {
        let (run, entries) = seeds::run_told(self.start, settings);
        let parting = settings.without.and_then(|_| {
            let with = Settings { without: None, ..settings.clone() };
            parting(&entries, &seeds::run_told(self.start, &with).1)
        });
        if let Err(error) = fs::write(path, page::page(self.start, settings, &run, &entries, parting)) {
            eprintln!("hammer2-sim: {}: {error}: name a file that can be written", path.display());
            process::exit(2);
        }
        run
    }

    fn settings(&self) -> Settings {
        // The names are checked by now.
        let find = |name: &String| Rule::ALL.into_iter().find(|rule| rule.name() == name);
        let default = Settings::default();
        Settings {
            nodes: self.nodes.map(usize::from),
            steps: self.steps.unwrap_or(default.steps),
            left_out: self.no_faults.clone(),
            crashes: !self.no_crashes,
            without: self.without.as_ref().and_then(find),
        }
    }
}

/// Counts seeds on standard error, when that is a terminal.
fn bar(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} seeds ({elapsed})");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Makes a panic, which is a violation, too, print how to repeat it before the process ends.
fn tell_of_panics(settings: &Settings) {
    let settings = settings.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let seed = seeds::current();
        eprintln!("seed {seed}: {panic}; {}", command(seed, &settings));
        process::exit(1);
    }));
}

/// A logger that prints to standard error.
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Sim::command().debug_assert();
    }
}
