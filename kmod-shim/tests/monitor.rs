//! A monitor in every order of events from its callers, their wakers and devices: `scripts/test monitor-model` runs this.
#![cfg(loom)]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Wake, Waker};

use hammer2_kmod_shim::monitor::{Caller, Monitor};
use lock_api::{GuardNoSend, RawMutex, RawMutexFair};
use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread;

/// A lock made of loom's own types.
struct Lock(OnceLock<(Mutex<bool>, Condvar)>);

impl Lock {
    fn parts(&self) -> &(Mutex<bool>, Condvar) {
        self.0.get_or_init(|| (Mutex::new(false), Condvar::new()))
    }
}

// SAFETY: a thread that finds the flag clear sets it, and it stays set until that thread unlocks.
unsafe impl RawMutex for Lock {
    #[expect(clippy::declare_interior_mutable_const, reason = "the trait has it so")]
    const INIT: Self = Self(OnceLock::new());
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        let (locked, freed) = self.parts();
        let mut locked = locked.lock().unwrap();
        while *locked {
            locked = freed.wait(locked).unwrap();
        }
        *locked = true;
    }

    fn try_lock(&self) -> bool {
        !std::mem::replace(&mut *self.parts().0.lock().unwrap(), true)
    }

    unsafe fn unlock(&self) {
        let (locked, freed) = self.parts();
        *locked.lock().unwrap() = false;
        freed.notify_one();
    }
}

// SAFETY: loom tries every order anyway.
unsafe impl RawMutexFair for Lock {
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller has locked it.
        unsafe { self.unlock() };
    }
}

struct Flag(Mutex<bool>, Condvar);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

struct Sleeper {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Sleeper {
    fn new() -> Self {
        let flag = Arc::new(Flag(Mutex::new(false), Condvar::new()));
        Self { waker: flag.clone().into(), flag }
    }
}

impl Caller for Sleeper {
    fn waker(&self) -> &Waker {
        &self.waker
    }

    fn wait(&self) {
        let mut woken = self.flag.0.lock().unwrap();
        while !*woken {
            woken = self.flag.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

/// The value inside: loom notices when two threads are in the cell at a time.
struct Inside {
    count: UnsafeCell<u32>,
    waiting: RefCell<Vec<Waker>>,
    holders: UnsafeCell<u32>,
}

/// A borrow of the inside that an operation holds from its beginning to its end.
struct Hold<'i>(&'i Inside);

impl<'i> Hold<'i> {
    fn new(inside: &'i Inside) -> Self {
        // SAFETY: whoever is inside is alone there; loom sees to it.
        inside.holders.with_mut(|holders| unsafe { *holders += 1 });
        Self(inside)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // SAFETY: the same.
        self.0.holders.with_mut(|holders| unsafe { *holders -= 1 });
    }
}

impl Inside {
    fn enclosed() -> Monitor<Lock, Self> {
        let made = || Self { count: UnsafeCell::new(0), waiting: RefCell::default(), holders: UnsafeCell::new(0) };
        Monitor::try_new(|| Ok::<_, Infallible>(made())).unwrap()
    }

    fn count(&self) -> u32 {
        // SAFETY: whoever is inside is alone there; loom sees to it.
        self.count.with(|count| unsafe { *count })
    }

    fn holders(&self) -> u32 {
        // SAFETY: the same.
        self.holders.with(|holders| unsafe { *holders })
    }

    fn add(&self) {
        // SAFETY: the same.
        self.count.with_mut(|count| unsafe { *count += 1 });
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until the count is at `wanted`.
    async fn reaches(&self, wanted: u32) {
        let _hold = Hold::new(self);
        poll_fn(|cx| {
            if self.count() >= wanted {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A device's request, which ends by a thread that isn't inside.
struct Request(Mutex<(bool, Option<Waker>)>);

impl Request {
    fn complete(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn ended(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[test]
fn one_at_a_time_is_inside() {
    loom::model(|| {
        let inside = Arc::new(Inside::enclosed());
        let other = inside.clone();
        let entering = thread::spawn(move || other.enter(Inside::add));
        inside.enter(Inside::add);
        entering.join().unwrap();
        assert_eq!(inside.enter(Inside::count), 2);
    });
}

#[test]
fn who_waits_for_another_caller_is_outside_and_is_woken() {
    loom::model(|| {
        let inside = Arc::new(Inside::enclosed());
        let other = inside.clone();
        let first = thread::spawn(move || {
            other.run(&Sleeper::new(), async |inside| {
                inside.reaches(1).await;
                inside.add();
            });
        });
        inside.run(&Sleeper::new(), async |inside| {
            inside.add();
            inside.reaches(2).await;
        });
        first.join().unwrap();
        assert_eq!(inside.enter(|inside| (inside.count(), inside.holders())), (2, 0));
    });
}

#[test]
fn a_device_wakes_its_caller_while_another_goes_on() {
    loom::model(|| {
        let (inside, request) = (Arc::new(Inside::enclosed()), Arc::new(Request(Mutex::new((false, None)))));
        let device = {
            let request = request.clone();
            thread::spawn(move || request.complete())
        };
        let other = inside.clone();
        let waits = thread::spawn(move || {
            other.run(&Sleeper::new(), async |inside| {
                let _hold = Hold::new(inside);
                request.ended().await;
                inside.add();
            });
        });
        inside.enter(Inside::add);
        device.join().unwrap();
        waits.join().unwrap();
        assert_eq!(inside.enter(|inside| (inside.count(), inside.holders())), (2, 0));
    });
}
