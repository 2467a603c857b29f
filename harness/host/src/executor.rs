//! Running futures on a host thread.
//!
//! One thread at a time runs the tasks of an executor; devices wake them from their own threads. While no task is ready, the
//! thread sleeps until one is woken or the clock's next alarm is due. By [`run`](Executor::run) an executor is driven inside a
//! [`Monitor`](hammer2_kmod_shim::monitor::Monitor), where other threads may [`start`](Executor::start) tasks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hammer2_core::io::{Clock as _, Instant};
use hammer2_kmod_shim::monitor::Caller;

use crate::clock::HostClock;

/// Tasks, for a thread that runs them. Tasks may borrow values that live for `'a`.
pub struct Executor<'a> {
    clock: &'static HostClock,
    ready: Arc<ReadyQueue>,
    main: Arc<TaskWaker>,
    slots: RefCell<Vec<Slot<'a>>>,
}

/// A place for a task. All tasks in it, one after the other, have the same waker: a wake for one that has ended only polls the
/// next in vain.
struct Slot<'a> {
    waker: Arc<TaskWaker>,
    task: Task<'a>,
}

enum Task<'a> {
    None,
    /// The task is being polled, outside the table so that it can spawn others.
    Running,
    Waiting(Pin<Box<dyn Future<Output = ()> + 'a>>),
}

/// The part of the running thread that needn't be inside with the executor: how it sleeps, and is woken.
pub struct Runner {
    clock: &'static HostClock,
    ready: Arc<ReadyQueue>,
    waker: Waker,
}

/// Tasks to poll, by index.
#[derive(Default)]
struct ReadyQueue {
    ready: Mutex<Ready>,
    woken: Condvar,
}

#[derive(Default)]
struct Ready {
    indexes: VecDeque<usize>,
    /// The thread waits to be woken; otherwise, waking it would be a system call for nothing.
    sleeping: bool,
    /// When it wakes by itself.
    sleeps_until: Option<Instant>,
    /// Another thread has set an alarm since the thread last looked at alarms.
    alarm_set: bool,
}

struct TaskWaker {
    index: usize,
    /// It is in the queue already.
    queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

/// The index of the future given to `run`.
const MAIN: usize = usize::MAX;

impl<'a> Executor<'a> {
    /// An executor without tasks.
    pub fn new(clock: &'static HostClock) -> Self {
        let ready = Arc::<ReadyQueue>::default();
        Self { clock, main: TaskWaker::new(MAIN, &ready), ready, slots: RefCell::new(Vec::new()) }
    }

    /// Adds a task, which runs while [`run`](Self::run) or [`block_on`](Self::block_on) does. Tasks left over when the executor
    /// is dropped are dropped with it.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'a) {
        let (index, waker) = self.free_slot();
        self.put(index, Task::Waiting(Box::pin(future)));
        waker.wake_by_ref();
    }

    /// Polls a future at once, after the tasks that were woken before, and adds it as a task if it has to wait. So tasks go on as
    /// fast as new futures are started, whichever thread does that.
    pub fn start(&self, future: impl Future<Output = ()> + 'a) -> Poll<()> {
        let mut waiting = self.poll_woken();
        let mut future = Box::pin(future);
        let (index, waker) = self.free_slot();
        let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker)));
        match polled {
            Poll::Ready(()) => {
                drop(future);
                self.put(index, Task::None);
            }
            Poll::Pending => {
                self.put(index, Task::Waiting(future));
                waiting = true;
            }
        }
        // The thread that runs the tasks may be asleep, and not know of a new alarm.
        if waiting && let Some(at) = self.clock.next_alarm() {
            self.ready.note_alarm(at);
        }
        polled
    }

    /// Polls the tasks that are woken by now, on a thread other than the running one; true when there were any.
    fn poll_woken(&self) -> bool {
        let count = self.ready.lock().indexes.len();
        for polled in 0..count {
            let next = {
                let mut ready = self.ready.lock();
                let place = ready.indexes.iter().position(|index| *index != MAIN);
                place.and_then(|place| ready.indexes.remove(place))
            };
            let Some(index) = next else { return polled > 0 };
            self.poll_task(index);
        }
        count > 0
    }

    /// Drops all tasks.
    pub fn clear(&self) {
        drop(self.slots.take());
    }

    /// The means by which the running thread sleeps and is woken.
    pub fn runner(&self) -> Runner {
        Runner { clock: self.clock, ready: self.ready.clone(), waker: self.main.clone().into() }
    }

    /// Runs the tasks until `main` is done; to be polled by the [`runner`](Self::runner).
    pub async fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        self.main.wake_by_ref();
        poll_fn(|cx| self.take_turn(main.as_mut(), cx)).await
    }

    /// The same, on this thread.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        let runner = self.runner();
        let mut running = pin!(self.run(main));
        loop {
            if let Poll::Ready(output) = running.as_mut().poll(&mut Context::from_waker(&runner.waker)) {
                return output;
            }
            runner.wait();
        }
    }

    /// Polls the tasks that are ready by now. Tasks that become ready meanwhile are left to the next turn, so that other threads
    /// of a shared monitor get theirs.
    fn take_turn<T>(&self, mut main: Pin<&mut impl Future<Output = T>>, cx: &mut Context<'_>) -> Poll<T> {
        let count = self.ready.lock().indexes.len();
        for _ in 0..count {
            let next = self.ready.lock().indexes.pop_front();
            match next {
                None => break,
                Some(MAIN) => {
                    self.main.queued.store(false, Ordering::Release);
                    if let Poll::Ready(output) = main.as_mut().poll(cx) {
                        return Poll::Ready(output);
                    }
                }
                Some(index) => self.poll_task(index),
            }
        }
        Poll::Pending
    }

    fn poll_task(&self, index: usize) {
        let (waker, mut future) = {
            let slots = &mut *self.slots.borrow_mut();
            // It was woken after all tasks were dropped.
            let Some(slot) = slots.get_mut(index) else { return };
            slot.waker.queued.store(false, Ordering::Release);
            match mem::replace(&mut slot.task, Task::Running) {
                Task::Waiting(future) => (slot.waker.clone(), future),
                // It was woken after its end.
                task => return slot.task = task,
            }
        };
        match future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))) {
            Poll::Pending => self.put(index, Task::Waiting(future)),
            Poll::Ready(()) => {
                drop(future);
                self.put(index, Task::None);
            }
        }
    }

    /// A free place for a task.
    fn free_slot(&self) -> (usize, Arc<TaskWaker>) {
        let slots = &mut *self.slots.borrow_mut();
        let index = slots.iter().position(|slot| matches!(slot.task, Task::None)).unwrap_or_else(|| {
            slots.push(Slot { waker: TaskWaker::new(slots.len(), &self.ready), task: Task::None });
            slots.len() - 1
        });
        slots[index].task = Task::Running;
        (index, slots[index].waker.clone())
    }

    fn put(&self, index: usize, task: Task<'a>) {
        self.slots.borrow_mut()[index].task = task;
    }
}

