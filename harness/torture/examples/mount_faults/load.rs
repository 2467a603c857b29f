//! The load: writers that replace files and append to a log, have each durable before the next, and compare all they know of.
//!
//! What a writer was told is durable is kept here, beside the mount; it must be there whatever becomes of disks, servers and
//! the mount itself.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use hammer2_core::random::Random;
use rustix::fs::Advice;

const WRITERS: u64 = 2;
const FILES: usize = 12;
const SIZES: [usize; 6] = [10, 600, 5_000, 65_536, 70_000, 200_000];
/// Changes between two comparisons of everything.
const COMPARE_EVERY: u64 = 24;
/// How long the load may take for what is asked of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a writer was told, and what it was about to do.
#[derive(Default)]
struct Known {
    /// Versions of its files that are durable, 0 for none.
    versions: [u64; FILES],
    /// A file and the version that may be there instead.
    underway: Option<(usize, u64)>,
}

struct Writer {
    number: u64,
    known: Mutex<Known>,
    /// Changes that were durable.
    done: AtomicU64,
    /// The longest wait for one since it was last asked, in milliseconds.
    slowest_milliseconds: AtomicU64,
}

/// Writers, running or not.
pub(crate) struct Load {
    writers: Vec<Arc<Writer>>,
    running: Vec<JoinHandle<io::Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn new() -> Self {
        let writer = |number| Writer {
            number,
            known: Mutex::default(),
            done: AtomicU64::new(0),
            slowest_milliseconds: AtomicU64::new(0),
        };
        let writers = (0..WRITERS).map(|number| Arc::new(writer(number))).collect();
        Self { writers, running: Vec::new(), stop: Arc::default() }
    }

    /// Compares what there is, and writes on.
    pub(crate) fn start(&mut self, root: &Path) -> Result<(), Box<dyn Error>> {
        self.stop = Arc::default();
        for writer in &self.writers {
            writer.compare(root)?;
        }
        for writer in &self.writers {
            let (writer, root, stop) = (writer.clone(), root.to_owned(), self.stop.clone());
            self.running.push(thread::spawn(move || writer.write(&root, &stop)));
        }
        self.wait_for_changes(8)
    }

    /// Does so as soon as changes can be made again, and how long that took.
    pub(crate) fn start_when_possible(&mut self, root: &Path) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        loop {
            let started = self.start(root);
            if started.is_ok() || start.elapsed() > PATIENCE {
                return started.map(|()| start.elapsed());
            }
            let _ = self.stop();
            sleep(Duration::from_millis(100));
        }
    }

    /// Changes that are durable by now.
    pub(crate) fn changes(&self) -> u64 {
        self.writers.iter().map(|writer| writer.done.load(Ordering::Relaxed)).sum()
    }

    /// Waits until every writer has made so many changes durable from now on.
    pub(crate) fn wait_for_changes(&mut self, more: u64) -> Result<(), Box<dyn Error>> {
        let writers = self.writers.clone();
        let now = || writers.iter().map(|writer| writer.done.load(Ordering::Relaxed));
        let wanted: Vec<u64> = now().map(|done| done + more).collect();
        let start = Instant::now();
        while now().zip(&wanted).any(|(done, wanted)| done < *wanted) {
            if self.running.iter().any(JoinHandle::is_finished) {
                self.stop()?;
                return Err("a writer has ended by itself".into());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("no {more} changes in {} s", PATIENCE.as_secs()).into());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until no writer writes any more, as an error has stopped each.
    pub(crate) fn wait_until_refused(&mut self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        while !self.running.iter().all(JoinHandle::is_finished) {
            if start.elapsed() > PATIENCE {
                return Err("writes go on".into());
            }
            sleep(Duration::from_millis(5));
        }
        match self.stop() {
            Ok(()) => Err("writes ended without an error".into()),
            Err(_) => Ok(()),
        }
    }

    /// Ends the writers; fails if one of them has met an error.
    pub(crate) fn stop(&mut self) -> Result<(), Box<dyn Error>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = Ok(());
        for thread in self.running.drain(..) {
            let ended = thread.join().map_err(|_| io::Error::other("a writer has panicked"))?;
            outcome = outcome.and(ended);
        }
        Ok(outcome?)
    }

    /// Everything that is known is there.
    pub(crate) fn compare(&self, root: &Path) -> Result<(), Box<dyn Error>> {
        Ok(self.writers.iter().try_for_each(|writer| writer.compare(root))?)
    }

    /// The longest wait for a durable change since this was last asked.
    pub(crate) fn slowest(&self) -> Duration {
        let of = |writer: &Arc<Writer>| writer.slowest_milliseconds.swap(0, Ordering::Relaxed);
        Duration::from_millis(self.writers.iter().map(of).max().unwrap_or(0))
    }
}

