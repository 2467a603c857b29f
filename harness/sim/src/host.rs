//! The simulated host: its time, its random numbers, and the moment when its power goes.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use hammer2_core::fs::TimeSource;
use hammer2_core::io::{Clock, Instant};
use hammer2_core::media::Timestamp;
use hammer2_core::random::{Random, mix};

/// One host for each thread, reused for each run, as the core wants a clock that lives for ever.
pub(crate) struct Host {
    now: Cell<u64>,
    alarms: RefCell<BinaryHeap<Reverse<u64>>>,
    random: RefCell<Random>,
    trace: Cell<u64>,
    /// How many requests are left until the power goes.
    power_left: Cell<Option<u64>>,
    has_power: Cell<bool>,
    /// Other hosts can reach the disks, too.
    shares_disks: Cell<bool>,
    /// There are other processors.
    draws_workers: Cell<bool>,
}

/// Makes of a seed whether there are other processors.
const WORKERS: u64 = 0x776f_726b;

thread_local! {
    static HOST: &'static Host = Box::leak(Box::new(Host::new()));
}

impl Host {
    fn new() -> Self {
        Self {
            now: Cell::new(0),
            alarms: RefCell::default(),
            random: RefCell::new(Random::new(0)),
            trace: Cell::new(0),
            power_left: Cell::new(None),
            has_power: Cell::new(true),
            shares_disks: Cell::new(false),
            draws_workers: Cell::new(false),
        }
    }

    /// The thread's host, reset.
    pub(crate) fn fresh(seed: u64) -> &'static Self {
        let host = HOST.with(|host| *host);
        host.now.set(0);
        host.shares_disks.set(false);
        host.draws_workers.set(mix(seed ^ WORKERS).is_multiple_of(3));
        host.trace.set(mix(seed));
        *host.random.borrow_mut() = Random::new(mix(!seed));
        host.power_on();
        host
    }

    /// Makes the power go after so many requests.
    pub(crate) fn power_until(&self, requests: Option<u64>) {
        self.power_left.set(requests);
    }

    pub(crate) fn power_on(&self) {
        self.power_left.set(None);
        self.has_power.set(true);
        self.alarms.borrow_mut().clear();
    }

    /// Sets whether other hosts can reach disks that are opened from here on.
    pub(crate) fn share_disks(&self, shares: bool) {
        self.shares_disks.set(shares);
    }

    pub(crate) fn shares_disks(&self) -> bool {
        self.shares_disks.get()
    }

    pub(crate) fn draws_workers(&self) -> bool {
        self.draws_workers.get()
    }

    pub(crate) fn has_power(&self) -> bool {
        self.has_power.get()
    }

    /// Counts a request; false when the power goes right before it.
    pub(crate) fn use_power(&self) -> bool {
        if let Some(left) = self.power_left.get() {
            self.power_left.set(left.checked_sub(1));
            self.has_power.set(left > 0);
        }
        self.has_power.get()
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn draw(&self, limit: u64) -> u64 {
        self.random.borrow_mut().below(limit)
    }

    /// Adds to the hash of the run.
    pub(crate) fn note(&self, event: u64) {
        self.trace.set(mix(self.trace.get().wrapping_mul(31) ^ event));
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Sets an alarm for this time.
    pub(crate) fn alarm(&self, at: u64) {
        self.alarms.borrow_mut().push(Reverse(at));
    }

    /// Goes on to the next alarm; false if there is none.
    pub(crate) fn advance(&self) -> bool {
        let mut alarms = self.alarms.borrow_mut();
        while let Some(Reverse(at)) = alarms.pop() {
            if at > self.now.get() {
                self.now.set(at);
                return true;
            }
        }
        false
    }
}

impl Clock for Host {
    fn now(&self) -> Instant {
        Instant { nanoseconds: self.now.get() }
    }

    fn wake_at(&self, at: Instant, _: &Waker) {
        self.alarm(at.nanoseconds);
    }
}

impl TimeSource for Host {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 1_700_000_000_000_000 + self.now.get() / 1000 }
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().next_u64()
    }
}
