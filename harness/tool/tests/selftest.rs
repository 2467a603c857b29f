//! Runs the self-test suite on the host, with a line for each case. Arguments choose cases by parts of their names.
//!
//! `H2_SEED` and `H2_ROUNDS` change where random cases begin and how long they go on.

use std::env;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use allocator_api2::alloc::Global;
use hammer2_core::io::{Clock, DeviceBox, boxed_device};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::selftest::{Environment, Failure, Meter, SCRATCH_BYTES, cases};
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, FileDevice};
use hammer2_host::executor::Executor;
use hammer2_kmod_shim::budget::Budget;
use tempfile::TempDir;

const HEAP: Heap = &Global;

static METERED: Budget<Global> = Budget::new(Global, usize::MAX);

struct Host {
    clock: &'static HostClock,
    directory: TempDir,
    seed: u64,
    rounds: u64,
}

impl Host {
    fn new() -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        for (index, bytes) in SCRATCH_BYTES.into_iter().enumerate() {
            File::create(directory.path().join(index.to_string()))?.set_len(bytes)?;
        }
        let number = |name, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let (seed, rounds) = (number("H2_SEED", 1), number("H2_ROUNDS", 500));
        Ok(Self { clock: HostClock::leaked(), directory, seed, rounds })
    }
}

impl Environment for Host {
    fn heap(&self) -> Heap {
        HEAP
    }

    fn meter(&self) -> &'static dyn Meter {
        &METERED
    }

    fn clock(&self) -> &'static dyn Clock {
        self.clock
    }

    fn scratch_devices(&self) -> Result<HeapVec<DeviceBox>, Failure> {
        let mut devices = HeapVec::new_in(HEAP);
        for index in 0..SCRATCH_BYTES.len() {
            let path = self.directory.path().join(index.to_string());
            let device = FileDevice::open(&path, Access::Write)?;
            push(&mut devices, boxed_device(HEAP, device)?)?;
        }
        Ok(devices)
    }

    fn run(&self, work: Pin<&mut dyn Future<Output = ()>>) {
        Executor::new(self.clock).block_on(work);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        println!("        {line}");
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn rounds(&self) -> u64 {
        self.rounds
    }
}

fn main() -> ExitCode {
    let chosen: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let host = match Host::new() {
        Ok(host) => host,
        Err(error) => {
            eprintln!("can't make scratch disks: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for case in cases().filter(|case| chosen.is_empty() || chosen.iter().any(|part| case.name.contains(part.as_str())))
    {
        let start = Instant::now();
        let result = (case.run)(&host);
        let milliseconds = start.elapsed().as_millis();
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok      {} ({milliseconds} ms)", case.name);
            }
            Err(failure) => {
                failed += 1;
                println!("FAILED  {} ({milliseconds} ms): {}", case.name, failure.text());
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
