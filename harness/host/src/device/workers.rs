//! Threads that carry requests out, for devices whose calls wait.
//! A request may wait for a thread for long: the server hangs, or the process is stopped, or the machine asleep. So the
//! permission to change content is checked when a thread begins with a change (protocol 8). Without permission, the change is
//! kept, and other requests pass it, among them the heartbeat that renews the permission.
//! Threads start when there is work that no idle one takes, so a device whose requests never wait has none. They are few: beside
//! its small stack, each takes 64 MiB of address space, which the C library reserves for allocations.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use hammer2_core::io::{Completion, DeviceError, Permission, Readiness, Request, Ticket};

use crate::clock::since_boot;

/// Requests of a device done in parallel.
pub(super) const MOST_THREADS: usize = 4;

/// The number of threads of several devices, with a limit. A device may have its first thread beyond the limit, so that a stuck
/// device doesn't stop another.
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

/// How long a dropped device waits for calls under way, so that its next user finds it free.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// How far a request got.
pub(super) enum Outcome {
    /// It is done.
    Done(Result<(), DeviceError>),
    /// It wasn't begun, as it isn't permitted any more.
    NotBegun,
}

/// The target of requests.
pub(super) trait Target: Send + Sync + 'static {
    /// Executes a request, unless `may_begin` forbids it once everything that it needs is there. May wait.
    fn execute(&self, request: &mut Request, may_begin: &dyn Fn(&Request) -> bool) -> Outcome;

    /// Called when the device is reset, and nothing is under way.
    fn reset(&self) {}

    /// Called when nothing is under way and nothing follows.
    fn close(&self);
}

