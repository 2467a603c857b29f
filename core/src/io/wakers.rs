//! Tasks that wait for the same thing.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// How many tasks can wait without being polled needlessly.
const REMEMBERED: usize = 128;

/// A set of wakers of bounded size, woken in the order they came. A task that finds it full is woken at once, so it polls again
/// instead of waiting: slower, never lost.
#[derive(Default)]
pub struct Wakers {
    waiting: RefCell<heapless::Deque<Waker, REMEMBERED>>,
}

impl Wakers {
    /// Adds a task, to be woken by the next [`wake_all`](Self::wake_all).
    pub fn register(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if let Err(waker) = waiting.push_back(waker.clone()) {
            waker.wake();
        }
    }

    /// Waits until something is due; it is looked at again whenever all are woken.
    pub async fn until(&self, mut is_due: impl FnMut() -> bool) {
        poll_fn(|cx| {
            if is_due() {
                return Poll::Ready(());
            }
            self.register(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// The task that has waited longest.
    pub(crate) fn first(&self) -> Option<Waker> {
        self.waiting.borrow().front().cloned()
    }

    /// Wakes and forgets all.
    pub fn wake_all(&self) {
        let count = self.waiting.borrow().len();
        for _ in 0..count {
            let first = self.waiting.borrow_mut().pop_front();
            first.into_iter().for_each(Waker::wake);
        }
    }
}
