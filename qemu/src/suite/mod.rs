//! The self-tests: this kernel's own cases and those that run everywhere, one line for each, and the count that scripts/boot
//! looks for.

mod disks;
mod environment;
mod machine;
mod parallel;
mod reading;

use hammer2_core::io::{Clock, Disk, DiskOptions, boxed_device};
use hammer2_core::memory::{self, Vec};
use hammer2_core::selftest::{self, Failure};
use hammer2_kmod_shim::executor::Executor;

use environment::Kernel;

use crate::platform::{BlockDriver, MEMORY, Platform};
use crate::verdict::Verdict;
use crate::{println, stack};

/// A test of the machine.
struct Case {
    name: &'static str,
    run: fn(&Platform) -> Result<(), Failure>,
}

/// The cases of the machine itself: what kmod-shim and this kernel promise to the core.
const TABLES: [&[Case]; 3] = [machine::CASES, disks::CASES, reading::CASES];

/// Runs every case and reports the results.
pub(crate) fn run(platform: &Platform) -> Verdict {
    let mut tally = Tally { platform, passed: 0, failed: 0, deepest: ("", 0) };
    for case in TABLES.iter().copied().flatten() {
        tally.run(case.name, || (case.run)(platform));
    }
    for case in selftest::cases() {
        tally.run(case.name, || (case.run)(&Kernel(platform)));
    }
    tally.verdict()
}

/// Counts cases of both kinds, and prints their lines.
struct Tally<'p> {
    platform: &'p Platform,
    passed: u32,
    failed: u32,
    /// The case that takes most of the stack, and its bytes.
    deepest: (&'static str, usize),
}

impl Tally<'_> {
    fn run(&mut self, name: &'static str, case: impl FnOnce() -> Result<(), Failure>) {
        let start = self.platform.timer.now();
        let (mut case, mut result) = (Some(case), Ok(()));
        let bytes = stack::bytes_of(&mut || result = case.take().map_or(Ok(()), |case| case()));
        if bytes > self.deepest.1 {
            self.deepest = (name, bytes);
        }
        let milliseconds = (self.platform.timer.now().nanoseconds - start.nanoseconds) / 1_000_000;
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name} ({milliseconds} ms)");
            }
            Err(failure) => {
                self.failed += 1;
                println!("FAILED  {name} ({milliseconds} ms): {}", failure.text());
            }
        }
    }

    /// Prints the last line.
    fn verdict(self) -> Verdict {
        let (name, bytes) = self.deepest;
        println!("of the stack, the test itself included, no case takes more than {} KiB: {name}", bytes >> 10);
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { Verdict::Pass } else { Verdict::Fail }
    }
}

/// A device as the core drives it, without anything that the previous case may have left under way.
fn disk(platform: &Platform, driver: &'static BlockDriver) -> Result<Disk, Failure> {
    let disk = Disk::new(MEMORY, boxed_device(MEMORY, driver)?, platform.timer, DiskOptions::default())?;
    platform.run(&Executor::new(MEMORY)?, disk.reset())?;
    Ok(disk)
}

/// The bytes of a disk that the cases use.
const USED_BYTES: u64 = 128 << 20;

/// All devices as the core drives them; an error when there is none, or one can't be written to.
fn all_disks(platform: &Platform) -> Result<Vec<Disk>, Failure> {
    let mut disks = Vec::new_in(MEMORY);
    for driver in &platform.disks {
        memory::push(&mut disks, disk(platform, driver)?)?;
    }
    if disks.is_empty() {
        return Err(Failure::new(format_args!("no virtio disk is attached")));
    }
    match disks.iter().map(Disk::info).find(|info| info.read_only || info.size_bytes < USED_BYTES) {
        Some(info) => Err(Failure::new(format_args!("{}: read-only, or smaller than {USED_BYTES} bytes", info.name))),
        None => Ok(disks),
    }
}
