//! The host's time.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant as HostInstant;

use hammer2_core::io::{Clock, Duration, Instant};
use rustix::time::{ClockId, clock_gettime};

/// The time left until `end`, for a wait that must not be longer; fails with `TimedOut` when it is over.
pub fn time_left(end: HostInstant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(HostInstant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// The present, by the clock that goes on while the machine sleeps: a permission may have ended by the time it wakes.
pub(crate) fn since_boot() -> Instant {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative.
    let since = Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default());
    Instant { nanoseconds: 0 }.after(since)
}

/// The host's monotonic clock, which goes on in sleep. The [executors](crate::executor) ring its alarms: when one of them is
/// about to wait, or at the time that it waited for.
#[derive(Default)]
pub struct HostClock {
    /// One alarm for each waker, the earliest it asked for.
    alarms: Mutex<Vec<(Instant, Waker)>>,
}

impl HostClock {
    /// A clock without an alarm.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that lives as long as the process.
    pub fn leaked() -> &'static Self {
        Box::leak(Box::new(Self::new()))
    }

    /// Waits, in a task of an executor.
    pub async fn sleep(&self, period: Duration) {
        let end = self.now().after(period);
        poll_fn(|cx| {
            if self.now() >= end {
                return Poll::Ready(());
            }
            self.wake_at(end, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// When the next alarm rings.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(at, _)| *at).min()
    }

    /// Rings the alarms that are due, and returns the time to the next.
    pub(crate) fn ring(&self) -> Option<Duration> {
        let now = self.now();
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<_> = alarms.extract_if(.., |(at, _)| *at <= now).collect();
        let next = alarms.iter().map(|(at, _)| at.nanoseconds - now.nanoseconds).min();
        drop(alarms);
        for (_, waker) in due {
            waker.wake();
        }
        next.map(Duration::from_nanos)
    }
}

impl Clock for HostClock {
    fn now(&self) -> Instant {
        since_boot()
    }

    fn wake_at(&self, at: Instant, waker: &Waker) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        match alarms.iter_mut().find(|(_, known)| known.will_wake(waker)) {
            Some((known_at, _)) => *known_at = at.min(*known_at),
            None => alarms.push((at, waker.clone())),
        }
    }
}
