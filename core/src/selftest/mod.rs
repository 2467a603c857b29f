//! The self-test suite: one table of cases for `cargo test` on a host and for the kernel in QEMU.
//!
//! A case is a plain function of an [`Environment`]. It knows nothing of where it runs, leaves nothing behind, and does the
//! same for the same seed.

mod cases;
pub mod image;
mod mounted;
pub mod power_cut;
pub mod survey;

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};

use crate::io::{Clock, DeviceBox, Disk, DiskOptions};
use crate::memory::{self, Heap, Vec};

/// What a case runs in.
pub trait Environment {
    /// Memory for what a case builds.
    fn heap(&self) -> Heap;

    /// Memory that can be limited, for what a case tests. Between cases nothing is taken from it.
    fn meter(&self) -> &'static dyn Meter;

    /// The time.
    fn clock(&self) -> &'static dyn Clock;

    /// Devices whose content is of no use to anybody: at least five, each of at least 1 GiB. Nothing is under way on them.
    fn scratch_devices(&self) -> Result<Vec<DeviceBox>, Failure>;

    /// The same as disks.
    fn scratch_disks(&self) -> Result<Vec<Disk>, Failure> {
        let heap = self.heap();
        let mut disks = Vec::new_in(heap);
        for device in self.scratch_devices()? {
            memory::push(&mut disks, Disk::new(heap, device, self.clock(), DiskOptions::default())?)?;
        }
        Ok(disks)
    }

    /// Polls `work` to its end.
    fn run(&self, work: Pin<&mut dyn Future<Output = ()>>);

    /// Does something; how many bytes of the stack that took, where that can be told.
    fn stack_bytes_of(&self, work: &mut dyn FnMut()) -> Option<usize> {
        work();
        None
    }

    /// Says something worth knowing about the case.
    fn log(&self, line: fmt::Arguments<'_>);

    /// Where random numbers begin: in kernels the same in every run, so that a failure comes again.
    fn seed(&self) -> u64 {
        1
    }

    /// How many rounds cases of random work take: in kernels, whose CPU is emulated, fewer than a host does in the same time.
    fn rounds(&self) -> u64 {
        200
    }
}

/// How large scratch devices are where they are made for the suite, in bytes; what isn't written of them need take no room.
pub const SCRATCH_BYTES: [u64; 5] = [2 << 30, 5 << 30, 1 << 30, 1 << 30, 1 << 30];

/// A heap with a limit that counts.
pub trait Meter {
    /// The heap.
    fn heap(&'static self) -> Heap;

    /// Changes the limit.
    fn set_limit_bytes(&self, bytes: usize);

    /// Bytes handed out now.
    fn used_bytes(&self) -> usize;

    /// The most bytes that were handed out at any time.
    fn peak_bytes(&self) -> usize;

    /// Allocations asked for so far.
    fn allocations(&self) -> u64;

    /// Makes allocation number `index` fail, once.
    fn fail_at(&self, index: u64);
}

/// One test.
pub struct Case {
    /// What must hold, in a line.
    pub name: &'static str,
    /// Finds out.
    pub run: fn(&dyn Environment) -> Result<(), Failure>,
}

/// All cases.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    cases::TABLES.iter().copied().flatten()
}

/// What went wrong, as a line.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(heapless::String<FAILURE_BYTES>);

const FAILURE_BYTES: usize = 240;

impl Failure {
    /// A failure that says `what`; more than fits is cut off.
    pub fn new(what: fmt::Arguments<'_>) -> Self {
        let mut text = heapless::String::new();
        let _ = fmt::write(&mut text, what);
        Self(text)
    }

    /// The line.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The same failure, of one of several things.
    #[must_use]
    fn of(self, what: fmt::Arguments<'_>) -> Self {
        Self::new(format_args!("{what}: {}", self.0))
    }
}

// By the text, so that `?` turns every error into a failure. A failure is no error itself.
impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(format_args!("{error}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails with `what` unless `holds`.
fn ensure(holds: bool, what: fmt::Arguments<'_>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(what)) }
}

/// Runs a future to its end.
fn block_on<T>(environment: &dyn Environment, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut result = Err(Failure::new(format_args!("the environment has given up")));
    {
        let work = pin!(async { result = work.await });
        environment.run(work);
    }
    result
}
