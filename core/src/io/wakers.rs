//! Tasks that wait for the same thing.

use core::cell::RefCell;
use core::future::poll_fn;
use core::mem;
use core::task::{Poll, Waker};

use crate::memory::{Heap, Vec, push};

/// A set of wakers, woken in the order in which they came. If there is no memory for another, its task is woken at once, so it
/// polls again instead of waiting: slower, but never lost.
pub struct Wakers {
    waiting: RefCell<Vec<Waker>>,
}

impl Wakers {
    /// Makes an empty set. Memory is allocated when a task waits.
    pub fn new(heap: Heap) -> Self {
        Self { waiting: RefCell::new(Vec::new_in(heap)) }
    }

    /// Adds a task, to be woken by the next [`wake_all`](Self::wake_all).
    pub fn register(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if push(&mut waiting, waker.clone()).is_err() {
            waker.wake_by_ref();
        }
    }

    /// Waits until `is_due` returns true; it is asked again whenever all tasks are woken.
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
        self.waiting.borrow().first().cloned()
    }

    /// Wakes and forgets all.
    pub fn wake_all(&self) {
        let mut woken = {
            let mut waiting = self.waiting.borrow_mut();
            let none = Vec::new_in(*waiting.allocator());
            mem::replace(&mut *waiting, none)
        };
        woken.drain(..).for_each(Waker::wake);
        // The memory serves for the next tasks that wait.
        let mut waiting = self.waiting.borrow_mut();
        if waiting.capacity() == 0 {
            *waiting = woken;
        }
    }
}
