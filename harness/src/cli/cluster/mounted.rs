//! Clusters that are mounted: the process that serves the mount does what is ordered, and says how it is.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::orders;
use crate::admin::socket::{Unreachable, call};
use crate::admin::wire::{Answer, LINE_DEADLINE, Question};
use crate::admin::{Done, Order, Status};
use crate::cli::{Failure, progress};

/// How the cluster is that is mounted on a directory.
pub(in crate::cli) fn status(directory: &Path) -> Result<Status, Failure> {
    match ask(directory, &Question::Status)? {
        Answer::Status(status) => Ok(status),
        Answer::Ended(Err(refused)) => Err(refused.into()),
        _ => Err(Failure::failed(format_args!("{}: an answer to something else", directory.display()))),
    }
}

/// Has an order carried out, shows how far it is, and says what came of it.
pub(super) fn carry_out(directory: &Path, order: &Order) -> Result<Done, Failure> {
    match ask(directory, &Question::Order(order.clone()))? {
        Answer::Ended(ended) => Ok(ended?),
        _ => Err(Failure::failed(format_args!("{}: an answer to something else", directory.display()))),
    }
}

/// Has the process get ready for a mount with other options.
pub(in crate::cli) fn prepare_remount(directory: &Path, read_only: bool) -> Result<(), Failure> {
    match ask(directory, &Question::Remount { read_only })? {
        Answer::Ended(ended) => Ok(ended.map(drop)?),
        _ => Err(Failure::failed(format_args!("{}: an answer to something else", directory.display()))),
    }
}

/// Has a snapshot made; none when the process doesn't listen to us.
pub(in crate::cli) fn snapshot(directory: &Path, label: &[u8]) -> Option<Result<(), Failure>> {
    if let Err(Unreachable::NotAllowed | Unreachable::Deaf) = call(directory) {
        return None;
    }
    Some(match ask(directory, &Question::Snapshot { label: label.to_vec() }) {
        Ok(Answer::Ended(ended)) => ended.map(drop).map_err(Into::into),
        Ok(_) => Err(Failure::failed(format_args!("{}: an answer to something else", directory.display()))),
        Err(failure) => Err(failure),
    })
}

/// Asks, and waits for the last answer.
fn ask(directory: &Path, question: &Question) -> Result<Answer, Failure> {
    let unreachable = |error: Unreachable| {
        let message = format_args!("{}: {error}", directory.display()).to_string();
        match error {
            Unreachable::NotMounted => Failure::Unusable(message),
            _ => Failure::Failed(message),
        }
    };
    let (mut line, process) = call(directory).map_err(unreachable)?;
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::TimedOut => Failure::failed(format_args!(
            "{}: process {process}, which serves this mount, {}",
            directory.display(),
            Silence(process)
        )),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => unreachable(Unreachable::Gone),
        _ => Failure::failed(format_args!("{}: {error}", directory.display())),
    };
    line.say(question).map_err(failed)?;
    let counter = progress::byte_counter();
    loop {
        match line.hear().map_err(failed)? {
            Some(Answer::Working) => {}
            Some(Answer::Copied { called, copied }) => orders::show(&counter, &called, &copied),
            Some(last) => {
                counter.finish_and_clear();
                return Ok(last);
            }
            None => return Err(unreachable(Unreachable::Gone)),
        }
    }
}

/// What is wrong with a process that says nothing, and what can be done.
struct Silence(i32);

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, seconds) = (self.0, LINE_DEADLINE.as_secs());
        // `PID (NAME) STATE ...`, and the name may hold anything.
        let facts = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = facts.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        match state {
            Some('T' | 't') => write!(f, "is stopped; `kill -CONT {process}` has it go on"),
            Some('Z' | 'X') | None => write!(f, "is gone; unmount it, and mount it again"),
            _ => write!(f, "has said nothing for {seconds} seconds; what was asked of it may still be done"),
        }
    }
}
