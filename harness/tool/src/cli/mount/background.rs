//! A mount in the background: another process serves it, and the command that started it learns when it can be used.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::setsid;

use super::unusable;
use crate::cli::logging::{self, Destination};
use crate::cli::{Failure, Outcome};

/// The message of the background process when the mount can be used.
const READY: &[u8] = b"ready";

/// The argument that tells a process that it is the one in the background.
const DETACHED: &str = "--detached";

/// Starts another process that does this one's work, and waits until it is ready or has said why not.
pub(super) fn start() -> Result<Outcome, Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format_args!("can't start a process in the background: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_else(|| program.clone().into());
    let mut arguments: Vec<OsString> = arguments.collect();
    // The argument stands before a `--` that ends the options.
    let at = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.insert(at, DETACHED.into());
    let mut command = Command::new(program);
    command.arg0(called).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(Outcome::Good);
    }
    // The background process has complained itself.
    let status = child.wait().map_err(failed)?;
    std::process::exit(status.code().unwrap_or(1));
}

/// Tells the command that started this process that it worked, and lets go of it and of the terminal. Messages go to a file from
/// here on, or to the system's log.
pub(super) fn leave_terminal(log: Option<&Path>) -> Result<(), Failure> {
    let (rest, destination) = match log {
        Some(path) => (append(path)?, Destination::File(append(path)?)),
        None => (append(Path::new("/dev/null"))?, Destination::System),
    };
    if log.is_none() && !logging::system_listens() {
        log::warn!("no syslog or journal listens here: what happens to this mount is lost; -o log=FILE keeps it");
    }
    let failed = |error: std::io::Error| Failure::failed(format_args!("can't go to the background: {error}"));
    // This fails for the leader of a group, which has no terminal to lose.
    let _ = setsid();
    logging::to_background(destination).map_err(failed)?;
    let mut stdout = std::io::stdout();
    stdout.write_all(READY).and_then(|()| stdout.flush()).map_err(failed)?;
    rustix::stdio::dup2_stderr(&rest).map_err(|error| failed(error.into()))?;
    rustix::stdio::dup2_stdout(&rest).map_err(|error| failed(error.into()))?;
    std::env::set_current_dir("/").map_err(failed)
}

fn append(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| unusable(path, &error))
}
