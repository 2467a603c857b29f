//! A device's one owner: requests as futures, with deadlines.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::{
    BlockDevice, Buffer, Clock, Completion, DeviceBox, DeviceError, DeviceInfo, DeviceOffset, Duration, Instant,
    Operation, Request, Ticket, Wakers,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// How a disk is driven.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// How long a request may take before it fails with [`DeviceError::Timeout`].
    pub deadline: Duration,
}

impl Default for DiskOptions {
    /// Five seconds, the eviction deadline of the cluster (spec/cluster.md 2.3).
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5) }
    }
}

/// What is known of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    /// Under way, with its deadline.
    Busy(Instant),
    /// Nobody waits any more; the device still owns the request.
    Abandoned,
}

/// A device with its requests in flight.
///
/// Any number of futures may wait on one disk; when all tickets are taken, further ones wait for a ticket, inside the
/// same deadline.
pub struct Disk {
    device: DeviceBox,
    clock: &'static dyn Clock,
    options: DiskOptions,
    slots: RefCell<Vec<Slot>>,
    in_flight: Cell<u16>,
    ticket_freed: Wakers,
    heap: Heap,
}

impl Disk {
    /// Takes the device over.
    pub fn new(
        heap: Heap,
        device: DeviceBox,
        clock: &'static dyn Clock,
        options: DiskOptions,
    ) -> Result<Self, NoMemory> {
        let depth = usize::from(device.info().queue_depth.max(1));
        Ok(Self {
            slots: RefCell::new(memory::filled(heap, depth, || Slot::Free)?),
            device,
            clock,
            options,
            in_flight: Cell::new(0),
            ticket_freed: Wakers::default(),
            heap,
        })
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// Bytes of the device by now.
    pub fn measure(&self) -> u64 {
        self.device.measure()
    }

    /// Requests under way, abandoned ones included.
    pub fn in_flight(&self) -> u16 {
        self.in_flight.get()
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub async fn read(&self, offset: DeviceOffset, buffer: Buffer) -> Result<Buffer, DeviceError> {
        self.run(Request { operation: Operation::Read(offset), buffer }).await
    }

    /// Writes the buffer at `offset`; the buffer comes back.
    pub async fn write(&self, offset: DeviceOffset, buffer: Buffer) -> Result<Buffer, DeviceError> {
        self.run(Request { operation: Operation::Write(offset), buffer }).await
    }

    /// Makes all completed writes durable.
    pub async fn flush(&self) -> Result<(), DeviceError> {
        self.run(Request { operation: Operation::Flush, buffer: Buffer::empty(self.heap) }).await.map(drop)
    }

    /// Says that a range's content is of no more use.
    pub async fn discard(&self, offset: DeviceOffset, bytes: u64) -> Result<(), DeviceError> {
        let operation = Operation::Discard { offset, bytes };
        self.run(Request { operation, buffer: Buffer::empty(self.heap) }).await.map(drop)
    }

    /// Resets the device: every request under way ends, and none lands later.
    pub async fn reset(&self) -> Result<(), DeviceError> {
        let deadline = self.deadline();
        poll_fn(|cx| match self.device.poll_reset(cx) {
            Poll::Pending => self.expire(deadline, cx).map(Err),
            ready => ready,
        })
        .await
    }

    async fn run(&self, request: Request) -> Result<Buffer, DeviceError> {
        let deadline = self.deadline();
        let mut request = Some(request);
        let ticket = poll_fn(|cx| match self.try_start(&mut request, deadline) {
            Some(ticket) => Poll::Ready(Ok(ticket)),
            None => {
                self.reap(cx);
                self.ticket_freed.register(cx.waker());
                self.expire(deadline, cx).map(Err)
            }
        })
        .await?;
        InFlight { disk: self, ticket, done: false }.await_completion().await
    }

    /// Starts a request if a ticket is free and returns at once; the request is taken only then. Whoever starts one polls
    /// it to its end with [`poll`](Self::poll), or abandons it.
    pub(crate) fn start(&self, request: &mut Option<Request>) -> Option<Ticket> {
        self.try_start(request, self.deadline())
    }

    /// Waits until a request can start. `work` is done before every look: it may end requests of the caller's own.
    pub(crate) async fn free_ticket(&self, mut work: impl FnMut(&mut Context<'_>)) -> Result<(), DeviceError> {
        let deadline = self.deadline();
        poll_fn(|cx| {
            work(cx);
            self.reap(cx);
            if self.has_free_ticket() {
                return Poll::Ready(Ok(()));
            }
            self.ticket_freed.register(cx.waker());
            self.expire(deadline, cx).map(Err)
        })
        .await
    }

    /// True when a request could start now.
    pub(crate) fn has_free_ticket(&self) -> bool {
        self.slots.borrow().contains(&Slot::Free)
    }

    /// How a started request stands. Ready frees the ticket. A request past its deadline ends with `Timeout`; its buffer
    /// stays with the device.
    pub(crate) fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Result<Buffer, DeviceError>> {
        if let Poll::Ready(Completion { buffer, result }) = self.device.poll(ticket, cx) {
            self.release(ticket);
            return Poll::Ready(result.map(|()| buffer));
        }
        let Slot::Busy(deadline) = self.slots.borrow()[usize::from(ticket.0)] else {
            return Poll::Ready(Err(DeviceError::Timeout));
        };
        self.expire(deadline, cx).map(|error| {
            self.abandon(ticket);
            Err(error)
        })
    }

    /// Gives a started request up. Its ticket is free again when the device is done with it.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        self.slots.borrow_mut()[usize::from(ticket.0)] = Slot::Abandoned;
    }

    fn deadline(&self) -> Instant {
        self.clock.now().after(self.options.deadline)
    }

    /// Ready with `Timeout` once `deadline` has come, else an alarm is set.
    fn expire(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<DeviceError> {
        if self.clock.now() >= deadline {
            return Poll::Ready(DeviceError::Timeout);
        }
        self.clock.wake_at(deadline, cx.waker());
        Poll::Pending
    }

    fn try_start(&self, request: &mut Option<Request>, deadline: Instant) -> Option<Ticket> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.iter().position(|slot| *slot == Slot::Free)?;
        let request = request.take()?;
        slots[index] = Slot::Busy(deadline);
        drop(slots);
        self.in_flight.set(self.in_flight.get() + 1);
        let ticket = Ticket(index as u16);
        self.device.submit(ticket, request);
        Some(ticket)
    }

    fn release(&self, ticket: Ticket) {
        self.slots.borrow_mut()[usize::from(ticket.0)] = Slot::Free;
        self.in_flight.set(self.in_flight.get() - 1);
        self.ticket_freed.wake_all();
    }

    /// Frees the tickets of abandoned requests that the device has completed meanwhile.
    fn reap(&self, cx: &mut Context<'_>) {
        let depth = self.slots.borrow().len();
        for index in 0..depth {
            let ticket = Ticket(index as u16);
            let abandoned = self.slots.borrow()[index] == Slot::Abandoned;
            if abandoned && self.device.poll(ticket, cx).is_ready() {
                self.release(ticket);
            }
        }
    }
}

/// A request somebody waits for; dropping it abandons the request.
struct InFlight<'d> {
    disk: &'d Disk,
    ticket: Ticket,
    done: bool,
}

impl InFlight<'_> {
    async fn await_completion(mut self) -> Result<Buffer, DeviceError> {
        let result = poll_fn(|cx| self.disk.poll(self.ticket, cx)).await;
        self.done = true;
        result
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.disk.abandon(self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::Waker;

    use super::*;
    use crate::io::boxed_device;
    use crate::io::testing::{self, HEAP};
    use crate::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
    use crate::memory::Box;

    /// A clock that is set by hand.
    struct Manual(Cell<u64>);

    impl Clock for Manual {
        fn now(&self) -> Instant {
            Instant { nanoseconds: self.0.get() }
        }

        fn wake_at(&self, _: Instant, _: &Waker) {}
    }

    #[test]
    fn a_hung_request_times_out_and_its_ticket_comes_back() {
        let clock: &'static Manual = Box::leak(memory::boxed(HEAP, Manual(Cell::new(0))).unwrap());
        let plan: &'static FaultPlan = Box::leak(memory::boxed(HEAP, FaultPlan::new(HEAP)).unwrap());
        let medium: &'static _ = Box::leak(memory::boxed(HEAP, testing::memory_disk(1 << 20)).unwrap());
        let device = Faulty::new(HEAP, testing::memory_device(medium), plan).unwrap();
        let disk = Disk::new(HEAP, boxed_device(HEAP, device).unwrap(), clock, DiskOptions::default()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let read = || disk.read(DeviceOffset(0), Buffer::new(HEAP, 512).unwrap());
        let depth = disk.info().queue_depth;
        plan.add(Fault { times: u64::from(depth), ..Fault::always(Operations::READ, Effect::Hang) }).unwrap();
        for _ in 0..depth {
            let mut hung = pin!(read());
            assert!(hung.as_mut().poll(&mut cx).is_pending());
            clock.0.set(clock.0.get() + 5_000_000_000);
            assert!(matches!(hung.poll(&mut cx), Poll::Ready(Err(DeviceError::Timeout))));
        }
        assert_eq!(disk.in_flight(), depth, "the device still owns them");
        let mut late = pin!(read());
        assert!(late.as_mut().poll(&mut cx).is_pending());
        plan.release();
        assert!(late.as_mut().poll(&mut cx).is_pending(), "this poll frees the tickets");
        assert!(matches!(late.poll(&mut cx), Poll::Ready(Ok(_))));
        assert_eq!(disk.in_flight(), 0);
    }
}
