//! The core's own suite on this machine.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use hammer2_core::io::{Clock, Disk};
use hammer2_core::memory::{Heap, Vec};
use hammer2_core::selftest::{Environment, Failure, Meter};
use hammer2_kmod_shim::budget::Budget;
use hammer2_kmod_shim::executor::Executor;

use super::all_disks;
use crate::platform::{MEMORY, Platform};
use crate::println;

/// Rounds of the cases that do random work: an emulated machine is slow.
const ROUNDS: u64 = 40;
const SEED: u64 = 1;

/// The memory of what the cases test.
static METERED: Budget<Heap> = Budget::new(MEMORY, usize::MAX);

/// The machine as the cases see it.
pub(super) struct Machine<'p>(pub(super) &'p Platform);

impl Environment for Machine<'_> {
    fn heap(&self) -> Heap {
        MEMORY
    }

    fn meter(&self) -> &'static dyn Meter {
        &METERED
    }

    fn clock(&self) -> &'static dyn Clock {
        self.0.timer
    }

    fn scratch_disks(&self) -> Result<Vec<Disk>, Failure> {
        all_disks(self.0).map_err(|failure| Failure::new(format_args!("{failure}")))
    }

    fn run(&self, work: Pin<&mut dyn Future<Output = ()>>) {
        match Executor::new(MEMORY) {
            Ok(executor) => self.0.run(&executor, work),
            Err(error) => println!("        {error}"),
        }
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        println!("        {line}");
    }

    fn seed(&self) -> u64 {
        SEED
    }

    fn rounds(&self) -> u64 {
        ROUNDS
    }
}
