//! Threads that do requests, for devices whose calls wait.
//!
//! Threads start when there is work that no idle one takes, so a device that is never waited for has none. They are few:
//! beside its small stack, each takes 64 MiB of address space, which the C library reserves for what it may allocate.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use hammer2_core::io::{Completion, DeviceError, Request, Ticket};

/// Requests of a device done in parallel.
pub(super) const MOST_THREADS: usize = 4;

/// Threads of several devices. A device may have its first one beyond the limit, so that a stuck device doesn't stop
/// another.
pub(super) struct ThreadCount {
    limit: usize,
    running: AtomicUsize,
}

impl ThreadCount {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, running: AtomicUsize::new(0) }
    }
}

/// Enough for a system call and a wake.
const STACK_BYTES: usize = 256 << 10;

/// How long a dropped device waits for calls under way, so that whoever opens it next finds it free.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// What requests are done to.
pub(super) trait Target: Send + Sync + 'static {
    /// Does a request. May wait.
    fn execute(&self, request: &mut Request) -> Result<(), DeviceError>;

    /// The device is reset, and nothing is under way.
    fn reset(&self) {}

    /// Nothing is under way and nothing follows.
    fn close(&self);
}

/// The requests of a device and the threads that do them.
pub(super) struct Workers<T: Target> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    count: &'static ThreadCount,
    target: T,
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

struct State {
    queue: VecDeque<(Ticket, Request)>,
    slots: Vec<Slot>,
    threads: usize,
    /// Threads in a call.
    busy: usize,
    /// Calls that began in an earlier era were overtaken by a reset.
    era: u64,
    resetting: Option<Waker>,
    closed: bool,
}

enum Slot {
    Free,
    Waiting(Option<Waker>),
    Done(Completion),
}

