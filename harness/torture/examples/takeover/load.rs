//! The load: writers that replace files, each version durable before the next, on whichever machine is in service.
//! Acknowledged changes must be there on every machine later, and a machine that isn't in service any more must not acknowledge
//! anything.
//! Writers are processes of their own. They hang when the server of their mount is stopped, and so would every child of a process
//! that has a file open there.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hammer2_torture::versions::Versions;

const WRITERS: u64 = 2;
const FILES: usize = 8;

/// A writer's output, followed by the number of a version.
const BEGUN: &str = "begun";
const DURABLE: &str = "durable";
/// The number of a session stands above so many bits in the number of a version.
const SESSION_SHIFT: u32 = 24;

/// A version of a file of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    file: usize,
    number: u64,
}

impl Version {
    fn of(number: u64) -> Self {
        Self { file: number as usize % FILES, number }
    }
}

/// What is known of a writer's changes.
#[derive(Default)]
struct Known {
    /// The session in service: writers of earlier sessions must get no acknowledgement any more.
    session: u64,
    /// The durable versions, 0 for none.
    durable: [u64; FILES],
    /// The version that may be there or not.
    under_way: Option<Version>,
    /// The versions that were under way when another session began, and whether that session has found them.
    found: BTreeMap<u64, bool>,
    /// How many changes are durable, and when the last became so.
    changes: u64,
    begun: Option<Instant>,
    last_change: Option<Instant>,
    slowest: Duration,
    /// A violation, if there was one.
    violation: Option<String>,
}

struct Writer {
    number: u64,
    known: Mutex<Known>,
}

/// Writers, and what is known of their changes.
pub(crate) struct Load {
    writers: Vec<Arc<Writer>>,
    processes: Vec<Child>,
}

impl Load {
    pub(crate) fn new() -> Self {
        let writer = |number| Arc::new(Writer { number, known: Mutex::default() });
        Self { writers: (0..WRITERS).map(writer).collect(), processes: Vec::new() }
    }

    /// Puts this mount into service: its content is compared with the known changes, and the writers go on there. Writers that
    /// hang elsewhere are left alone until they end.
    pub(crate) fn move_to(&mut self, root: &Path) -> Result<(), Box<dyn Error>> {
        for writer in &self.writers {
            let session = writer.adopt(root)?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["write", &writer.number.to_string(), &session.to_string()]).arg(root);
            let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let said = process.stdout.take().ok_or("a writer that can't be heard")?;
            self.processes.push(process);
            let writer = writer.clone();
            thread::spawn(move || writer.hear(said, session));
        }
        Ok(())
    }

    /// Kills all writers.
    pub(crate) fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Checks that all known changes are there.
    pub(crate) fn compare(&self, root: &Path) -> Result<(), Box<dyn Error>> {
        for writer in &self.writers {
            writer.adopt(root)?;
        }
        self.judge()
    }

    /// How many changes of each writer are durable.
    pub(crate) fn changes(&self) -> Vec<u64> {
        self.writers.iter().map(|writer| writer.known().changes).collect()
    }

    /// True when every writer has made a change durable since a time.
    pub(crate) fn all_since(&self, time: Instant) -> bool {
        self.writers.iter().all(|writer| writer.known().last_change.is_some_and(|last| last > time))
    }

    /// The longest wait for a durable change since the last call.
    pub(crate) fn slowest(&self) -> Duration {
        let of = |writer: &Arc<Writer>| std::mem::take(&mut writer.known().slowest);
        self.writers.iter().map(of).max().unwrap_or_default()
    }

    /// Fails if there was a violation.
    pub(crate) fn judge(&self) -> Result<(), Box<dyn Error>> {
        match self.writers.iter().find_map(|writer| writer.known().violation.clone()) {
            Some(violation) => Err(violation.into()),
            None => Ok(()),
        }
    }
}

impl Writer {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the output of a writer's process, to its end.
    fn hear(&self, said: ChildStdout, session: u64) {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            let Some((word, number)) = line.split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match word {
                BEGUN => self.note_begun(Version::of(number), session),
                _ => self.note_durable(Version::of(number)),
            }
        }
    }

    fn note_begun(&self, version: Version, session: u64) {
        let mut known = self.known();
        if known.session == session {
            known.under_way = Some(version);
            known.begun = Some(Instant::now());
        }
    }

    fn note_durable(&self, version: Version) {
        let mut known = self.known();
        if known.under_way == Some(version) {
            known.durable[version.file] = version.number;
            known.under_way = None;
            known.changes += 1;
            let now = Instant::now();
            known.last_change = Some(now);
            known.slowest = known.slowest.max(known.begun.map_or(Duration::ZERO, |begun| now - begun));
        } else if known.found.get(&version.number) != Some(&true) {
            // The output of an earlier session may come late, but only for changes that it made in time.
            known.violation = Some(format!(
                "writer {} was told that {version:?} is durable, after another machine was in service that doesn't have it",
                self.number
            ));
        }
    }

    /// Begins a session on a mount: compares its content with the known changes. From then on it is known whether the changes
    /// under way were made.
    fn adopt(&self, root: &Path) -> Result<u64, Box<dyn Error>> {
        let mut known = self.known();
        known.session += 1;
        let mut durable = known.durable;
        for (file, number) in durable.iter_mut().enumerate() {
            let perhaps = known.under_way.filter(|version| version.file == file).map(|version| version.number);
            *number = Versions::of(root, self.number, file).find(*number, perhaps)?;
        }
        known.durable = durable;
        if let Some(Version { file, number }) = known.under_way.take() {
            known.found.insert(number, durable[file] == number);
        }
        Ok(known.session)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The work of a writer's process: prints each change when it begins and when it is durable, until something fails.
pub(crate) fn write(number: u64, session: u64, root: &Path) -> io::Result<()> {
    for count in 0.. {
        let version = Version::of(session << SESSION_SHIFT | count);
        println!("{BEGUN} {}", version.number);
        Versions::of(root, number, version.file).replace(version.number)?;
        println!("{DURABLE} {}", version.number);
    }
    Ok(())
}
