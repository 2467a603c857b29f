//! A disk in memory whose requests take random times, and which falls silent for a while now and then.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};

use allocator_api2::alloc::Global;
use hammer2_core::io::{BlockDevice, Completion, DeviceError, DeviceInfo, MemoryDevice, MemoryDisk, Request, Ticket};
use hammer2_core::random::Random;

use super::VirtualClock;

const MICROSECOND: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;

/// The longest time that a disk doesn't answer, in nanoseconds.
pub const LONGEST_SILENCE: u64 = 20 * SECOND;

/// How a disk answers.
pub struct Temper {
    random: RefCell<Random>,
    /// One request in so many begins a silence; 0 means none does.
    silences: Cell<u64>,
    /// Nothing is answered before this.
    silent_until: Cell<u64>,
    /// How many times as long as usual a request takes.
    slowness: Cell<u64>,
}

impl Temper {
    /// A temper from a seed, which answers everything soon.
    pub fn new(seed: u64) -> Self {
        Self {
            random: RefCell::new(Random::new(seed)),
            silences: Cell::new(0),
            silent_until: Cell::new(0),
            slowness: Cell::new(1),
        }
    }

    /// From now on each request takes so many times as long as usual.
    pub fn set_slowness(&self, times: u64) {
        self.slowness.set(times);
    }

    /// From now on nothing is answered for so long.
    pub fn fall_silent(&self, now: u64, nanoseconds: u64) {
        self.silent_until.set(now + nanoseconds);
    }

    /// From now on one request in so many begins a silence.
    pub fn set_silences(&self, one_in: u64) {
        self.silences.set(one_in);
    }

    /// When a request that is submitted now is answered.
    fn answers_at(&self, now: u64) -> u64 {
        let mut random = self.random.borrow_mut();
        if self.silences.get() > 0 && random.below(self.silences.get()) == 0 {
            // That may be less or more than the deadline.
            self.silent_until.set(now + random.below(LONGEST_SILENCE));
        }
        let usual = (10 + random.below(300)) * MICROSECOND;
        let answer = now + usual * self.slowness.get();
        answer.max(self.silent_until.get() + random.below(MICROSECOND))
    }
}

struct UnderWay {
    completion: Completion,
    at: u64,
}

/// A device on a disk in memory.
pub struct SlowDevice {
    inner: MemoryDevice<Rc<MemoryDisk>>,
    clock: &'static VirtualClock,
    temper: Rc<Temper>,
    number: u64,
    under_way: RefCell<Vec<Option<UnderWay>>>,
}

impl SlowDevice {
    /// A device that takes `depth` requests at a time. No other has its number.
    pub fn new(
        disk: &Rc<MemoryDisk>,
        clock: &'static VirtualClock,
        temper: &Rc<Temper>,
        depth: u16,
        number: u64,
    ) -> Self {
        Self {
            inner: MemoryDevice::new(&Global, Rc::clone(disk), &"slow", depth).expect("memory"),
            clock,
            temper: Rc::clone(temper),
            number,
            under_way: RefCell::new((0..depth).map(|_| None).collect()),
        }
    }
}

impl BlockDevice for SlowDevice {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        self.inner.submit(ticket, request);
        let done = self.inner.poll(ticket, &mut Context::from_waker(std::task::Waker::noop()));
        let Poll::Ready(completion) = done else { panic!("a disk in memory answers at once") };
        let at = self.temper.answers_at(self.clock.nanoseconds());
        self.under_way.borrow_mut()[usize::from(ticket.0)] = Some(UnderWay { completion, at });
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let place = &mut self.under_way.borrow_mut()[usize::from(ticket.0)];
        let Some(under_way) = place else { panic!("only requests under way are polled") };
        if under_way.at > self.clock.nanoseconds() {
            self.clock.wake_for_request((self.number, ticket.0), under_way.at, cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(place.take().expect("a request under way").completion)
    }

    fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        for under_way in self.under_way.borrow_mut().iter_mut().flatten() {
            under_way.completion.result = Err(DeviceError::Gone);
            under_way.at = 0;
        }
        Poll::Ready(Ok(()))
    }
}
