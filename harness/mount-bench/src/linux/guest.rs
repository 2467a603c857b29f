//! The part in the guest: mounts a filesystem, does all the work, and prints the cost of each row.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;

use super::measured::{DiskRequests, Filesystem, Measured};
use crate::row::Row;
use crate::workloads::{Scale, Subject};

/// The amounts of work: seconds on an emulated processor.
const SCALE: Scale = Scale {
    stream_bytes: 16 << 20,
    random_bytes: 16 << 20,
    random_operations: 1_000,
    warm_reads: 20_000,
    fsyncs: 100,
    files: 2_000,
    directories: 50,
};

/// How many looks it takes to measure the cost of a look.
const LOOKS: u32 = 5;

/// How many pauses a server may take to mount.
const PAUSES: u32 = 3_000;
const PAUSE: Duration = Duration::from_millis(10);

/// The filesystem to measure, and how to mount it.
pub(crate) struct Guest {
    pub(crate) filesystem: Filesystem,
    pub(crate) directory: PathBuf,
    /// The command that mounts it, or serves it until it is unmounted.
    pub(crate) command: Vec<String>,
    /// True for a command that serves.
    pub(crate) is_server: bool,
}

/// The processor time and disk requests of the guest up to a moment.
#[derive(Clone, Copy)]
struct Reading {
    busy_ns: u64,
    requests: DiskRequests,
}

/// A mounted filesystem.
struct Mounted<'g> {
    guest: &'g Guest,
    server: Option<Child>,
    /// The cost of two looks without work between them.
    looking_ns: u64,
}

/// Measures everything once.
pub(crate) fn run(guest: &Guest) -> io::Result<()> {
    let mut mounted = Mounted { guest, server: None, looking_ns: u64::MAX };
    mounted.mount()?;
    for _ in 0..LOOKS {
        let (before, after) = (Reading::now()?, Reading::now()?);
        mounted.looking_ns = mounted.looking_ns.min(after.busy_ns - before.busy_ns);
    }
    SCALE.all(&mut mounted)?;
    mounted.unmount()
}

impl Mounted<'_> {
    fn mount(&mut self) -> io::Result<()> {
        let directory = &self.guest.directory;
        let [program, arguments @ ..] = &self.guest.command[..] else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut command = Command::new(program);
        command.args(arguments);
        if !self.guest.is_server {
            let status = command.status()?;
            return if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) };
        }
        let before = rustix::fs::stat(directory)?.st_dev;
        self.server = Some(command.spawn()?);
        for _ in 0..PAUSES {
            if rustix::fs::stat(directory)?.st_dev != before {
                return Ok(());
            }
            sleep(PAUSE);
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn unmount(&mut self) -> io::Result<()> {
        rustix::mount::unmount(&self.guest.directory, UnmountFlags::empty())?;
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if server.wait()?.success() { Ok(()) } else { Err(io::Error::other("the server failed")) }
    }
}

impl Subject for Mounted<'_> {
    fn directory(&self) -> PathBuf {
        self.guest.directory.clone()
    }

    fn remount(&mut self) -> io::Result<()> {
        self.unmount()?;
        self.mount()
    }

    /// Some filesystems have caches beside the kernel's.
    fn cool(&mut self, _: &Path) -> io::Result<()> {
        self.remount()
    }

    /// Deferred work is done before a row ends, so that none of it is left when the next one begins.
    fn measure(&mut self, row: Row, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let root = rustix::fs::open(&self.guest.directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        rustix::fs::syncfs(&root)?;
        let before = Reading::now()?;
        work()?;
        if row.is_change() {
            rustix::fs::syncfs(&root)?;
        }
        let after = Reading::now()?;
        let measured = Measured {
            filesystem: self.guest.filesystem,
            row,
            operations: SCALE.operations(row),
            busy_ns: (after.busy_ns - before.busy_ns).saturating_sub(self.looking_ns),
            requests: after.requests.since(before.requests),
        };
        println!("{measured}");
        // The console is slow, and works by interrupts.
        rustix::termios::tcdrain(io::stdout())?;
        Ok(())
    }
}

impl Reading {
    fn now() -> io::Result<Self> {
        let requests = DiskRequests::parse(&fs::read_to_string("/proc/diskstats")?);
        let timers = fs::read_to_string("/proc/timer_list")?;
        let busy_ns = busy_ns(&timers)
            .ok_or_else(|| io::Error::other("/proc/timer_list doesn't say how long the guest slept"))?;
        Ok(Self { busy_ns, requests })
    }
}

impl DiskRequests {
    /// Parses the counts since the start of the machine, of all disks together.
    fn parse(diskstats: &str) -> Self {
        let mut all = Self::default();
        for line in diskstats.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let count = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            all.reads += count(3);
            all.writes += count(7);
            all.flushes += count(18);
        }
        all
    }

    fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            flushes: self.flushes - before.flushes,
        }
    }
}

/// How long a machine of one processor has been busy: the time since its start without its sleep. Interrupts that come while it
/// sleeps don't count as sleep.
fn busy_ns(timer_list: &str) -> Option<u64> {
    let number = |text: &str| text.trim().strip_suffix(" nsecs")?.parse::<u64>().ok();
    let now = timer_list.lines().find_map(|line| number(line.strip_prefix("now at ")?))?;
    let slept = |name: &str| {
        let mut of_processors = timer_list.lines().filter_map(|line| {
            let (found, time) = line.trim_start().split_once(':')?;
            (found.trim_end() == name).then(|| number(time))?
        });
        let slept = of_processors.next()?;
        of_processors.next().is_none().then_some(slept)
    };
    now.checked_sub(slept(".idle_sleeptime")? + slept(".iowait_sleeptime")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: &str = "Timer List Version: v0.9\nHRTIMER_MAX_CLOCK_BASES: 8\nnow at 9000000 nsecs\n\ncpu: 0\n\
                          \x20 .idle_sleeptime : 4000000 nsecs\n  .iowait_sleeptime: 500000 nsecs\njiffies: 4\n";

    #[test]
    fn a_machine_is_busy_when_it_doesnt_sleep() {
        assert_eq!(busy_ns(TIMERS), Some(4_500_000));
    }

    #[test]
    fn of_two_processors_or_none_it_isnt_told() {
        assert_eq!(busy_ns(&format!("{TIMERS}{TIMERS}")), None);
        assert_eq!(busy_ns("now at 9000000 nsecs\n"), None);
    }

    #[test]
    fn requests_of_all_disks_are_counted() {
        let diskstats =
            " 254 0 vda 10 0 80 5 20 0 160 9 0 14 14 0 0 0 0 3 1\n 254 16 vdb 1 0 8 5 2 0 16 9 0 14 14 0 0 0 0 4 1\n";
        assert_eq!(DiskRequests::parse(diskstats), DiskRequests { reads: 11, writes: 22, flushes: 7 });
    }
}
