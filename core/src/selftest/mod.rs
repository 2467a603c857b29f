//! The self-test suite: one table of cases, for `cargo test` on a host and for kernels.
//!
//! A case is a plain function of an [`Environment`]. It doesn't know where it runs, leaves nothing behind, and does the same for
//! the same seed.

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

/// The surroundings of a case.
pub trait Environment {
    /// Memory for what a case builds.
    fn heap(&self) -> Heap;

    /// Memory with a limit, for what a case tests. Between cases none of it is in use.
    fn meter(&self) -> &'static dyn Meter;

    /// The clock.
    fn clock(&self) -> &'static dyn Clock;

    /// Devices whose content nobody needs: at least five, each of at least 1 GiB. No request is under way on them.
    fn scratch_devices(&self) -> Result<Vec<DeviceBox>, Failure>;

    /// The scratch devices as disks.
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

    /// Runs `work`; returns how many bytes of the stack it took, where that can be measured.
    fn stack_bytes_of(&self, work: &mut dyn FnMut()) -> Option<usize> {
        work();
        None
    }

    /// Reports something worth knowing about the case.
    fn log(&self, line: fmt::Arguments<'_>);

    /// The seed of random numbers: in kernels the same in every run, so that a failure can be repeated.
    fn seed(&self) -> u64 {
        1
    }

    /// How many rounds cases of random work take: fewer in kernels, whose CPU is emulated, than a host does in the same time.
    fn rounds(&self) -> u64 {
        200
    }
}

/// The sizes in bytes of scratch devices that are made for the suite; unwritten parts need take no room.
pub const SCRATCH_BYTES: [u64; 5] = [2 << 30, 5 << 30, 1 << 30, 1 << 30, 1 << 30];

/// A heap with a limit, which counts what it hands out.
pub trait Meter {
    /// The heap.
    fn heap(&'static self) -> Heap;

    /// Changes the limit.
    fn set_limit_bytes(&self, bytes: usize);

    /// Bytes handed out now.
    fn used_bytes(&self) -> usize;

    /// The most bytes that were handed out at any time.
    fn peak_bytes(&self) -> usize;

    /// The number of allocations asked for so far.
    fn allocations(&self) -> u64;

    /// Makes allocation number `index` fail, once.
    fn fail_at(&self, index: u64);
}

/// One test.
pub struct Case {
    /// What must hold, in one line.
    pub name: &'static str,
    /// Checks that it holds.
    pub run: fn(&dyn Environment) -> Result<(), Failure>,
}

/// All cases.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    cases::TABLES.iter().copied().flatten()
}

/// A failure, as one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(heapless::String<FAILURE_BYTES>);

const FAILURE_BYTES: usize = 240;

impl Failure {
    /// A failure with the text `what`, cut off where it doesn't fit.
    pub fn new(what: fmt::Arguments<'_>) -> Self {
        let mut text = heapless::String::new();
        let _ = fmt::write(&mut text, what);
        Self(text)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The same failure, with the name of the thing that it concerns in front.
    #[must_use]
    fn of(self, what: fmt::Arguments<'_>) -> Self {
        Self::new(format_args!("{what}: {}", self.0))
    }
}

// It takes the text, so that `?` turns every error into a failure. A failure is itself no error.
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
