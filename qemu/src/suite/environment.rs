//! The environment of the cases that run both on a host and here.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use hammer2_core::io::{Clock, DeviceBox, boxed_device};
use hammer2_core::memory::{self, Heap, Vec};
use hammer2_core::selftest::{Environment, Failure, Meter};
use hammer2_kmod_shim::executor::Executor;

use super::all_disks;
use crate::platform::{MEMORY, METERED, Platform};
use crate::{println, stack};

/// The machine as an environment.
pub(super) struct Kernel<'p>(pub(super) &'p Platform);

impl Environment for Kernel<'_> {
    fn heap(&self) -> Heap {
        MEMORY
    }

    fn meter(&self) -> &'static dyn Meter {
        &METERED
    }

    fn clock(&self) -> &'static dyn Clock {
        self.0.timer
    }

    fn scratch_devices(&self) -> Result<Vec<DeviceBox>, Failure> {
        // They are reset and checked as disks.
        all_disks(self.0)?;
        let mut devices = Vec::new_in(MEMORY);
        for driver in &self.0.disks {
            memory::push(&mut devices, boxed_device(MEMORY, *driver)?)?;
        }
        Ok(devices)
    }

    fn run(&self, work: Pin<&mut dyn Future<Output = ()>>) {
        // Without memory for an executor nothing is run, and the case reports that.
        if let Ok(executor) = Executor::new(MEMORY) {
            self.0.run(&executor, work);
        }
    }

    fn stack_bytes_of(&self, work: &mut dyn FnMut()) -> Option<usize> {
        Some(stack::bytes_of(work))
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        println!("        {line}");
    }
}
