//! The load: writers that replace files, each durable before the next, on whichever machine is in service.
//!
//! What a writer was told is durable must be there wherever it is looked at later, and whoever isn't in service any more must
//! not tell anybody that something is durable.
//!
//! Writers are processes of their own. They hang when the server of their mount is stopped, and so would every process that is
//! made of one that has a file open there.

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

/// What a writer says, with the number of a version.
const BEGUN: &str = "begun";
const DURABLE: &str = "durable";
/// The number of a version has that of its session above so many bits.
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

/// What is known of what a writer has done.
#[derive(Default)]
struct Known {
    /// Who is in service: the writers of earlier sessions must be told nothing good any more.
    session: u64,
    /// The versions that are durable, 0 for none.
    durable: [u64; FILES],
    /// What may be there, or not.
    under_way: Option<Version>,
    /// The numbers of what was under way when another session began, and whether that has found it.
    found: BTreeMap<u64, bool>,
    /// Changes that are durable, and when the last became so.
    changes: u64,
    begun: Option<Instant>,
    last_change: Option<Instant>,
    slowest: Duration,
    /// What must not have happened.
    violation: Option<String>,
}

struct Writer {
    number: u64,
    known: Mutex<Known>,
}

/// Writers, and what is known of them.
pub(crate) struct Load {
    writers: Vec<Arc<Writer>>,
    processes: Vec<Child>,
}

impl Load {
    pub(crate) fn new() -> Self {
        let writer = |number| Arc::new(Writer { number, known: Mutex::default() });
        Self { writers: (0..WRITERS).map(writer).collect(), processes: Vec::new() }
    }

    /// From here on this mount is in service: all that is known is compared with what it has, and the writers go on there.
    /// Those that hang elsewhere are left alone until they end.
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

    /// Ends all writers, whatever they are doing.
    pub(crate) fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Everything that is known is there.
    pub(crate) fn compare(&self, root: &Path) -> Result<(), Box<dyn Error>> {
        for writer in &self.writers {
            writer.adopt(root)?;
        }
        self.judge()
    }

    /// Changes of each writer that are durable.
    pub(crate) fn changes(&self) -> Vec<u64> {
        self.writers.iter().map(|writer| writer.known().changes).collect()
    }

    /// True when every writer has made a change durable since a time.
    pub(crate) fn all_since(&self, time: Instant) -> bool {
        self.writers.iter().all(|writer| writer.known().last_change.is_some_and(|last| last > time))
    }

    /// The longest wait for a durable change since this was last asked.
    pub(crate) fn slowest(&self) -> Duration {
        let of = |writer: &Arc<Writer>| std::mem::take(&mut writer.known().slowest);
        self.writers.iter().map(of).max().unwrap_or_default()
    }

    /// Fails if something has happened that must not.
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

    /// Hears what a writer's process has to say, to its end.
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
            // Who was in service before may tell late what it did in time, and nothing else.
            known.violation = Some(format!(
                "writer {} was told that {version:?} is durable, after another machine was in service that doesn't have it",
                self.number
            ));
        }
    }

    /// Begins a session on a mount: compares what is there with what is known. What was under way is known from then on.
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

/// What a process that writes does: says what it begins, and when it is durable, until something fails.
pub(crate) fn write(number: u64, session: u64, root: &Path) -> io::Result<()> {
    for count in 0.. {
        let version = Version::of(session << SESSION_SHIFT | count);
        println!("{BEGUN} {}", version.number);
        Versions::of(root, number, version.file).replace(version.number)?;
        println!("{DURABLE} {}", version.number);
    }
    Ok(())
}
