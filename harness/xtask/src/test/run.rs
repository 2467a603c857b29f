//! Runs steps: each in a process of its own, with a time limit and a folder; rows of them at the same time.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::summary::{Outcome, Summary};
use super::table::{Row, STAGES, Step, of_row};
use crate::checkout::{Checkout, PROGRAMS};
use crate::steps::context::FULL;
use crate::system::command::{OURSELVES, program};
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
    let runner = Runner {
        checkout,
        scratch: Scratch::new("test")?,
        is_full,
        summary: Mutex::default(),
        untold: Mutex::default(),
    };
    if chosen.is_empty() {
        for stage in STAGES.into_iter().filter(|stage| is_full || !stage.contains(&Row::Long)) {
            let rows = stage.iter().map(|row| of_row(*row).collect());
            runner.beside_each_other(&rows.collect::<Vec<_>>())?;
        }
    } else {
        runner.one_after_the_other(chosen, true)?;
    }
    let summary = runner.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    say!("{summary}");
    summary.verdict()
}

struct Runner<'a> {
    checkout: &'a Checkout,
    scratch: Scratch,
    is_full: bool,
    summary: Mutex<Summary>,
    /// What steps have printed that weren't shown as they went.
    untold: Mutex<Vec<PathBuf>>,
}

impl Runner<'_> {
    /// Rows of steps, all at the same time. The last is shown as it goes; steps of the others are told of when they have ended,
    /// between those that are shown.
    fn beside_each_other<'steps>(&self, rows: &'steps [Vec<&'static Step>]) -> Done {
        let Some((shown, hidden)) = rows.split_last() else { return Ok(()) };
        thread::scope(|scope| {
            let start = |row: &'steps Vec<&'static Step>| scope.spawn(move || self.one_after_the_other(row, false));
            let running: Vec<_> = hidden.iter().map(start).collect();
            let mut done = self.one_after_the_other(shown, true);
            for row in running {
                done = done.and(row.join().unwrap_or_else(|_| Err(Trouble::failed("a row has ended early"))));
                self.tell_of_others();
            }
            done
        })
    }

    /// Steps one after the other.
    fn one_after_the_other(&self, steps: &[&'static Step], is_shown: bool) -> Done {
        for step in steps {
            if is_shown {
                self.told(step, None)?;
                self.tell_of_others();
                continue;
            }
            let path = self.scratch.path().join(format!("{}.told", step.name));
            let mut file = File::create(&path).about(path.display())?;
            let done = self.told(step, Some(&mut file));
            self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(path);
            done?;
        }
        Ok(())
    }

    /// Shows what other rows have come to.
    fn tell_of_others(&self) {
        let paths = mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        for mut file in paths.iter().flat_map(File::open) {
            let _ = io::copy(&mut file, &mut io::stdout());
        }
    }

    /// One step, with a line before and after it. What it prints goes to a file, or is shown.
    fn told(&self, step: &Step, mut file: Option<&mut File>) -> Done {
        tell(&mut file, format_args!("== {}", step.name));
        let started = Instant::now();
        let outcome = self.one(step, file.as_deref())?;
        tell(&mut file, format_args!("-- {}: {outcome} ({} s)", step.name, started.elapsed().as_secs()));
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).note(step.name, outcome);
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
        let mut command = program(OURSELVES, &["step", step.name]);
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
