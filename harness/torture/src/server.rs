//! The process that serves the mounted cluster: starting, asking, unmounting and killing it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// How long a mount, an answer or an end may take: several deadlines of devices one after the other.
const PATIENCE: Duration = Duration::from_secs(120);

/// The counters of the server.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// All its counters, by name.
    pub counts: Map<String, Value>,
    /// Memory of the mount, in bytes.
    pub memory_bytes: u64,
    /// The most it has had, in bytes.
    pub memory_peak_bytes: u64,
    /// Room on its disks, in bytes.
    pub free_bytes: u64,
    /// The state of the cluster, in the server's words.
    pub cluster: String,
    /// The nodes that take part.
    pub in_sync: Vec<usize>,
}

/// A mounted filesystem and its process.
pub struct Server {
    child: Option<Child>,
    directory: PathBuf,
    log: PathBuf,
    /// How far the log was read.
    seen: usize,
}

impl Server {
    /// Runs `command`, which serves a mount on `directory` in the foreground, and waits until it can be used.
    ///
    /// # Errors
    ///
    /// It can't be run, or ends, or isn't mounted in time.
    pub fn start(mut command: Command, directory: &Path, log: &Path) -> Result<Self> {
        let outside = fs::metadata(directory)?.dev();
        let child = command.stderr(File::create(log)?).spawn()?;
        let mut server = Self { child: Some(child), directory: directory.to_owned(), log: log.to_owned(), seen: 0 };
        let mounted = server.wait_until("it is mounted", |server| {
            Ok(server.has_ended()? || fs::metadata(&server.directory).is_ok_and(|facts| facts.dev() != outside))
        });
        mounted?;
        if server.has_ended()? {
            return Err(Failure::violation(format_args!("it can't be mounted: {}", server.said())));
        }
        Ok(server)
    }

    /// Waits until it logs this text, behind the text of the wait before; returns how long that took.
    ///
    /// # Errors
    /// It ends, or doesn't log it in time.
    pub fn wait_for(&mut self, text: &str) -> Result<Duration> {
        let start = Instant::now();
        self.wait_until(&format!("it says `{text}`"), |server| {
            let said = fs::read_to_string(&server.log)?;
            if let Some(at) = said[server.seen..].find(text) {
                server.seen += at + text.len();
                return Ok(true);
            }
            if server.has_ended()? {
                return Err(Failure::violation(format_args!("it ended before it said `{text}`: {}", server.said())));
            }
            Ok(false)
        })?;
        Ok(start.elapsed())
    }

    /// True if it has logged this by now.
    ///
    /// # Errors
    ///
    /// Its log can't be read.
    pub fn has_said(&self, text: &str) -> Result<bool> {
        Ok(fs::read_to_string(&self.log)?.contains(text))
    }

    /// The current counters.
    ///
    /// # Errors
    /// It has ended, or doesn't print them in time.
    pub fn counters(&mut self) -> Result<Counters> {
        let lines = |server: &Self| {
            fs::read_to_string(&server.log)
                .unwrap_or_default()
                .lines()
                .filter_map(|line| Some(line.split_once("counters: ")?.1.to_owned()))
                .collect::<Vec<_>>()
        };
        let before = lines(self).len();
        self.signal(Signal::USR1)?;
        self.wait_until("it tells its counters", |server| {
            if server.has_ended()? {
                return Err(Failure::violation(format_args!("the server ended: {}", server.said())));
            }
            Ok(lines(server).len() > before)
        })?;
        let line = lines(self).pop().unwrap_or_default();
        Counters::parse(&line).ok_or_else(|| Failure::unusable(format_args!("not understood: {line}")))
    }

    /// The memory of the process, its own pages and those it shares.
    pub fn resident_bytes(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    }

    /// The end of its log, without counters.
    pub fn said(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().filter(|line| !line.contains("counters: ")).collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Unmounts it as users do, and waits for the end of the process.
    ///
    /// # Errors
    /// It can't be unmounted, doesn't end in time, or ends with an error.
    pub fn unmount(mut self) -> Result<()> {
        rustix::mount::unmount(&self.directory, UnmountFlags::empty())
            .map_err(|error| Failure::violation(format_args!("it can't be unmounted: {error}")))?;
        self.wait_until("the server ends", Self::has_ended)?;
        let mut child = self.child.take().expect("a server that was started");
        if child.wait()?.success() {
            return Ok(());
        }
        Err(Failure::violation(format_args!("the server has failed at its end: {}", self.said())))
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    ///
    /// The process can't be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            let start = Instant::now();
            while child.try_wait()?.is_none() && start.elapsed() < PATIENCE {
                sleep(Duration::from_millis(2));
            }
        }
        // If it isn't mounted any more, there is nothing to do.
        let _ = rustix::mount::unmount(&self.directory, UnmountFlags::DETACH);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id().cast_signed()));
        Ok(kill_process(pid.expect("a server that was started"), signal)?)
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some())))
    }

    fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !condition(self)? {
            if start.elapsed() > PATIENCE {
                let said = self.said();
                return Err(Failure::violation(format_args!("waited {PATIENCE:?} until {what}; it said:\n{said}")));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.kill();
        }
    }
}

impl Counters {
    /// Parses the line that SIGUSR1 prints.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split("; ");
        let mut counts = Map::new();
        for count in parts.next()?.split(", ") {
            let (name, value) = count.rsplit_once(' ')?;
            counts.insert(name.to_owned(), value.parse::<u64>().ok()?.into());
        }
        let number = |text: &str| text.split(' ').find_map(|word| word.parse().ok());
        let (used, peak) = parts.next()?.split_once(", at most ")?;
        let free_bytes = number(parts.next()?)?;
        let cluster = parts.collect::<Vec<_>>().join("; ");
        let in_sync = line.split(" is in sync").filter_map(|text| text.rsplit_once(' ')?.1.parse().ok());
        let in_sync = in_sync.take(line.matches(" is in sync").count()).collect();
        let (memory_bytes, memory_peak_bytes) = (number(used)?, number(peak)?);
        Some(Self { counts, memory_bytes, memory_peak_bytes, free_bytes, cluster, in_sync })
    }

    /// One of the counters.
    pub fn get(&self, name: &str) -> u64 {
        self.counts.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_understood() {
        let line = "lookup 5, write 7, bytes read 0, most at once 3, nodes left 1, nodes back 0; memory 100 bytes, at most 200; \
                    4096 bytes are free; cluster degraded, version 1.2, node 0 is in sync, node 1 left the cluster: a, b; c, \
                    node 2 is in sync";
        let counters = Counters::parse(line).unwrap();
        assert_eq!((counters.memory_bytes, counters.memory_peak_bytes, counters.free_bytes), (100, 200, 4096));
        assert_eq!(counters.in_sync, [0, 2]);
        assert_eq!((counters.get("nodes left"), counters.get("write")), (1, 7));
    }
}
