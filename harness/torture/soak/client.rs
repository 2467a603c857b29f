//! A client: works on a directory of its own, and knows its expected content, also after a crash.
//! It keeps the state of its last acknowledged sync and every step since. After a crash the directory must be in that state with
//! the first few of these steps done, in order and none left out, as a commit covers everything. Only a write may be there in
//! part: the kernel is free to pass it on in pieces of whole pages.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hammer2_model::{Model, Node, Step, bytes};
use hammer2_torture::failure::{Failure, Result};
use rustix::fs::Advice;

use crate::dice::{Act, Dice};
use crate::latency::{Class, Latencies};
use crate::perform::perform;
use crate::tree;

const PAGE_BYTES: u64 = 4096;

/// The orders to the clients, and their counts.
#[derive(Default)]
pub(crate) struct Direction {
    /// Clients are to stop after the current act.
    pub(crate) stop: AtomicBool,
    /// From here on the server may be gone: errors are no violations, and a client that gets one stops.
    pub(crate) dying: AtomicBool,
    pub(crate) latencies: Mutex<Latencies>,
    /// The number of all clients' acts, and of acknowledged syncs.
    pub(crate) acts: AtomicU64,
    pub(crate) syncs: AtomicU64,
    /// The longest pause between acts, in microseconds.
    pub(crate) pause_us: u64,
}

/// One client.
pub(crate) struct Client {
    home: String,
    dice: Dice,
    /// The state of its last sync.
    durable: Model,
    /// Its steps since.
    since: Vec<Step>,
    current: Model,
}

/// Lets a client work until it is told to stop, or the server is gone. It is only unlocked between two acts.
pub(crate) fn work(client: &Mutex<Client>, root: &Path, direction: &Direction) -> Result<()> {
    while !direction.stop.load(Ordering::Relaxed) {
        let mut locked = lock(client);
        let is_served = locked.act(root, direction)?;
        let pause = Duration::from_micros(locked.dice.pause_us(direction.pause_us));
        drop(locked);
        if !is_served {
            break;
        }
        sleep(pause);
    }
    Ok(())
}

/// The client, between two acts.
pub(crate) fn lock(client: &Mutex<Client>) -> MutexGuard<'_, Client> {
    client.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of a comparison: how many of the steps since the last sync were there, of how many.
pub(crate) struct Compared {
    pub(crate) kept: usize,
    pub(crate) of: usize,
}

impl Client {
    pub(crate) fn new(number: usize, seed: u64) -> Self {
        let home = format!("client{number}");
        let dice = Dice::new(seed, &home);
        Self { home, dice, durable: Model::new(), since: Vec::new(), current: Model::new() }
    }

