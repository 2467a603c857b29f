//! Tasks that wait for the same thing.

use core::cell::RefCell;
use core::task::Waker;

/// How many tasks can wait without being polled needlessly.
const REMEMBERED: usize = 16;

/// A set of wakers of bounded size. A task that finds it full is woken at once, so it polls again instead of waiting:
/// slower, never lost.
#[derive(Default)]
pub struct Wakers {
    waiting: RefCell<heapless::Vec<Waker, REMEMBERED>>,
}

impl Wakers {
    /// Adds a task, to be woken by the next [`wake_all`](Self::wake_all).
    pub fn register(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if let Err(waker) = waiting.push(waker.clone()) {
            waker.wake();
        }
    }

    /// Wakes and forgets all.
    pub fn wake_all(&self) {
        let waiting = core::mem::take(&mut *self.waiting.borrow_mut());
        for waker in waiting {
            waker.wake();
        }
    }
}
