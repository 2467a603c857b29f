//! Running futures on one host thread.
//!
//! One thread runs all tasks of an executor; devices wake them from their own threads. While no task is ready, the thread
//! sleeps until one is woken or the clock's next alarm is due.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::clock::HostClock;

/// Tasks and the thread that runs them. Tasks may borrow what lives for `'a`.
pub struct Executor<'a> {
    clock: &'static HostClock,
    ready: Arc<ReadyQueue>,
    tasks: RefCell<Vec<Slot<'a>>>,
}

enum Slot<'a> {
    Free,
    /// The task is being polled, outside the table so that it can spawn others.
    Running,
    Waiting(Task<'a>),
}

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    waker: Arc<TaskWaker>,
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
    /// The thread waits to be woken; waking one that doesn't is a system call for nothing.
    sleeping: bool,
}

struct TaskWaker {
    index: usize,
    /// In the queue already.
    queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

/// The index of the future given to `block_on`.
const MAIN: usize = usize::MAX;

impl<'a> Executor<'a> {
    /// An executor without tasks.
    pub fn new(clock: &'static HostClock) -> Self {
        Self { clock, ready: Arc::default(), tasks: RefCell::new(Vec::new()) }
    }

    /// Adds a task, which runs while [`block_on`](Self::block_on) does. Tasks left over when the executor is dropped
    /// are dropped with it.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'a) {
        let mut tasks = self.tasks.borrow_mut();
        let index = tasks.iter().position(|slot| matches!(slot, Slot::Free)).unwrap_or_else(|| {
            tasks.push(Slot::Free);
            tasks.len() - 1
        });
        let waker = TaskWaker::new(index, &self.ready);
        waker.wake_by_ref();
        tasks[index] = Slot::Waiting(Task { future: Box::pin(future), waker });
    }

    /// Runs the tasks until `main` is done.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let main_waker = TaskWaker::new(MAIN, &self.ready);
        main_waker.wake_by_ref();
        loop {
            match self.next_ready() {
                MAIN => {
                    main_waker.queued.store(false, Ordering::Release);
                    let waker = Waker::from(main_waker.clone());
                    if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return output;
                    }
                }
                index => self.poll_task(index),
            }
        }
    }

    fn poll_task(&self, index: usize) {
        let slot = mem::replace(&mut self.tasks.borrow_mut()[index], Slot::Running);
        let Slot::Waiting(mut task) = slot else {
            // A wake that came after the task's end.
            return self.put(index, slot);
        };
        task.waker.queued.store(false, Ordering::Release);
        let waker = Waker::from(task.waker.clone());
        match task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.put(index, Slot::Waiting(task)),
            Poll::Ready(()) => self.put(index, Slot::Free),
        }
    }

    fn put(&self, index: usize, slot: Slot<'a>) {
        self.tasks.borrow_mut()[index] = slot;
    }

    fn next_ready(&self) -> usize {
        loop {
            let until_alarm = self.clock.ring();
            let mut ready = self.ready.lock();
            if let Some(index) = ready.indexes.pop_front() {
                return index;
            }
            ready.sleeping = true;
            let asleep = |ready: &mut Ready| ready.sleeping;
            let mut ready = match until_alarm {
                Some(wait) => {
                    let waited = self.ready.woken.wait_timeout_while(ready, wait, asleep);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.ready.woken.wait_while(ready, asleep).unwrap_or_else(PoisonError::into_inner),
            };
            ready.sleeping = false;
            if let Some(index) = ready.indexes.pop_front() {
                return index;
            }
        }
    }
}

impl ReadyQueue {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, index: usize) {
        let mut ready = self.lock();
        ready.indexes.push_back(index);
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
    use std::future::poll_fn;
    use std::thread;

    use hammer2_core::io::Duration;

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
        assert!(executor.tasks.borrow().iter().all(|slot| matches!(slot, Slot::Free)));
        executor.spawn(async { finished.set(31) });
        assert_eq!(executor.tasks.borrow().len(), 3, "slots are used again");
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
}