    /// Does one act; false when the server is gone.
    fn act(&mut self, root: &Path, direction: &Direction) -> Result<bool> {
        let done = if self.current.find(&self.home).is_none() {
            self.change(root, &Step::Mkdir(self.home.clone()), direction)
        } else {
            match self.dice.act(&self.current) {
                Act::Change(step) => self.change(root, &step, direction),
                Act::Read { path, offset, len, cold } => self.read(root, &path, (offset, len), cold, direction),
                Act::List(path) => self.list(root, &path, direction),
                Act::Stat(path) => self.stat(root, &path, direction),
            }
        };
        direction.acts.fetch_add(1, Ordering::Relaxed);
        match done {
            Err(_) if direction.dying.load(Ordering::SeqCst) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Notes that everything is durable.
    pub(crate) fn is_synced(&mut self) {
        for step in self.since.drain(..) {
            step.apply(&mut self.durable);
        }
    }

    /// Its current state, to be compared with a snapshot later.
    pub(crate) fn state(&self) -> Model {
        self.current.clone()
    }

    /// Its directory.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// Compares all of its directory. After a crash, the client goes on from the state since the last sync that it finds.
    pub(crate) fn compare(&mut self, root: &Path) -> Result<Compared> {
        let found = tree::read(root, &self.home)
            .map_err(|error| Failure::violation(format_args!("{} can't be read: {error}", self.home)))?;
        let of = self.since.len();
        let mut state = self.durable.clone();
        let mut newest = None;
        let mut differences = Vec::new();
        for kept in 0..=of {
            if kept > 0 {
                self.since[kept - 1].apply(&mut state);
            }
            match tree::difference(&found, &state) {
                None => newest = Some((kept, state.clone())),
                Some(difference) => differences.push(difference),
            }
            let torn = self.since.get(kept).and_then(|next| torn(next, &state, &found));
            if let Some(torn) = torn {
                newest = Some((kept, torn));
            }
        }
        let Some((kept, state)) = newest else {
            let steps: Vec<_> = self.since.iter().map(shown).collect();
            return Err(Failure::violation(format_args!(
                "{} is in no state since its last sync; the steps were {steps:?}, the differences {differences:#?}",
                self.home
            )));
        };
        (self.durable, self.current) = (state.clone(), state);
        self.since.clear();
        Ok(Compared { kept, of })
    }

    /// Compares all of its directory with exactly its current state.
    pub(crate) fn compare_exactly(&mut self, root: &Path) -> Result<()> {
        let compared = self.compare(root)?;
        if compared.kept == compared.of {
            return Ok(());
        }
        let lost = compared.of - compared.kept;
        Err(Failure::violation(format_args!("{}: {lost} steps are missing although nothing crashed", self.home)))
    }

    fn failed(&self, what: impl std::fmt::Display) -> Failure {
        Failure::violation(format_args!("{}: {what}", self.home))
    }

    fn change(&mut self, root: &Path, step: &Step, direction: &Direction) -> Result<()> {
        let is_possible = step.apply(&mut self.current);
        if is_possible && !matches!(step, Step::Fsync(_)) {
            self.since.push(step.clone());
        }
        let class = match step {
            Step::Write(..) => Class::Write,
            Step::Fsync(_) => Class::Sync,
            _ => Class::Change,
        };
        let start = Instant::now();
        let done = perform(step, root);
        note(direction, class, start);
        match (is_possible, done) {
            (true, Ok(())) => {}
            (true, Err(error)) => return Err(self.failed(format_args!("{}: {error}", shown(step)))),
            (false, Ok(())) => return Err(self.failed(format_args!("{} should fail", shown(step)))),
            (false, Err(error)) if is_trouble(&error) => {
                return Err(self.failed(format_args!("{}: {error}", shown(step))));
            }
            (false, Err(_)) => {}
        }
        if matches!(step, Step::Fsync(_)) && is_possible {
            direction.syncs.fetch_add(1, Ordering::Relaxed);
            self.is_synced();
        }
        Ok(())
    }

    fn read(&self, root: &Path, path: &str, range: (u64, usize), cold: bool, direction: &Direction) -> Result<()> {
        let content = self.current.content(path).expect("a file of the model");
        let (start, mut found) = (Instant::now(), vec![0; range.1]);
        let mut read = || -> io::Result<usize> {
            let file = File::open(root.join(path))?;
            if cold {
                rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
            }
            file.read_at(&mut found, range.0)
        };
        let len = read().map_err(|error| self.failed(format_args!("read {path}: {error}")))?;
        note(direction, Class::Read, start);
        let expected = &content[(range.0 as usize).min(content.len())..];
        let expected = &expected[..range.1.min(expected.len())];
        if found[..len] == *expected {
            return Ok(());
        }
        let first = found[..len].iter().zip(expected).position(|(found, expected)| found != expected);
        let wanted = expected.len();
        Err(self.failed(format_args!("{path} at {}: {len} bytes of {wanted} read, first other {first:?}", range.0)))
    }

    fn list(&self, root: &Path, path: &str, direction: &Direction) -> Result<()> {
        let start = Instant::now();
        let mut found =
            tree::names(&root.join(path)).map_err(|error| self.failed(format_args!("list {path}: {error}")))?;
        note(direction, Class::Look, start);
        found.sort();
        match self.current.find(path).and_then(|number| self.current.get(number)) {
            Some(Node::Directory(entries)) if entries.keys().eq(&found) => Ok(()),
            _ => Err(self.failed(format_args!("{path} lists {found:?}"))),
        }
    }

    fn stat(&self, root: &Path, path: &str, direction: &Direction) -> Result<()> {
        let (at, start) = (root.join(path), Instant::now());
        let facts = fs::symlink_metadata(at).map_err(|error| self.failed(format_args!("stat {path}: {error}")))?;
        note(direction, Class::Look, start);
        match self.current.find(path).and_then(|number| self.current.get(number)) {
            Some(Node::File { content, links })
                if (facts.is_file(), facts.len(), facts.nlink()) == (true, content.len() as u64, *links) =>
            {
                Ok(())
            }
            _ => Err(self.failed(format_args!("{path} has {} bytes and {} links", facts.len(), facts.nlink()))),
        }
    }
}

/// The state after the first whole pages of a write, if that is what is there.
fn torn(step: &Step, state: &Model, found: &Model) -> Option<Model> {
    let Step::Write(path, offset, len, kind) = step else { return None };
    let there = found.content(path)?.get(*offset as usize..)?;
    let same = there.iter().zip(bytes(*offset, *len, *kind)).take_while(|(there, written)| *there == written).count();
    let end = (*offset + same as u64) / PAGE_BYTES * PAGE_BYTES;
    let part = end.checked_sub(*offset).filter(|part| *part > 0)?;
    let mut state = state.clone();
    Step::Write(path.clone(), *offset, part as usize, *kind).apply(&mut state);
    tree::difference(found, &state).is_none().then_some(state)
}

fn note(direction: &Direction, class: Class, start: Instant) {
    direction.latencies.lock().unwrap_or_else(PoisonError::into_inner).note(class, start.elapsed());
}

/// True for an error that isn't about the request.
fn is_trouble(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    [Errno::IO, Errno::NOMEM, Errno::NOSPC, Errno::NOTCONN, Errno::CONNABORTED, Errno::ROFS].into_iter().any(is)
}

/// A step in a line.
fn shown(step: &Step) -> String {
    let mut text = format!("{step:?}");
    text.truncate(text.floor_char_boundary(200));
    text
}
