//! Runs steps: each in a process of its own, with a time limit and a folder; rows of them at the same time.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::summary::{Outcome, Summary};
use super::table::{STAGES, Step, of_row};
use crate::checkout::{Checkout, PROGRAMS};
use crate::steps::context::FULL;
use crate::system::command::program;
use crate::system::group::{Group, Limit};
use crate::system::leftovers::{self, WORKS_IN};
use crate::system::scratch::Scratch;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// How long a step may take, in seconds.
const LIMIT: u64 = 1500;
/// The same with everything that takes long.
const FULL_LIMIT: u64 = 14_400;

/// Runs steps that were chosen, or all, and says what came of them.
///
/// # Errors
///
/// A step has failed, or a signal has ended it all.
pub(super) fn all(checkout: &Checkout, chosen: &[&'static Step], is_full: bool) -> Done {
    // Some tests look at modes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let runner = Runner { checkout, scratch: Scratch::new("test")?, is_full, summary: Mutex::default() };
    if chosen.is_empty() {
        for stage in STAGES {
            let rows = stage.iter().map(|row| of_row(*row, is_full).collect());
            runner.beside_each_other(&rows.collect::<Vec<_>>())?;
        }
    } else {
        runner.one_after_the_other(chosen, None)?;
    }
    let summary = runner.summary.into_inner().unwrap_or_default();
    say!("{summary}");
    summary.verdict()
}

struct Runner<'a> {
    checkout: &'a Checkout,
    scratch: Scratch,
    is_full: bool,
    summary: Mutex<Summary>,
}

impl Runner<'_> {
    /// Rows of steps, all at the same time. The last is shown as it goes, the others are told of at their end.
    fn beside_each_other(&self, rows: &[Vec<&'static Step>]) -> Done {
        let Some((shown, hidden)) = rows.split_last() else { return Ok(()) };
        let files: Vec<_> = (0..hidden.len()).map(|number| self.scratch.path().join(format!("row{number}"))).collect();
        thread::scope(|scope| {
            let mut running = Vec::new();
            for (row, path) in hidden.iter().zip(&files) {
                let mut file = File::create(path).about(path.display())?;
                running.push(scope.spawn(move || self.one_after_the_other(row, Some(&mut file))));
            }
            let mut done = self.one_after_the_other(shown, None);
            for (row, path) in running.into_iter().zip(&files) {
                let ended = row.join().unwrap_or_else(|_| Err(Trouble::failed("a row has ended early")));
                done = done.and(ended);
                if let Ok(mut file) = File::open(path) {
                    let _ = io::copy(&mut file, &mut io::stdout());
                }
            }
            done
        })
    }

    /// Steps one after the other; what they print goes to a file, or is shown.
    fn one_after_the_other(&self, steps: &[&'static Step], mut file: Option<&mut File>) -> Done {
        for step in steps {
            tell(&mut file, format_args!("== {}", step.name));
            let started = Instant::now();
            let outcome = self.one(step, file.as_deref())?;
            tell(&mut file, format_args!("-- {}: {outcome} ({} s)", step.name, started.elapsed().as_secs()));
            if let Ok(mut summary) = self.summary.lock() {
                summary.note(step.name, outcome);
            }
        }
        Ok(())
    }

    /// One step, in a process and a folder of its own, which it leaves as nothing.
    fn one(&self, step: &Step, file: Option<&File>) -> Done<Outcome> {
        let seconds = if self.is_full { FULL_LIMIT } else { LIMIT };
        let folder = self.scratch.part(step.name)?;
        let mut command = self.command(step, &folder);
        if let Some(file) = file {
            let copy = || file.try_clone().about("the output of a row");
            command.stdout(copy()?).stderr(copy()?);
        }
        let end = Group::start(&mut command).and_then(|group| group.wait(Some(Limit::seconds(seconds))));
        let outcome = end.map(|end| Outcome::of(end, seconds));
        if !matches!(outcome, Ok(Outcome::Passed | Outcome::Skipped)) {
            leftovers::end(&folder);
        }
        Scratch::remove(&folder);
        outcome
    }

    fn command(&self, step: &Step, folder: &Path) -> Command {
        // By its name it may be another program already: a step may have built this one anew.
        let mut command = program("/proc/self/exe", &["step", step.name]);
        command.arg(folder).env("CARGO_TARGET_DIR", self.checkout.target()).env(PROGRAMS, self.checkout.debug());
        command.env("TMPDIR", self.scratch.path()).env(WORKS_IN, folder).stdin(Stdio::null());
        if self.is_full {
            command.env(FULL, "1");
        }
        command
    }
}

/// Prints a line to where the output of a row goes.
fn tell(file: &mut Option<&mut File>, line: std::fmt::Arguments<'_>) {
    match file {
        Some(file) => drop(writeln!(file, "{line}")),
        None => say!("{line}"),
    }
}
