//! The self-tests: a table of cases, a line for each, and the count that scripts/boot looks for.

mod core_cases;
mod disks;
mod machine;

use core::fmt;

use hammer2_core::io::{Clock, DeviceError, Disk, DiskOptions, boxed_device};
use hammer2_core::memory::{self, NoMemory, Vec};
use hammer2_kmod_shim::executor::Executor;

use crate::platform::{BlockDriver, MEMORY, Platform};
use crate::println;
use crate::verdict::Verdict;

/// One test.
struct Case {
    name: &'static str,
    run: fn(&Platform) -> Result<(), Failure>,
}

/// What went wrong, as a line.
struct Failure(heapless::String<200>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failure that says `what`. More than fits is cut off.
fn failure(what: fmt::Arguments<'_>) -> Failure {
    let mut text = heapless::String::new();
    let _ = fmt::write(&mut text, what);
    Failure(text)
}

impl From<NoMemory> for Failure {
    fn from(error: NoMemory) -> Self {
        failure(format_args!("{error}"))
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        failure(format_args!("{error}"))
    }
}

/// The cases of the machine itself: what kmod-shim and this kernel promise to the core.
const TABLES: [&[Case]; 2] = [machine::CASES, disks::CASES];

/// Runs every case and says how it went.
pub(crate) fn run(platform: &Platform) -> Verdict {
    let mut tally = Tally { platform, passed: 0, failed: 0 };
    for case in TABLES.iter().copied().flatten() {
        tally.run(case.name, || (case.run)(platform));
    }
    let machine = core_cases::Machine(platform);
    for case in hammer2_core::selftest::cases() {
        let run = || (case.run)(&machine).map_err(|reason| failure(format_args!("{}", reason.text())));
        tally.run(case.name, run);
    }
    tally.verdict()
}

/// Counts cases, of whatever table, and prints their lines.
struct Tally<'p> {
    platform: &'p Platform,
    passed: u32,
    failed: u32,
}

impl Tally<'_> {
    fn run<E: fmt::Display>(&mut self, name: &str, case: impl FnOnce() -> Result<(), E>) {
        let start = self.platform.timer.now();
        let result = case();
        let milliseconds = (self.platform.timer.now().nanoseconds - start.nanoseconds) / 1_000_000;
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name} ({milliseconds} ms)");
            }
            Err(reason) => {
                self.failed += 1;
                println!("FAILED  {name} ({milliseconds} ms): {reason}");
            }
        }
    }

    /// Prints the last line.
    fn verdict(self) -> Verdict {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { Verdict::Pass } else { Verdict::Fail }
    }
}

/// A device as the core drives it, free of what the case before may have left under way.
fn disk(platform: &Platform, driver: &'static BlockDriver) -> Result<Disk, Failure> {
    let disk = Disk::new(MEMORY, boxed_device(MEMORY, driver)?, platform.timer, DiskOptions::default())?;
    platform.run(&Executor::new(MEMORY)?, disk.reset())?;
    Ok(disk)
}

/// What the cases use of a disk.
const USED_BYTES: u64 = 128 << 20;

/// All devices as the core drives them; an error when there is none, or one can't be written to.
fn all_disks(platform: &Platform) -> Result<Vec<Disk>, Failure> {
    let mut disks = Vec::new_in(MEMORY);
    for driver in &platform.disks {
        memory::push(&mut disks, disk(platform, driver)?)?;
    }
    if disks.is_empty() {
        return Err(failure(format_args!("no virtio disk is attached")));
    }
    match disks.iter().map(Disk::info).find(|info| info.read_only || info.size_bytes < USED_BYTES) {
        Some(info) => Err(failure(format_args!("{}: read-only, or smaller than {USED_BYTES} bytes", info.name))),
        None => Ok(disks),
    }
}
