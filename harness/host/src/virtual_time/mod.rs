//! Virtual time, with tasks and disks that run in it, for tests of many tasks at once.
//! Tasks are polled only when something woke them, in an order from a seed. So with a lost wake, or a request that nobody looks
//! at, the run stops, and says which tasks wait.

mod device;

pub use device::{LONGEST_SILENCE, SlowDevice, Temper};

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hammer2_core::io::{Clock, Instant};
use hammer2_core::random::Random;

/// A request of a device: the device's number, and the ticket.
type RequestKey = (u64, u16);

struct Alarm {
    at: u64,
    waker: Waker,
    /// The request it is for, whose completion wakes only the task that looked at it last.
    request: Option<RequestKey>,
}

/// A clock that goes forward when no task has anything to do.
#[derive(Default)]
pub struct VirtualClock {
    now: Cell<u64>,
    alarms: RefCell<Vec<Alarm>>,
}

impl VirtualClock {
    /// Nanoseconds since the beginning.
    pub fn nanoseconds(&self) -> u64 {
        self.now.get()
    }

    /// Sets an alarm for `waker`, in place of any earlier waker for this request.
    fn wake_for_request(&self, request: RequestKey, at: u64, waker: &Waker) {
        let mut alarms = self.alarms.borrow_mut();
        alarms.retain(|alarm| alarm.request != Some(request));
        alarms.push(Alarm { at, waker: waker.clone(), request: Some(request) });
    }

    /// Waits for so many nanoseconds.
    pub async fn sleep(&self, nanoseconds: u64) {
        let until = Instant { nanoseconds: self.nanoseconds() + nanoseconds };
        poll_fn(|cx| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            self.wake_at(until, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Goes on to the next alarm; false if there is none.
    fn advance(&self) -> bool {
        let Some(next) = self.alarms.borrow().iter().map(|alarm| alarm.at).min() else { return false };
        self.now.set(next.max(self.now.get()));
        let due: Vec<Alarm> = self.alarms.borrow_mut().extract_if(.., |alarm| alarm.at <= next).collect();
        due.into_iter().for_each(|alarm| alarm.waker.wake());
        true
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant { nanoseconds: self.now.get() }
    }

    fn wake_at(&self, at: Instant, waker: &Waker) {
        let mut alarms = self.alarms.borrow_mut();
        // A task that is woken early sets the later alarm again.
        match alarms.iter_mut().find(|alarm| alarm.request.is_none() && alarm.waker.will_wake(waker)) {
            Some(alarm) => alarm.at = alarm.at.min(at.nanoseconds),
            None => alarms.push(Alarm { at: at.nanoseconds, waker: waker.clone(), request: None }),
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task with its name.
pub type Task<'t> = (String, Pin<Box<dyn Future<Output = ()> + 't>>);

/// Runs tasks to their ends, polling only those that were woken, in random order.
pub fn run_all(clock: &VirtualClock, tasks: Vec<Task<'_>>, random: &mut Random) {
    let awake = || Arc::new(Woken(AtomicBool::new(true)));
    let mut tasks: Vec<_> = tasks.into_iter().map(|(name, work)| (name, awake(), work)).collect();
    while !tasks.is_empty() {
        let ready: Vec<usize> = (0..tasks.len()).filter(|index| tasks[*index].1.0.load(Ordering::Relaxed)).collect();
        if ready.is_empty() {
            let names: Vec<&String> = tasks.iter().map(|(name, ..)| name).collect();
            assert!(clock.advance(), "{names:?} wait, and nothing will ever wake them");
            continue;
        }
        let chosen = random.pick(&ready);
        let (_, woken, work) = &mut tasks[chosen];
        woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(woken));
        if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(tasks.swap_remove(chosen));
        }
    }
}

/// Runs one future.
pub fn run<T>(clock: &VirtualClock, future: impl Future<Output = T>) -> T {
    let mut output = None;
    let work = async { output = Some(future.await) };
    run_all(clock, vec![("the only one".to_owned(), Box::pin(work))], &mut Random::new(0));
    output.expect("a task that ended")
}