impl Caller for Runner {
    fn waker(&self) -> &Waker {
        &self.waker
    }

    fn wait(&self) {
        // Alarms that are set from here on are seen by the code below, or noted.
        self.ready.lock().alarm_set = false;
        let until_alarm = self.clock.ring();
        let mut ready = self.ready.lock();
        if !ready.indexes.is_empty() || ready.alarm_set {
            return;
        }
        ready.sleeping = true;
        ready.sleeps_until = until_alarm.map(|wait| self.clock.now().after(wait));
        let asleep = |ready: &mut Ready| ready.sleeping;
        let mut ready = match until_alarm {
            Some(wait) => {
                let waited = self.ready.woken.wait_timeout_while(ready, wait, asleep);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.ready.woken.wait_while(ready, asleep).unwrap_or_else(PoisonError::into_inner),
        };
        ready.sleeping = false;
    }
}

impl ReadyQueue {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, index: usize) {
        let mut ready = self.lock();
        ready.indexes.push_back(index);
        self.wake(ready);
    }

    /// Notes an alarm that the thread may not know of, and wakes the thread if it would sleep for longer.
    fn note_alarm(&self, at: Instant) {
        let mut ready = self.lock();
        ready.alarm_set = true;
        if ready.sleeps_until.is_none_or(|until| at < until) {
            self.wake(ready);
        }
    }

    fn wake(&self, mut ready: MutexGuard<'_, Ready>) {
        if mem::take(&mut ready.sleeping) {
            drop(ready);
            self.woken.notify_one();
        }
    }
}