impl Writer {
    fn directory(&self, root: &Path) -> PathBuf {
        root.join(format!("writer{}", self.number))
    }

    fn write(&self, root: &Path, stop: &AtomicBool) -> io::Result<()> {
        let directory = self.directory(root);
        fs::create_dir_all(&directory)?;
        let mut changes = 0;
        while !stop.load(Ordering::Relaxed) {
            let file = changes as usize % FILES;
            let start = Instant::now();
            self.replace(&directory, file)?;
            let milliseconds = start.elapsed().as_millis() as u64;
            self.slowest_milliseconds.fetch_max(milliseconds, Ordering::Relaxed);
            self.done.fetch_add(1, Ordering::Relaxed);
            changes += 1;
            if changes % COMPARE_EVERY == 0 {
                self.compare(root)?;
            }
        }
        Ok(())
    }

    /// Replaces a file by its next version, durably.
    fn replace(&self, directory: &Path, file: usize) -> io::Result<()> {
        let version = self.known.lock().unwrap().versions[file] + 1;
        self.known.lock().unwrap().underway = Some((file, version));
        let new = directory.join("new");
        write_durably(&new, &self.content(file, version))?;
        fs::rename(&new, directory.join(format!("file{file}")))?;
        File::open(directory)?.sync_all()?;
        let mut known = self.known.lock().unwrap();
        known.versions[file] = version;
        known.underway = None;
        Ok(())
    }

    /// Bytes that tell where they belong; half of them compress.
    fn content(&self, file: usize, version: u64) -> Vec<u8> {
        let mut random = Random::new(self.number << 48 | (file as u64) << 32 | version);
        let mut byte = || match random.index(512) {
            letter @ 0..=255 => letter as u8,
            _ => 7,
        };
        std::iter::repeat_with(&mut byte).take(SIZES[version as usize % SIZES.len()]).collect()
    }

    /// Compares what is there with what is known; what was under way at an error is known from then on.
    fn compare(&self, root: &Path) -> io::Result<()> {
        let directory = self.directory(root);
        let mut known = self.known.lock().unwrap();
        for file in 0..FILES {
            let path = directory.join(format!("file{file}"));
            let found = match read_anew(&path) {
                Ok(found) => Some(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let is = |version: u64| match &found {
                Some(found) => version > 0 && *found == self.content(file, version),
                None => version == 0,
            };
            let underway = known.underway.filter(|(which, _)| *which == file).map(|(_, version)| version);
            let version = [Some(known.versions[file]), underway].into_iter().flatten().find(|version| is(*version));
            let Some(version) = version else {
                let bytes = found.map(|found| found.len());
                let wanted = known.versions[file];
                return Err(io::Error::other(format!(
                    "{} is neither version {wanted} nor {underway:?}: {bytes:?} bytes",
                    path.display()
                )));
            };
            known.versions[file] = version;
        }
        known.underway = None;
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Reads a file from the mount's server, not from what the host has of it in memory.
pub(crate) fn read_anew(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// Makes a file and has it durable.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}
