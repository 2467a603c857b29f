//! Who may be inside at the same time: any number that read, or one that changes something.

use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;

use crate::io::Wakers;

/// Readers or one writer. Writers that wait keep new readers out, so that they get their turn.
#[derive(Default)]
pub(super) struct Gate {
    readers: Cell<u32>,
    writer: Cell<bool>,
    waiting_writers: Cell<u32>,
    changed: Wakers,
}

/// Lets its holder read.
pub(super) struct Reading<'g>(&'g Gate);

/// Lets its holder change things.
pub(super) struct Changing<'g>(&'g Gate);

/// Counts a writer that waits, also when its future is dropped.
struct Waiting<'g>(&'g Gate);

impl Gate {
    pub(super) async fn read(&self) -> Reading<'_> {
        poll_fn(|cx| {
            if self.writer.get() || self.waiting_writers.get() > 0 {
                self.changed.register(cx.waker());
                return Poll::Pending;
            }
            self.readers.set(self.readers.get() + 1);
            Poll::Ready(())
        })
        .await;
        Reading(self)
    }

    pub(super) async fn change(&self) -> Changing<'_> {
        self.waiting_writers.set(self.waiting_writers.get() + 1);
        let waiting = Waiting(self);
        poll_fn(|cx| {
            if self.writer.get() || self.readers.get() > 0 {
                self.changed.register(cx.waker());
                return Poll::Pending;
            }
            self.writer.set(true);
            Poll::Ready(())
        })
        .await;
        drop(waiting);
        Changing(self)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting_writers.set(self.0.waiting_writers.get() - 1);
        self.0.changed.wake_all();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.readers.set(self.0.readers.get() - 1);
        self.0.changed.wake_all();
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.writer.set(false);
        self.0.changed.wake_all();
    }
}
