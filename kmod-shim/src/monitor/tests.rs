//! Monitors among the threads of a host. `tests/monitor.rs` has the models, which try every order of events.

use super::*;
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use lock_api::{GuardNoSend, RawMutex};
use parking_lot::{Condvar, Mutex};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;
use std::thread;
use std::vec::Vec;

type Shared<T> = Monitor<parking_lot::RawMutex, T>;

fn monitor<T>(make: impl FnOnce() -> T + Send) -> Shared<T> {
    Monitor::try_new(|| Ok::<_, Infallible>(make())).unwrap()
}

#[derive(Default)]
struct Flag {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// A thread that sleeps while it waits.
struct Sleeper {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Sleeper {
    fn new() -> Self {
        let flag = Arc::<Flag>::default();
        Self { waker: flag.clone().into(), flag }
    }
}

impl Caller for Sleeper {
    fn waker(&self) -> &Waker {
        &self.waker
    }

    fn wait(&self) {
        let mut woken = self.flag.woken.lock();
        self.flag.changed.wait_while(&mut woken, |woken| !*woken);
        *woken = false;
    }
}

/// Whose turn it is, and which threads wait for theirs. References are counted without atomics.
#[derive(Default)]
struct Turns {
    turn: Rc<Cell<usize>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Turns {
    async fn come(&self, mine: usize) {
        let turn = self.turn.clone();
        poll_fn(|cx| {
            if turn.get() == mine {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn pass(&self) {
        self.turn.set(self.turn.get() + 1);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

#[test]
fn callers_wait_for_each_other_outside_and_share_what_is_not_for_threads() {
    const CALLERS: usize = 4;
    const ROUNDS: usize = 200;
    let turns = monitor(Turns::default);
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let turns = &turns;
            scope.spawn(move || {
                let sleeper = Sleeper::new();
                for round in 0..ROUNDS {
                    turns.run(&sleeper, async |turns| {
                        turns.come(round * CALLERS + caller).await;
                        turns.pass();
                    });
                }
            });
        }
    });
    assert_eq!(turns.enter(|turns| (turns.turn.get(), Rc::strong_count(&turns.turn))), (ROUNDS * CALLERS, 1));
}

#[test]
fn an_operation_that_needs_not_wait_is_done_at_once() {
    struct Never;
    impl Caller for Never {
        fn waker(&self) -> &Waker {
            Waker::noop()
        }
        fn wait(&self) {
            panic!("nothing to wait for");
        }
    }
    let number = monitor(|| Cell::new(1));
    let doubled = number.run(&Never, async |number| {
        number.set(number.get() * 2);
        number.get()
    });
    assert_eq!(doubled, 2);
}

/// A lock that records whether it is held.
struct Watched(parking_lot::RawMutex);

/// The state of the only such lock.
static HELD: AtomicBool = AtomicBool::new(false);

// SAFETY: it is the other one.
unsafe impl RawMutex for Watched {
    const INIT: Self = Self(RawMutex::INIT);
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        self.0.lock();
        HELD.store(true, Ordering::Relaxed);
    }

    fn try_lock(&self) -> bool {
        unreachable!("a monitor waits for its lock");
    }

    unsafe fn unlock(&self) {
        HELD.store(false, Ordering::Relaxed);
        // SAFETY: the caller has locked it.
        unsafe { self.0.unlock() };
    }
}

// SAFETY: nothing is promised beside the above.
unsafe impl RawMutexFair for Watched {
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller has locked it.
        unsafe { self.unlock() };
    }
}

#[test]
fn what_is_left_of_an_operation_when_its_caller_panics_goes_inside() {
    /// Counts drops inside, without atomics.
    struct Counted<'t>(&'t Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            assert!(HELD.load(Ordering::Relaxed));
            self.0.set(self.0.get() + 1);
        }
    }
    struct Panics;
    impl Caller for Panics {
        fn waker(&self) -> &Waker {
            Waker::noop()
        }
        fn wait(&self) {
            panic!("on purpose");
        }
    }
    let dropped: Monitor<Watched, _> = Monitor::try_new(|| Ok::<_, Infallible>(Cell::new(0))).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            dropped.run(&Panics, async |dropped| {
                let _counted = Counted(dropped);
                core::future::pending::<()>().await;
            });
        });
        assert!(waits.join().is_err());
        let fails = scope.spawn(|| {
            dropped.run(&Panics, async |dropped| {
                let _counted = Counted(dropped);
                assert!(dropped.get() > 5, "on purpose");
            });
        });
        assert!(fails.join().is_err());
    });
    assert_eq!(dropped.enter(Cell::get), 2);
}

#[test]
fn what_cannot_be_made_is_told() {
    let failed: Result<Shared<()>, _> = Monitor::try_new(|| Err("no room"));
    assert_eq!(failed.err(), Some("no room"));
}
