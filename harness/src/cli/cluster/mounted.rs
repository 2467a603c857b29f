//! Clusters that are mounted: the process that serves the mount does what is ordered, and says how it is.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::orders;
use crate::admin::wire::{Answer, Line, Question};
use crate::admin::{Done, Order, Status};
use crate::cli::{Failure, progress};

/// How the cluster is that is mounted on a directory.
pub(super) fn status(directory: &Path) -> Result<Status, Failure> {
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

/// Asks, and waits for the last answer.
fn ask(directory: &Path, question: &Question) -> Result<Answer, Failure> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::ConnectionRefused => Failure::unusable(format_args!(
            "{}: no HAMMER2 filesystem is mounted on this directory",
            directory.display()
        )),
        ErrorKind::NotConnected => Failure::failed(format_args!(
            "{}: the process that serves this mount is gone; unmount it, and mount it again",
            directory.display()
        )),
        _ => Failure::failed(format_args!("{}: {error}", directory.display())),
    };
    let mut line = Line::to(directory).map_err(failed)?;
    line.say(question).map_err(failed)?;
    let counter = progress::byte_counter();
    loop {
        match line.hear().map_err(failed)? {
            Some(Answer::Copied { node, copied }) => orders::show(&counter, node, &copied),
            Some(last) => {
                counter.finish_and_clear();
                return Ok(last);
            }
            None => return Err(failed(ErrorKind::NotConnected.into())),
        }
    }
}