/// The requests of a device, and the threads that carry them out.
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
    permission: Permission,
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
    /// Workers for a target; no thread is started yet.
    pub(super) fn new(target: T, queue_depth: u16, count: &'static ThreadCount) -> Self {
        let state = State {
            queue: VecDeque::new(),
            permission: Permission::Always,
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
        self.start_thread(&mut state);
        if state.threads == 0 {
            // There is no memory for any thread, so the caller does it, and waits.
            self.shared.execute_next(state);
            return;
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// Starts a thread if there is more work than idle threads, and the limit allows one more.
    fn start_thread(&self, state: &mut State) {
        let idle = state.threads - state.busy;
        if state.queue.len() <= idle || !self.shared.may_start_thread(state) {
            return;
        }
        let shared = self.shared.clone();
        if thread::Builder::new().stack_size(STACK_BYTES).spawn(move || shared.work()).is_ok() {
            state.threads += 1;
            self.shared.count.running.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets the permission to change content from here on.
    pub(super) fn permit(&self, permission: Permission) {
        let mut state = self.shared.lock();
        state.permission = permission;
        if state.queue.is_empty() {
            return;
        }
        if state.threads > 0 {
            drop(state);
            return self.shared.work.notify_all();
        }
        while self.shared.execute_next(state) {
            state = self.shared.lock();
        }
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

    /// Ends requests that haven't begun, and is ready when nothing is under way any more.
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

    /// The body of a thread.
    fn work(&self) {
        loop {
            let nothing_to_do = |state: &mut State| !state.closed && state.next().is_none();
            let state = self.work.wait_while(self.lock(), nothing_to_do).unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                self.count.running.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            self.execute_next(state);
        }
    }

    /// Carries out the first request that may begin, or ends one that never may; false if there is none.
    fn execute_next(&self, mut state: MutexGuard<'_, State>) -> bool {
        let Some((index, readiness)) = state.next() else { return false };
        let Some((ticket, mut request)) = state.queue.remove(index) else { return false };
        if let Readiness::Over(error) = readiness {
            state.finish(ticket, Completion { buffer: request.buffer, result: Err(error) });
            return true;
        }
        state.busy += 1;
        let era = state.era;
        drop(state);
        let may_begin = |request: &Request| self.lock().readiness(request) == Readiness::Ready;
        let outcome = self.target.execute(&mut request, &may_begin);
        let mut state = self.lock();
        state.busy -= 1;
        match outcome {
            _ if state.era != era => {
                state.finish(ticket, Completion { buffer: request.buffer, result: Err(DeviceError::Gone) });
            }
            Outcome::Done(result) => state.finish(ticket, Completion { buffer: request.buffer, result }),
            Outcome::NotBegun => state.queue.push_front((ticket, request)),
        }
        if state.busy == 0 {
            self.idle.notify_all();
            if let Some(waker) = state.resetting.take() {
                waker.wake();
            }
        }
        true
    }
}

impl State {
    fn readiness(&self, request: &Request) -> Readiness {
        request.readiness(self.permission, since_boot)
    }

    /// The first request that needn't be kept.
    fn next(&self) -> Option<(usize, Readiness)> {
        let readiness = |(_, request): &(Ticket, Request)| self.readiness(request);
        self.queue.iter().map(readiness).enumerate().find(|(_, readiness)| *readiness != Readiness::Kept)
    }

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
    use hammer2_core::io::{Begin, Buffer, DeviceOffset, Operation};

    use super::*;

    /// Calls that wait until as many are under way as there are threads.
    struct Together {
        barrier: Barrier,
        calls: AtomicU64,
    }

    impl Target for Together {
        fn execute(&self, _: &mut Request, _: &dyn Fn(&Request) -> bool) -> Outcome {
            self.barrier.wait();
            self.calls.fetch_add(1, Ordering::Relaxed);
            Outcome::Done(Ok(()))
        }

        fn close(&self) {}
    }

    fn read() -> Request {
        Request::new(Operation::Read(DeviceOffset(0)), Buffer::empty(&Global))
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

    fn write() -> Request {
        Request::new(Operation::Write(DeviceOffset(0)), Buffer::empty(&Global))
    }

    /// Four calls hold all threads, as in a process that is stopped, until the permission is over.
    fn held_up(submit_more: impl FnOnce(&Workers<Together>)) -> Workers<Together> {
        static COUNT: ThreadCount = ThreadCount::new(usize::MAX);
        let target = Together { barrier: Barrier::new(MOST_THREADS + 1), calls: AtomicU64::new(0) };
        let workers = Workers::new(target, 16, &COUNT);
        for ticket in 0..MOST_THREADS as u16 {
            workers.submit(Ticket(ticket), write());
        }
        while workers.shared.lock().busy < MOST_THREADS {
            thread::yield_now();
        }
        workers.permit(Permission::Until(since_boot()));
        submit_more(&workers);
        workers.target().barrier.wait();
        for ticket in 0..MOST_THREADS as u16 {
            assert_eq!(wait(&workers, Ticket(ticket)), Ok(()), "what was begun is done");
        }
        workers
    }

    fn is_pending(workers: &Workers<Together>, ticket: u16) -> bool {
        workers.poll(Ticket(ticket), &mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Lets the single call that is under way go on.
    fn let_one_go_on(workers: &Workers<Together>) {
        thread::scope(|scope| {
            for _ in 0..MOST_THREADS {
                scope.spawn(|| workers.target().barrier.wait());
            }
        });
    }

    #[test]
    fn what_is_not_permitted_any_more_is_kept_until_it_is_and_reads_pass_it() {
        let workers = held_up(|workers| {
            workers.submit(Ticket(8), write());
            workers.submit(Ticket(9), read());
        });
        let_one_go_on(&workers);
        assert_eq!(wait(&workers, Ticket(9)), Ok(()));
        assert!(is_pending(&workers, 8));
        assert_eq!(workers.target().calls.load(Ordering::Relaxed), MOST_THREADS as u64 + 1);
        workers.permit(Permission::Until(since_boot().after(Duration::from_secs(60))));
        let_one_go_on(&workers);
        assert_eq!(wait(&workers, Ticket(8)), Ok(()));
    }

    #[test]
    fn what_was_kept_never_begins_when_somebody_else_writes() {
        let workers = held_up(|workers| workers.submit(Ticket(8), write()));
        assert!(is_pending(&workers, 8));
        workers.permit(Permission::Never);
        assert_eq!(wait(&workers, Ticket(8)), Err(DeviceError::Fenced));
        assert_eq!(workers.target().calls.load(Ordering::Relaxed), MOST_THREADS as u64);
    }

    #[test]
    fn a_heartbeat_needs_no_permission_and_is_not_late() {
        let beat = |begin| Request { begin, ..write() };
        let now = since_boot();
        let workers = held_up(|workers| {
            workers.submit(Ticket(8), beat(Begin::Before(now)));
            workers.submit(Ticket(9), beat(Begin::Before(now.after(Duration::from_secs(60)))));
        });
        let_one_go_on(&workers);
        assert_eq!(wait(&workers, Ticket(9)), Ok(()));
        assert_eq!(wait(&workers, Ticket(8)), Err(DeviceError::Timeout));
        assert_eq!(workers.target().calls.load(Ordering::Relaxed), MOST_THREADS as u64 + 1);
    }
}
