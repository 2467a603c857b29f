//! The load: writers that replace files and append to a log, make each change durable before the next, and compare everything.
//! The changes that were acknowledged as durable are noted here, outside of the mount; they must be there whatever happens to
//! disks, servers and the mount itself.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use hammer2_torture::versions::Versions;

const WRITERS: u64 = 2;
const FILES: usize = 12;
/// How many changes lie between two comparisons of everything.
const COMPARE_EVERY: u64 = 24;
/// How long the load may take for an expected result.
const PATIENCE: Duration = Duration::from_secs(60);

/// A writer's acknowledged changes, and the one under way.
#[derive(Default)]
struct Known {
    /// The durable versions of its files, 0 for none.
    versions: [u64; FILES],
    /// A file and the version that may be there instead.
    underway: Option<(usize, u64)>,
}

struct Writer {
    number: u64,
    known: Mutex<Known>,
    /// How many changes were acknowledged.
    done: AtomicU64,
    /// The longest wait for one since the last call, in milliseconds.
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

    /// Compares everything, and goes on writing.
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

    /// Does so as soon as changes can be made again; returns how long that took.
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

    /// How many changes are durable by now.
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

    /// Waits until an error has stopped every writer.
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

    /// Compares everything with the acknowledged changes.
    pub(crate) fn compare(&self, root: &Path) -> Result<(), Box<dyn Error>> {
        Ok(self.writers.iter().try_for_each(|writer| writer.compare(root))?)
    }

    /// The longest wait for a durable change since the last call.
    pub(crate) fn slowest(&self) -> Duration {
        let of = |writer: &Arc<Writer>| writer.slowest_milliseconds.swap(0, Ordering::Relaxed);
        Duration::from_millis(self.writers.iter().map(of).max().unwrap_or(0))
    }
}

impl Writer {
    fn write(&self, root: &Path, stop: &AtomicBool) -> io::Result<()> {
        let mut changes = 0;
        while !stop.load(Ordering::Relaxed) {
            let file = changes as usize % FILES;
            let start = Instant::now();
            self.replace(root, file)?;
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
    fn replace(&self, root: &Path, file: usize) -> io::Result<()> {
        let version = self.known.lock().unwrap().versions[file] + 1;
        self.known.lock().unwrap().underway = Some((file, version));
        Versions::of(root, self.number, file).replace(version)?;
        let mut known = self.known.lock().unwrap();
        known.versions[file] = version;
        known.underway = None;
        Ok(())
    }

    /// Compares the files with the acknowledged changes; from then on it is known whether the change under way at an error was
    /// made.
    fn compare(&self, root: &Path) -> io::Result<()> {
        let mut known = self.known.lock().unwrap();
        for file in 0..FILES {
            let underway = known.underway.filter(|(which, _)| *which == file).map(|(_, version)| version);
            known.versions[file] = Versions::of(root, self.number, file).find(known.versions[file], underway)?;
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