impl<T: Target> Workers<T> {
    /// No thread is started yet.
    pub(super) fn new(target: T, queue_depth: u16, count: &'static ThreadCount) -> Self {
        let state = State {
            queue: VecDeque::new(),
            slots: (0..queue_depth).map(|_| Slot::Free).collect(),
            threads: 0,
            busy: 0,
            era: 0,
            resetting: None,
            closed: false,
        };
        let shared = Shared { count, target, state: Mutex::new(state), work: Condvar::new(), idle: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn target(&self) -> &T {
        &self.shared.target
    }

    /// Ends a request without a thread.
    pub(super) fn complete(&self, ticket: Ticket, completion: Completion) {
        self.shared.lock().slots[usize::from(ticket.0)] = Slot::Done(completion);
    }

    pub(super) fn submit(&self, ticket: Ticket, request: Request) {
        let mut state = self.shared.lock();
        state.slots[usize::from(ticket.0)] = Slot::Waiting(None);
        state.queue.push_back((ticket, request));
        let idle = state.threads - state.busy;
        if state.queue.len() > idle && self.shared.may_start_thread(&state) {
            let shared = self.shared.clone();
            match thread::Builder::new().stack_size(STACK_BYTES).spawn(move || shared.work()) {
                Ok(_) => {
                    state.threads += 1;
                    self.shared.count.running.fetch_add(1, Ordering::Relaxed);
                }
                // No memory for any thread: the caller waits itself.
                Err(_) if state.threads == 0 => return self.shared.execute_next(state),
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }

    pub(super) fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let mut state = self.shared.lock();
        let slot = &mut state.slots[usize::from(ticket.0)];
        match std::mem::replace(slot, Slot::Free) {
            Slot::Done(completion) => Poll::Ready(completion),
            Slot::Waiting(_) => {
                *slot = Slot::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            Slot::Free => Poll::Pending,
        }
    }

    /// Ends what hasn't begun, and is ready when nothing is under way any more.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        state.era += 1;
        while let Some((ticket, request)) = state.queue.pop_front() {
            state.finish(ticket, Completion { buffer: request.buffer, result: Err(DeviceError::Gone) });
        }
        if state.busy > 0 {
            state.resetting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.shared.target.reset();
        Poll::Ready(())
    }
}

impl<T: Target> Drop for Workers<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue.clear();
        self.shared.work.notify_all();
        // A call that takes longer is stuck; its thread ends when it returns, if ever.
        let waited = self.shared.idle.wait_timeout_while(state, LAST_CALLS, |state| state.busy > 0);
        if waited.unwrap_or_else(PoisonError::into_inner).0.busy == 0 {
            self.shared.target.close();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Target> Shared<T> {
    fn may_start_thread(&self, state: &State) -> bool {
        let room = self.count.running.load(Ordering::Relaxed) < self.count.limit;
        state.threads == 0 || (state.threads < MOST_THREADS && room)
    }

    /// A thread's life.
    fn work(&self) {
        loop {
            let nothing_to_do = |state: &mut State| state.queue.is_empty() && !state.closed;
            let state = self.work.wait_while(self.lock(), nothing_to_do).unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                self.count.running.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            self.execute_next(state);
        }
    }

    fn execute_next(&self, mut state: MutexGuard<'_, State>) {
        let Some((ticket, mut request)) = state.queue.pop_front() else { return };
        state.busy += 1;
        let era = state.era;
        drop(state);
        let result = self.target.execute(&mut request);
        let mut state = self.lock();
        state.busy -= 1;
        let result = if state.era == era { result } else { Err(DeviceError::Gone) };
        state.finish(ticket, Completion { buffer: request.buffer, result });
        if state.busy == 0 {
            self.idle.notify_all();
            if let Some(waker) = state.resetting.take() {
                waker.wake();
            }
        }
    }
}

impl State {
    fn finish(&mut self, ticket: Ticket, completion: Completion) {
        let slot = &mut self.slots[usize::from(ticket.0)];
        if let Slot::Waiting(Some(waker)) = std::mem::replace(slot, Slot::Done(completion)) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU64;

    use allocator_api2::alloc::Global;
    use hammer2_core::io::{Buffer, DeviceOffset, Operation};

    use super::*;

    /// Calls that wait until as many are under way as there are threads.
    struct Together {
        barrier: Barrier,
        calls: AtomicU64,
    }

    impl Target for Together {
        fn execute(&self, _: &mut Request) -> Result<(), DeviceError> {
            self.barrier.wait();
            self.calls.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn close(&self) {}
    }

    fn read() -> Request {
        Request { operation: Operation::Read(DeviceOffset(0)), buffer: Buffer::empty(&Global) }
    }

    fn wait<T: Target>(workers: &Workers<T>, ticket: Ticket) -> Result<(), DeviceError> {
        loop {
            match workers.poll(ticket, &mut Context::from_waker(Waker::noop())) {
                Poll::Ready(completion) => return completion.result,
                Poll::Pending => thread::yield_now(),
            }
        }
    }

    #[test]
    fn requests_run_in_parallel() {
        let target = Together { barrier: Barrier::new(MOST_THREADS), calls: AtomicU64::new(0) };
        static COUNT: ThreadCount = ThreadCount::new(MOST_THREADS);
        let workers = Workers::new(target, 16, &COUNT);
        for ticket in 0..8 {
            workers.submit(Ticket(ticket), read());
        }
        for ticket in 0..8 {
            assert_eq!(wait(&workers, Ticket(ticket)), Ok(()));
        }
        assert_eq!(workers.target().calls.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn a_device_beyond_the_limit_has_one_thread() {
        static COUNT: ThreadCount = ThreadCount::new(1);
        let one = || Together { barrier: Barrier::new(1), calls: AtomicU64::new(0) };
        let devices = [one(), one()].map(|target| Workers::new(target, 16, &COUNT));
        for device in &devices {
            for ticket in 0..8 {
                device.submit(Ticket(ticket), read());
            }
            for ticket in 0..8 {
                assert_eq!(wait(device, Ticket(ticket)), Ok(()));
            }
            assert_eq!(device.shared.lock().threads, 1);
        }
    }

    #[test]
    fn a_reset_waits_for_what_is_under_way_and_ends_the_rest() {
        // The barrier holds the four calls until this thread is the fifth.
        let target = Together { barrier: Barrier::new(MOST_THREADS + 1), calls: AtomicU64::new(0) };
        static COUNT: ThreadCount = ThreadCount::new(MOST_THREADS);
        let workers = Workers::new(target, 16, &COUNT);
        for ticket in 0..8 {
            workers.submit(Ticket(ticket), read());
        }
        while workers.shared.lock().busy < MOST_THREADS {
            thread::yield_now();
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(workers.poll_reset(&mut cx).is_pending());
        workers.target().barrier.wait();
        while workers.poll_reset(&mut cx).is_pending() {
            thread::yield_now();
        }
        for ticket in 0..8 {
            assert_eq!(wait(&workers, Ticket(ticket)), Err(DeviceError::Gone));
        }
        assert_eq!(workers.target().calls.load(Ordering::Relaxed), MOST_THREADS as u64, "the rest never began");
    }
}
