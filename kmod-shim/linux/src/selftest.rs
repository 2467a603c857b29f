//! The suite of the core inside Linux's kernel, on disks in memory: `insmod hammer2.ko selftest=1`. Each case has a line in the
//! kernel's log.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use hammer2_core::io::{Clock, DeviceBox, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::memory::{self, Box, Heap, NoMemory, Vec};
use hammer2_core::selftest::image::SharedDisk;
use hammer2_core::selftest::{Case, Environment, Failure, Meter, SCRATCH_BYTES, cases};
use hammer2_kmod_shim::budget::Budget;
use hammer2_kmod_shim::executor::{Executor, Machine};
use hammer2_kmod_shim::timer::{TickSource as _, Timer};

use crate::heap::Kvmalloc;
use crate::host::{self, Ktime, Mount, Severity, say};

/// The answer when a case has failed.
const EIO: i32 = 5;

/// The number of tasks that can wait for an alarm at the same time.
const ALARMS: usize = 256;

/// The names of the scratch disks.
static SCRATCH_NAMES: [&str; SCRATCH_BYTES.len()] = ["scratch0", "scratch1", "scratch2", "scratch3", "scratch4"];
/// The number of requests that a scratch disk takes at a time.
const QUEUE_DEPTH: u16 = 16;

/// Memory for what cases build; at the end, all of it must have been given back.
static MEMORY: Budget<Kvmalloc> = Budget::new(Kvmalloc, usize::MAX);
/// Memory for what cases test.
static METERED: Budget<Kvmalloc> = Budget::new(Kvmalloc, usize::MAX);
static TIMER_MEMORY: Kvmalloc = Kvmalloc;

/// Runs every case on the mount's stack, without disks and requests, and reports the result.
pub(crate) fn serve(mount: Mount) {
    host::log();
    host::lend_checks();
    let (mut passed, mut failed, mut deepest) = (0, 0, ("", 0));
    for case in cases() {
        let (result, stack_bytes) = run(mount, case);
        match result {
            Ok(()) => passed += 1,
            Err(failure) => {
                failed += 1;
                say(Severity::Error, format_args!("selftest: it has failed because: {}", failure.text()));
            }
        }
        if stack_bytes > deepest.1 {
            deepest = (case.name, stack_bytes);
        }
    }
    let (name, bytes) = deepest;
    say(Severity::Notice, format_args!("selftest: no case takes more of the stack than {bytes} bytes: {name}"));
    say(Severity::Notice, format_args!("selftest: {passed} passed, {failed} failed"));
    mount.opened(if failed == 0 { 0 } else { -EIO });
}

/// Runs a case and prints its line; returns the result, and the bytes of the stack it took.
fn run(mount: Mount, case: &Case) -> (Result<(), Failure>, u64) {
    let started = Ktime.ticks();
    let mut stack_bytes = 0;
    let result = with_timer(|timer| {
        let kernel = Kernel::new(mount, timer)?;
        let before = mount.paint_stack();
        let result = (case.run)(&kernel);
        stack_bytes = mount.stack_depth().max(kernel.deepest.get()).saturating_sub(before);
        result
    });
    let result = result.and_then(|()| match MEMORY.used_bytes() + METERED.used_bytes() {
        0 => Ok(()),
        left => Err(Failure::new(format_args!("{left} bytes of memory were not given back"))),
    });
    let milliseconds = (Ktime.ticks() - started) / 1_000_000;
    let (severity, outcome) = if result.is_ok() { (Severity::Notice, "ok    ") } else { (Severity::Error, "FAILED") };
    let name = case.name;
    say(severity, format_args!("selftest: {outcome} {name} ({milliseconds} ms, {stack_bytes} bytes of the stack)"));
    (result, stack_bytes)
}

/// Runs `work` with a timer of its own, so that dropping the timer frees what unrung alarms hold.
fn with_timer(work: impl FnOnce(&'static Timer<Ktime>) -> Result<(), Failure>) -> Result<(), Failure> {
    let timer = memory::boxed(&TIMER_MEMORY, Timer::new(&TIMER_MEMORY, Ktime, ALARMS)?)?;
    let pointer: *mut Timer<Ktime> = Box::leak(timer);
    // SAFETY: nothing else leads there, and what is made of this reference ends before it is taken back below.
    let result = work(unsafe { &*pointer });
    // SAFETY: it was leaked above; cases leave nothing behind that refers to it.
    drop(unsafe { Box::from_raw_in(pointer, &TIMER_MEMORY as Heap) });
    result
}

/// The environment of a case. Its disks are dropped with it.
struct Kernel {
    mount: Mount,
    timer: &'static Timer<Ktime>,
    disks: Vec<SharedDisk>,
    /// The depth of the stack before a part of the case was measured by itself, which hides what was before.
    deepest: Cell<u64>,
}

impl Kernel {
    fn new(mount: Mount, timer: &'static Timer<Ktime>) -> Result<Self, NoMemory> {
        let mut disks = Vec::new_in(&MEMORY as Heap);
        for bytes in SCRATCH_BYTES {
            memory::push(&mut disks, SharedDisk::new(MemoryDisk::new(&MEMORY, bytes)))?;
        }
        Ok(Self { mount, timer, disks, deepest: Cell::new(0) })
    }

    fn note_depth(&self) -> u64 {
        let depth = self.mount.stack_depth();
        self.deepest.set(self.deepest.get().max(depth));
        depth
    }
}

impl Machine for Kernel {
    fn turn(&self) {
        self.timer.ring_due();
    }

    fn breathe(&self) {
        if self.mount.shall_stop() {
            self.mount.wait(self.mount.events(), 0);
        }
    }

    fn wait(&self, _: &dyn Fn() -> bool) {
        let deadline = self.timer.next_alarm().map_or(u64::MAX, |at| at.nanoseconds);
        self.mount.wait(self.mount.events(), deadline);
    }
}

impl Environment for Kernel {
    fn heap(&self) -> Heap {
        &MEMORY
    }

    fn meter(&self) -> &'static dyn Meter {
        &METERED
    }

    fn clock(&self) -> &'static dyn Clock {
        self.timer
    }

    fn scratch_devices(&self) -> Result<Vec<DeviceBox>, Failure> {
        let mut devices = Vec::new_in(self.heap());
        for (disk, name) in self.disks.iter().zip(&SCRATCH_NAMES) {
            let device = MemoryDevice::new(self.heap(), disk.clone(), name, QUEUE_DEPTH)?;
            memory::push(&mut devices, boxed_device(self.heap(), device)?)?;
        }
        Ok(devices)
    }

    fn run(&self, work: Pin<&mut dyn Future<Output = ()>>) {
        // Without memory for an executor nothing is run, and the case reports that.
        if let Ok(executor) = Executor::new(self.heap()) {
            executor.block_on(self, work);
        }
    }

    fn stack_bytes_of(&self, work: &mut dyn FnMut()) -> Option<usize> {
        self.note_depth();
        let before = self.mount.paint_stack();
        work();
        Some(self.note_depth().saturating_sub(before) as usize)
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        say(Severity::Notice, format_args!("selftest:        {line}"));
    }
}
