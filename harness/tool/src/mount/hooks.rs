//! Hooks: the programs in a folder are run for each event, one after the other, in the order of their names.
//! Each gets the event in its environment (`HAMMER2_EVENT` and so on) and, as a line of JSON, on its standard input. A separate
//! thread starts the programs and waits for them, so that no request to the filesystem waits for a program. Only programs that
//! nobody but root, or the user who mounted, can change are run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::admin::Event;

/// The most events that wait for programs to end; for further events, no program is run.
const MOST_WAITING: usize = 100;

/// How long a program may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether it has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The queue to the thread that runs the programs.
pub(super) struct Hooks {
    events: SyncSender<Event>,
}

impl Hooks {
    /// Runs the programs in a folder from here on.
    pub(super) fn of(folder: PathBuf) -> std::io::Result<Self> {
        let (events, waiting) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("hooks".into()).spawn(move || run_all(&folder, &waiting))?;
        Ok(Self { events })
    }

    /// Runs the programs for an event.
    pub(super) fn run(&self, event: Event) {
        if let Err(error) = self.events.try_send(event) {
            log::warn!("no program is run for an event: {error}");
        }
    }
}

/// Runs programs until the mount ends.
fn run_all(folder: &Path, events: &Receiver<Event>) {
    for event in events {
        let programs = match programs(folder) {
            Ok(programs) => programs,
            Err(why) => {
                log::warn!("{}: {why}: no program in it is run", folder.display());
                continue;
            }
        };
        for program in programs {
            if let Err(why) = run(&program, &event) {
                log::warn!("{}: for {}: {why}", program.display(), event.kind.name());
            }
        }
    }
}

/// The programs in a folder, in order.
fn programs(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let words = |error: std::io::Error| error.to_string();
    refuse_strangers(folder)?;
    let mut programs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(words)? {
        let path = entry.map_err(words)?.path();
        // Leftovers of editors and package managers have a dot or a tilde in their names.
        let is_plain = path.file_name().is_some_and(|name| !name.as_encoded_bytes().iter().any(|b| b".~#".contains(b)));
        let can_be_run = || fs::metadata(&path).is_ok_and(|facts| facts.is_file() && facts.mode() & 0o111 != 0);
        if is_plain && can_be_run() {
            programs.push(path);
        }
    }
    programs.sort();
    Ok(programs)
}

/// Refuses files that somebody else can change.
fn refuse_strangers(path: &Path) -> Result<(), String> {
    let facts = fs::metadata(path).map_err(|error| error.to_string())?;
    let is_ours = facts.uid() == 0 || facts.uid() == geteuid().as_raw();
    match is_ours && facts.permissions().mode() & 0o022 == 0 {
        true => Ok(()),
        false => {
            Err("users other than root and the one who mounted can change it (`chmod go-w` and `chown` mend that)"
                .to_owned())
        }
    }
}

fn run(program: &Path, event: &Event) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    refuse_strangers(program)?;
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command.env("HAMMER2_EVENT", event.kind.name()).env("HAMMER2_TEXT", &event.text);
    command.env("HAMMER2_DIRECTORY", &event.directory).env("HAMMER2_LABEL", &event.label);
    command.env("HAMMER2_DISK", event.disk.as_deref().unwrap_or_default());
    command.env("HAMMER2_FSID", event.fsid.as_deref().unwrap_or_default());
    let mut child = command.spawn().map_err(words)?;
    if let (Some(mut stdin), Ok(line)) = (child.stdin.take(), serde_json::to_string(event)) {
        // The program needn't read it. An event is much smaller than a pipe's buffer, so this doesn't wait.
        let _ = writeln!(stdin, "{line}");
    }
    let status = ended(&mut child)?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

fn ended(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(BETWEEN_LOOKS),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it ran for {} seconds, and was killed", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
