//! The core's clock, on a counter that the kernel reads.

use core::cell::RefCell;
use core::task::Waker;

use hammer2_core::io::{Clock, Instant};
use hammer2_core::memory::{Heap, NoMemory, Vec};

/// A counter that only grows: the TSC, the ARM generic timer, jiffies.
pub trait TickSource {
    /// Ticks since any start.
    fn ticks(&self) -> u64;

    /// Ticks per second. Constant, and not 0.
    fn ticks_per_second(&self) -> u64;
}

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// Fraction bits of [`Timer::nanoseconds_per_tick`].
const FRACTION_BITS: u32 = 32;

struct Alarm {
    at: Instant,
    waker: Waker,
}

/// A [`Clock`] with room for a fixed number of alarms, one for each waker.
/// The kernel calls [`ring_due`](Self::ring_due) once per executor turn, and makes sure that a turn comes at
/// [`next_alarm`](Self::next_alarm) at the latest (a periodic tick does).
pub struct Timer<S> {
    source: S,
    nanoseconds_per_tick: u128,
    alarms: RefCell<Vec<Alarm>>,
    capacity: usize,
}

impl<S: TickSource> Timer<S> {
    /// Makes a timer for at most `capacity` wakers that wait at the same time. Give it one per task: when there are more, the
    /// earliest alarm rings early to make room. That costs nothing if its task is gone, as it often is by then; otherwise the
    /// task sets its alarm again.
    pub fn new(heap: Heap, source: S, capacity: usize) -> Result<Self, NoMemory> {
        let capacity = capacity.max(1);
        let mut alarms = Vec::new_in(heap);
        alarms.try_reserve_exact(capacity).map_err(|_| NoMemory)?;
        let nanoseconds_per_tick = (NANOSECONDS_PER_SECOND << FRACTION_BITS) / u128::from(source.ticks_per_second());
        Ok(Self { source, nanoseconds_per_tick, alarms: RefCell::new(alarms), capacity })
    }

    /// Wakes every task whose time has come.
    pub fn ring_due(&self) {
        if self.alarms.borrow().is_empty() {
            return;
        }
        let now = self.now();
        while let Some(waker) = self.take_due(now) {
            waker.wake();
        }
    }

    /// When the earliest alarm is due.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.alarms.borrow().iter().map(|alarm| alarm.at).min()
    }

    /// Takes out one due alarm, so that no borrow is held while its waker runs.
    fn take_due(&self, now: Instant) -> Option<Waker> {
        let mut alarms = self.alarms.borrow_mut();
        let due = alarms.iter().position(|alarm| alarm.at <= now)?;
        Some(alarms.swap_remove(due).waker)
    }
}

impl<S: TickSource> Clock for Timer<S> {
    fn now(&self) -> Instant {
        let nanoseconds = (u128::from(self.source.ticks()) * self.nanoseconds_per_tick) >> FRACTION_BITS;
        Instant { nanoseconds: u64::try_from(nanoseconds).unwrap_or(u64::MAX) }
    }

    fn wake_at(&self, at: Instant, waker: &Waker) {
        let mut alarms = self.alarms.borrow_mut();
        if let Some(known) = alarms.iter_mut().find(|alarm| alarm.waker.will_wake(waker)) {
            known.at = known.at.min(at);
            return;
        }
        let alarm = Alarm { at, waker: waker.clone() };
        if alarms.len() < self.capacity {
            alarms.push(alarm);
            return;
        }
        let Some(earliest) = alarms.iter_mut().min_by_key(|alarm| alarm.at) else { return };
        let early = core::mem::replace(earliest, alarm);
        drop(alarms);
        early.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use hammer2_core::io::Duration;
    use std::sync::Arc;
    use std::task::Wake;

    /// Three ticks a second, so that nanoseconds don't come out even.
    #[derive(Default)]
    struct Thirds(Cell<u64>);

    impl TickSource for &Thirds {
        fn ticks(&self) -> u64 {
            self.0.get()
        }

        fn ticks_per_second(&self) -> u64 {
            3
        }
    }

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn bell() -> (Arc<Bell>, Waker) {
        let bell = Arc::<Bell>::default();
        (bell.clone(), bell.into())
    }

    #[test]
    fn ticks_become_nanoseconds_without_drift() {
        let ticks = Thirds::default();
        let timer = Timer::new(&Global, &ticks, 1).unwrap();
        ticks.0.set(3 * 86_400 * 365);
        let year = Instant { nanoseconds: 0 }.after(Duration::from_secs(86_400 * 365));
        assert!(year.nanoseconds - timer.now().nanoseconds < 10_000_000);
        ticks.0.set(u64::MAX);
        assert_eq!(timer.now().nanoseconds, u64::MAX);
    }

    #[test]
    fn an_alarm_rings_once_and_at_the_earliest_time_asked_for() {
        let ticks = Thirds::default();
        let timer = Timer::new(&Global, &ticks, 2).unwrap();
        let (bell, waker) = bell();
        let at = |seconds: u64| Instant { nanoseconds: seconds * 1_000_000_000 };
        timer.wake_at(at(2), &waker);
        timer.wake_at(at(1), &waker);
        timer.wake_at(at(9), &waker);
        assert_eq!(timer.next_alarm(), Some(at(1)));
        timer.ring_due();
        assert_eq!(bell.0.load(Relaxed), 0);
        ticks.0.set(4);
        timer.ring_due();
        timer.ring_due();
        assert_eq!((bell.0.load(Relaxed), timer.next_alarm()), (1, None));
    }

    #[test]
    fn a_full_timer_makes_room_by_ringing_early() {
        let ticks = Thirds::default();
        let timer = Timer::new(&Global, &ticks, 1).unwrap();
        let ((first, one), (second, two)) = (bell(), bell());
        timer.wake_at(Instant { nanoseconds: 5 }, &one);
        timer.wake_at(Instant { nanoseconds: 7 }, &two);
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (1, 0));
        assert_eq!(timer.next_alarm(), Some(Instant { nanoseconds: 7 }));
        ticks.0.set(1);
        timer.ring_due();
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (1, 1));
    }
}
