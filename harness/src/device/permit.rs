//! Until when a device may be changed, as the threads see it that change it.

use std::sync::atomic::{AtomicU64, Ordering};

use hammer2_core::io::{DeviceError, Instant, Operation, Request};

use crate::clock;

/// How long changes may be begun. Whoever asked for one had permission; who does it may have been asleep since, or have waited.
pub(super) struct Permit {
    /// By the clock of all disks of the process.
    until_nanoseconds: AtomicU64,
}

impl Permit {
    /// Without an end.
    pub(super) const fn always() -> Self {
        Self { until_nanoseconds: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn set(&self, until: Option<Instant>) {
        self.until_nanoseconds.store(until.map_or(u64::MAX, |until| until.nanoseconds), Ordering::Relaxed);
    }

    /// Refuses a change that comes too late: to be asked right before it is done.
    pub(super) fn check(&self, request: &Request) -> Result<(), DeviceError> {
        let changes = matches!(request.operation, Operation::Write(_) | Operation::Discard { .. });
        let until = self.until_nanoseconds.load(Ordering::Relaxed);
        if changes && clock::now().nanoseconds >= until {
            return Err(DeviceError::Gone);
        }
        Ok(())
    }
}
