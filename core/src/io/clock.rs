//! The clock that a host gives to the core.

use core::task::Waker;

pub use core::time::Duration;

/// A point in time in nanoseconds since an arbitrary start; virtual in the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Nanoseconds since the clock's start.
    pub nanoseconds: u64,
}

impl Instant {
    /// The point `delay` later; the last possible point if that is out of range.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self { nanoseconds: self.nanoseconds.saturating_add(delay) }
    }
}

/// A monotonic clock with an alarm.
pub trait Clock {
    /// The current time.
    fn now(&self) -> Instant;

    /// Wakes `waker` once `at` has come. Alarms are never withdrawn: an early or needless wake is harmless, and a clock may
    /// keep only the earliest alarm of equal wakers.
    fn wake_at(&self, at: Instant, waker: &Waker);
}
