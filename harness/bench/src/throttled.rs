//! A disk of a given speed: requests are transferred one after the other at its bandwidth, and each arrives a little later.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll};
use std::time::Duration;

use hammer2_core::io::{BlockDevice, Clock, Completion, DeviceBox, DeviceError, DeviceInfo, Instant, Request, Ticket};

/// The speed of a disk.
#[derive(Clone, Copy)]
pub struct Speed {
    /// Bytes transferred in a second.
    pub bytes_per_second: u64,
    /// How long a request without data takes.
    pub latency: Duration,
}

/// A device that was made slower.
pub struct Throttled {
    device: DeviceBox,
    clock: &'static dyn Clock,
    speed: Speed,
    /// When all requests so far are transferred.
    idle_at: Cell<Instant>,
    done_at: RefCell<Vec<Instant>>,
}

impl Throttled {
    /// Makes `device` as slow as that.
    pub fn new(device: DeviceBox, clock: &'static dyn Clock, speed: Speed) -> Self {
        let done_at = RefCell::new(vec![clock.now(); usize::from(device.info().queue_depth)]);
        Self { device, clock, speed, idle_at: Cell::new(clock.now()), done_at }
    }
}

impl BlockDevice for Throttled {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        let nanoseconds = request.buffer.len() as u64 * 1_000_000_000 / self.speed.bytes_per_second;
        let carried_at = self.idle_at.get().max(self.clock.now()).after(Duration::from_nanos(nanoseconds));
        self.idle_at.set(carried_at);
        self.done_at.borrow_mut()[usize::from(ticket.0)] = carried_at.after(self.speed.latency);
        self.device.submit(ticket, request);
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let done_at = self.done_at.borrow()[usize::from(ticket.0)];
        if self.clock.now() < done_at {
            self.clock.wake_at(done_at, cx.waker());
            return Poll::Pending;
        }
        self.device.poll(ticket, cx)
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        self.device.poll_reset(cx)
    }
}
