//! Virtual time: it stands still while any task can go on, and then jumps to the next alarm. So times of disks of a given speed
//! are the same on every machine, and processors take no time at all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hammer2_core::io::{Clock, Instant};

/// A clock that moves when everything waits for it.
#[derive(Default)]
pub struct VirtualClock {
    now: Cell<u64>,
    alarms: RefCell<BTreeSet<u64>>,
}

impl VirtualClock {
    /// Runs a future to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                self.advance();
            }
        }
    }

    fn advance(&self) {
        let mut alarms = self.alarms.borrow_mut();
        let next = alarms.pop_first().expect("somebody waits for something that happens");
        self.now.set(next);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant { nanoseconds: self.now.get() }
    }

    fn wake_at(&self, at: Instant, _: &Waker) {
        if at.nanoseconds > self.now.get() {
            self.alarms.borrow_mut().insert(at.nanoseconds);
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