impl TaskWaker {
    fn new(index: usize, ready: &Arc<ReadyQueue>) -> Arc<Self> {
        Arc::new(Self { index, queued: AtomicBool::new(false), ready: ready.clone() })
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::rc::Rc;
    use std::thread;

    use hammer2_core::io::Duration;
    use hammer2_kmod_shim::monitor::Monitor;

    use super::*;

    #[test]
    fn tasks_borrow_take_turns_and_spawn_others() {
        let clock = HostClock::leaked();
        let finished = Cell::new(0);
        let executor = Executor::new(clock);
        executor.block_on(async {
            for delay in [30, 10, 20] {
                let finished = &finished;
                executor.spawn(async move {
                    clock.sleep(Duration::from_millis(delay)).await;
                    assert_eq!(finished.get(), delay - 10, "the shortest sleep ends first");
                    finished.set(delay);
                });
            }
            clock.sleep(Duration::from_millis(60)).await;
        });
        assert_eq!(finished.get(), 30);
        assert!(executor.slots.borrow().iter().all(|slot| matches!(slot.task, Task::None)));
        executor.spawn(async { finished.set(31) });
        assert_eq!(executor.slots.borrow().len(), 3, "slots are used again");
    }

    #[test]
    fn another_thread_wakes_the_sleeping_executor() {
        let executor = Executor::new(HostClock::leaked());
        let mut thread = None;
        let woken = Arc::new(AtomicBool::new(false));
        executor.block_on(poll_fn(|cx| {
            let (waker, flag) = (cx.waker().clone(), woken.clone());
            thread.get_or_insert_with(|| {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    flag.store(true, Ordering::Release);
                    waker.wake();
                })
            });
            if woken.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }));
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn a_wake_after_the_end_does_no_harm() {
        let executor = Executor::new(HostClock::leaked());
        executor.spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        let mut polls = 0;
        executor.block_on(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        }));
    }

    #[test]
    fn leftover_tasks_are_dropped_with_the_executor() {
        let kept = std::rc::Rc::new(());
        let executor = Executor::new(HostClock::leaked());
        let held = kept.clone();
        executor.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        executor.block_on(async {});
        assert_eq!(std::rc::Rc::strong_count(&kept), 2);
        drop(executor);
        assert_eq!(std::rc::Rc::strong_count(&kept), 1);
    }

    type Shared = Monitor<parking_lot::RawMutex, (Executor<'static>, Rc<Cell<u32>>)>;

    fn shared(clock: &'static HostClock) -> Shared {
        Monitor::try_new(|| Ok::<_, Infallible>((Executor::new(clock), Rc::default()))).unwrap()
    }

    #[test]
    fn what_need_not_wait_is_done_by_the_thread_that_starts_it() {
        let shared = shared(HostClock::leaked());
        shared.enter(|(executor, count)| {
            let own = count.clone();
            assert!(executor.start(async move { own.set(own.get() + 1) }).is_ready());
            assert_eq!((count.get(), Rc::strong_count(count)), (1, 1));
            assert!(executor.ready.lock().indexes.is_empty());
        });
    }

    #[test]
    fn what_other_threads_start_and_has_to_wait_is_done_by_the_one_that_runs_the_tasks() {
        const THREADS: u32 = 4;
        const STARTED: u32 = 200;
        let clock = HostClock::leaked();
        let shared = shared(clock);
        let runner = shared.enter(|(executor, _)| executor.runner());
        let done = Done::default();
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (shared, done) = (&shared, &done);
                scope.spawn(move || {
                    for started in 0..STARTED {
                        shared.enter(|(executor, count)| {
                            let (count, done) = (count.clone(), done.clone());
                            // Some tasks wait for the clock, some for a thread, some only for their turn.
                            let _ = executor.start(async move {
                                match (number + started) % 3 {
                                    0 => clock.sleep(Duration::from_micros(u64::from(started) % 50)).await,
                                    1 => woken_by_a_thread().await,
                                    _ => woken_at_once().await,
                                }
                                count.set(count.get() + 1);
                                tell(&done);
                            });
                        });
                    }
                });
            }
            shared.run(&runner, async |(executor, count)| {
                executor.run(until(&done, || count.get() == THREADS * STARTED)).await;
            });
        });
        assert_eq!(shared.enter(|(_, count)| Rc::strong_count(count)), 1);
    }

    /// The waker of a task that waits for something to be done.
    type Done = Arc<Mutex<Option<Waker>>>;

    fn tell(done: &Done) {
        done.lock().unwrap().iter().for_each(Waker::wake_by_ref);
    }

    async fn until(done: &Done, is_done: impl Fn() -> bool) {
        poll_fn(|cx| {
            *done.lock().unwrap() = Some(cx.waker().clone());
            if is_done() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    async fn woken_by_a_thread() {
        let woken = Arc::<AtomicBool>::default();
        poll_fn(|cx| {
            if woken.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let (waker, flag) = (cx.waker().clone(), woken.clone());
            thread::spawn(move || {
                flag.store(true, Ordering::Release);
                waker.wake();
            });
            Poll::Pending
        })
        .await;
    }

    async fn woken_at_once() {
        let mut woken = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if mem::replace(&mut woken, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[test]
    fn what_was_woken_goes_on_before_what_another_thread_starts() {
        let shared = shared(HostClock::leaked());
        shared.enter(|(executor, count)| {
            let (first, second) = (count.clone(), count.clone());
            let _ = executor.start(async move {
                woken_at_once().await;
                first.set(first.get() + 1);
            });
            assert_eq!(count.get(), 0);
            assert!(executor.start(async move { assert_eq!(second.get(), 1) }).is_ready());
        });
    }

    #[test]
    fn an_alarm_that_another_thread_sets_rings_though_the_one_that_runs_the_tasks_sleeps() {
        let clock = HostClock::leaked();
        let shared = shared(clock);
        let runner = shared.enter(|(executor, _)| executor.runner());
        let done = Done::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                // The other thread is in a long sleep by then.
                thread::sleep(Duration::from_millis(50));
                shared.enter(|(executor, count)| {
                    let (count, done) = (count.clone(), done.clone());
                    let _ = executor.start(async move {
                        clock.sleep(Duration::from_millis(20)).await;
                        count.set(1);
                        tell(&done);
                    });
                });
            });
            let begun = clock.now();
            shared.run(&runner, async |(executor, count)| {
                executor.spawn(clock.sleep(Duration::from_secs(10)));
                executor.run(until(&done, || count.get() == 1)).await;
                executor.clear();
            });
            assert!(clock.now().nanoseconds - begun.nanoseconds < 5_000_000_000);
        });
    }
}
