//! A value that only one thread at a time uses.
//!
//! The core is used by one thread at a time, and its futures borrow from the filesystem; neither can be sent to another thread.
//! With a [`Monitor`], each thread runs its own operations: it enters, polls its operation, leaves while the operation waits, and
//! enters again when it is woken.
//!
//! ```text
//!  caller A:  enter - poll: pending - leave     wait ...woken     enter - poll: ready - leave
//!  caller B:                              enter - poll: ready - leave
//! ```
//!
//! **The rule** on which all `unsafe` in this module rests: *what was made inside is touched only inside*. The value is made
//! inside; so are the futures that borrow from it, which are polled and dropped inside. What crosses is `Send`: closures and what
//! they capture, results, and wakers. So when one thread follows another, for everything inside this is as if it had been sent
//! from one to the other as a whole, with nothing left behind.
//!
//! Two things that the compiler doesn't see are left to the user: nothing inside may be shared with a thread's own statics
//! (`thread_local!`), nor be bound to the thread that made it, like the guard of a lock.

use core::cell::UnsafeCell;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use lock_api::RawMutexFair;

/// A value that only one thread at a time uses. `L` is the kind of its lock.
///
/// The lock is fair: a thread that waits for it gets it next, so a thread that comes again and again, for example to read
/// requests, keeps no other out. A thread that is inside must not enter again: it would wait for itself.
pub struct Monitor<L, T> {
    lock: L,
    value: UnsafeCell<T>,
}

// SAFETY: by the rule, only the holder of the lock touches the value and what was made from it; what goes in or out is `Send`.
unsafe impl<L: RawMutexFair + Sync, T> Sync for Monitor<L, T> {}

// SAFETY: only the owner of the monitor can enter it: the value moves together with everything that shares anything with it.
unsafe impl<L: RawMutexFair + Send, T> Send for Monitor<L, T> {}

/// A thread that runs an operation.
pub trait Caller {
    /// Wakes it, from any thread.
    fn waker(&self) -> &Waker;

    /// Waits, outside the monitor, until it was woken since the last wait. It may also return without that.
    fn wait(&self);
}

impl<L: RawMutexFair, T> Monitor<L, T> {
    /// Makes a monitor around what `make` makes.
    pub fn try_new<E: Send>(make: impl FnOnce() -> Result<T, E> + Send) -> Result<Self, E> {
        Ok(Self { lock: L::INIT, value: UnsafeCell::new(make()?) })
    }

    /// Runs `work` inside. It must not wait for a thread that would have to enter.
    pub fn enter<R: Send>(&self, work: impl FnOnce(&T) -> R + Send) -> R {
        // SAFETY: the reference ends with `work`, while the lock is held; nothing but `Send` goes in or out.
        unsafe { self.inside(work) }
    }

    /// Runs an operation: it is inside while it is polled, and outside while it waits.
    pub fn run<R: Send>(&self, caller: &impl Caller, operation: impl AsyncFnOnce(&T) -> R + Send) -> R {
        let mut operation = Some(operation);
        // SAFETY: the future is made, polled and dropped by `Operation`, inside; what it is made of is `Send` or was made inside.
        let mut running = Operation { monitor: self, future: None };
        loop {
            // SAFETY: the reference goes into the future, which is touched inside only, and doesn't outlive the monitor: it is
            // dropped with `running` at the latest.
            let polled = unsafe {
                self.inside(|value| {
                    if let Some(operation) = operation.take() {
                        running.future = Some(operation(value));
                    }
                    running.poll(caller.waker())
                })
            };
            match polled {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => caller.wait(),
            }
        }
    }

    /// Runs `work` with the lock held; the lock is released even if it panics.
    ///
    /// # Safety
    /// What `work` makes from the value, or takes from it, is touched and dropped inside only.
    unsafe fn inside<'m, R>(&'m self, work: impl FnOnce(&'m T) -> R) -> R {
        let _held = Held::new(&self.lock);
        // SAFETY: the lock is held, and meanwhile no other thread may use a reference to the value; there is never a mutable one.
        work(unsafe { &*self.value.get() })
    }
}

/// Holds the lock.
struct Held<'m, L: RawMutexFair>(&'m L);

impl<'m, L: RawMutexFair> Held<'m, L> {
    fn new(lock: &'m L) -> Self {
        lock.lock();
        Self(lock)
    }
}

impl<L: RawMutexFair> Drop for Held<'_, L> {
    fn drop(&mut self) {
        // SAFETY: it was locked when this was made, by the same thread: this isn't `Send`, as `inside` keeps it to itself.
        unsafe { self.0.unlock_fair() };
    }
}

/// An operation under way. Its future stays in place, and is dropped inside, whatever happens.
struct Operation<'m, L: RawMutexFair, T, F> {
    monitor: &'m Monitor<L, T>,
    future: Option<F>,
}

impl<L: RawMutexFair, T, F: Future> Operation<'_, L, T, F> {
    /// Polls it inside; when it is done, it is dropped there.
    fn poll(&mut self, waker: &Waker) -> Poll<F::Output> {
        // SAFETY: this lives in the frame of `run` until it is dropped, and nothing moves the future out of it.
        let mut future = unsafe { Pin::new_unchecked(&mut self.future) };
        let Some(running) = future.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = running.poll(&mut Context::from_waker(waker));
        if polled.is_ready() {
            future.set(None);
        }
        polled
    }
}

impl<L: RawMutexFair, T, F> Drop for Operation<'_, L, T, F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            let Self { monitor, future } = self;
            // SAFETY: this runs during a panic. The future is dropped in place, inside.
            unsafe { monitor.inside(|_| *future = None) };
        }
    }
}

#[cfg(test)]
mod tests;
