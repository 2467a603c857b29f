//! The one owner of a device: it turns requests into futures with deadlines.

mod requests;
#[cfg(test)]
mod tests;

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use super::{
    Begin, BlockDevice, Buffer, Clock, Completion, DeviceBox, DeviceError, DeviceInfo, DeviceOffset, Duration, Instant,
    Operation, Permission, Readiness, Request, Ticket, Wakers,
};
use crate::memory::{Heap, NoMemory};
pub(crate) use requests::RequestId;
use requests::{Holder, Impact, Requests, Stage};

/// How a disk is driven.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// How long a request may take before it fails with [`DeviceError::Timeout`].
    pub deadline: Duration,
}

impl DiskOptions {
    /// How long a request may take by default: the eviction deadline of the cluster (protocol 2.2).
    pub const DEADLINE: Duration = Duration::from_secs(5);
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { deadline: Self::DEADLINE }
    }
}

/// Counts the requests of a device that failed or were late since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceErrors {
    /// Reads.
    pub reads: u64,
    /// Writes and flushes.
    pub writes: u64,
}

/// A deadline that is checked this long after it has passed means that the host was asleep: otherwise an alarm would have rung.
const OVERSLEPT: Duration = Duration::from_millis(20);
/// The time that devices are given then before they count as late.
const GRACE: Duration = Duration::from_secs(2);

/// The state of a request.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The device has it.
    UnderWay,
    /// The device has had it for longer than the deadline allows.
    Late,
    /// It is done, and its id means nothing any more.
    Done(Result<Buffer, DeviceError>),
}

/// A device with its requests in flight.
///
/// Any number of futures may wait on one disk; when all tickets are taken, further ones wait for a ticket, within the same
/// deadline. A future that waits for a ticket first takes every completion from the device, so that a completed request holds no
/// ticket, whether or not its owner has looked at it (the books are in `requests`).
pub struct Disk {
    device: DeviceBox,
    clock: &'static dyn Clock,
    options: DiskOptions,
    requests: RefCell<Requests>,
    /// Tasks that wait for a ticket.
    ticket_freed: Wakers,
    /// The error of a change that was given up, if it failed.
    late_failure: Cell<Option<DeviceError>>,
    permission: Cell<Permission>,
    errors: Cell<DeviceErrors>,
    /// No request counts as late before then, because the host was asleep.
    grace_until: Cell<Option<Instant>>,
    heap: Heap,
}

impl Disk {
    /// Takes over a device.
    pub fn new(
        heap: Heap,
        device: DeviceBox,
        clock: &'static dyn Clock,
        options: DiskOptions,
    ) -> Result<Self, NoMemory> {
        let depth = usize::from(device.info().queue_depth.max(1));
        Ok(Self {
            requests: RefCell::new(Requests::new(heap, depth)?),
            device,
            clock,
            options,
            ticket_freed: Wakers::new(heap),
            late_failure: Cell::new(None),
            permission: Cell::new(Permission::Always),
            errors: Cell::default(),
            grace_until: Cell::new(None),
            heap,
        })
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// The clock of its deadlines.
    pub fn clock(&self) -> &'static dyn Clock {
        self.clock
    }

    /// The current time, by the disk's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits for `delay`, by the disk's clock.
    pub async fn sleep(&self, delay: Duration) {
        self.sleep_until(self.clock.now().after(delay)).await;
    }

    /// Waits until `until`, by the disk's clock.
    pub async fn sleep_until(&self, until: Instant) {
        poll_fn(|cx| self.wait_until(until, cx)).await;
    }

    /// The present size of the device in bytes.
    pub fn measure(&self) -> u64 {
        self.device.measure()
    }

    /// The first place at or after `from` that may have content: everything before it is zeros.
    pub(crate) fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        self.device.next_content(from)
    }

    /// The failures so far.
    pub fn errors(&self) -> DeviceErrors {
        self.errors.get()
    }

    /// The number of requests that the device has completed since it was opened.
    pub(crate) fn completed(&self) -> u64 {
        self.requests.borrow().completed()
    }

    /// The number of requests under way, including abandoned ones.
    pub fn in_flight(&self) -> u16 {
        self.requests.borrow().under_way()
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub async fn read(&self, offset: DeviceOffset, buffer: Buffer) -> Result<Buffer, DeviceError> {
        self.run(Request::new(Operation::Read(offset), buffer)).await
    }

    /// Writes the buffer at `offset` and returns it.
    pub async fn write(&self, offset: DeviceOffset, buffer: Buffer) -> Result<Buffer, DeviceError> {
        self.run(Request::new(Operation::Write(offset), buffer)).await
    }

    /// Makes all completed writes durable.
    pub async fn flush(&self) -> Result<(), DeviceError> {
        self.run(Request::new(Operation::Flush, Buffer::empty(self.heap))).await.map(drop)
    }

    /// Makes a range read as zeros, if the device has a better way than to be given them.
    pub async fn zero(&self, offset: DeviceOffset, bytes: u64) -> Result<(), DeviceError> {
        let operation = Operation::Zero { offset, bytes };
        self.run(Request::new(operation, Buffer::empty(self.heap))).await.map(drop)
    }

    /// Says that the content of a range is no longer needed.
    pub async fn discard(&self, offset: DeviceOffset, bytes: u64) -> Result<(), DeviceError> {
        let operation = Operation::Discard { offset, bytes };
        self.run(Request::new(operation, Buffer::empty(self.heap))).await.map(drop)
    }

    /// Closes what is behind the device, until it is [reset](Self::reset). No request may be under way.
    pub(crate) fn close(&self) {
        self.device.close();
    }

    /// Resets the device: every request under way ends, and none lands later.
    pub async fn reset(&self) -> Result<(), DeviceError> {
        let deadline = self.deadline();
        let reset = poll_fn(|cx| match self.device.poll_reset(cx) {
            Poll::Pending => self.expire(deadline, cx).map(Err),
            ready => ready,
        })
        .await;
        if reset.is_ok() {
            // Requests that were given up have ended with the reset, and their results are unknown.
            self.harvest();
            self.late_failure.set(None);
        }
        reset
    }

    /// Writes a heartbeat, whether or not changes are permitted, as the heartbeat decides that. If the device doesn't begin with
    /// it before `end`, it never does, and the write ends with `Timeout`.
    pub(crate) async fn write_before(
        &self,
        end: Instant,
        offset: DeviceOffset,
        buffer: Buffer,
    ) -> Result<Buffer, DeviceError> {
        self.run(Request { operation: Operation::Write(offset), buffer, begin: Begin::Before(end) }).await
    }

    /// The time until which content may be changed, if there is a limit.
    pub(crate) fn lease_end(&self) -> Option<Instant> {
        match self.permission.get() {
            Permission::Until(end) => Some(end),
            Permission::Always | Permission::Never => None,
        }
    }

    /// Sets whether content may be changed.
    pub(crate) fn set_permission(&self, permission: Permission) {
        self.permission.set(permission);
        self.device.permit(permission);
        // Tasks that wait for permission wait as for a ticket.
        self.ticket_freed.wake_all();
    }

    /// True when another mount writes to the device.
    pub(crate) fn is_fenced(&self) -> bool {
        self.permission.get() == Permission::Never
    }

    /// True when content may be changed now.
    pub(crate) fn permits_changes(&self) -> bool {
        self.permission.get().permits_at(self.clock.now())
    }

    fn readiness(&self, request: &Request) -> Readiness {
        request.readiness(self.permission.get(), || self.clock.now())
    }

    async fn run(&self, request: Request) -> Result<Buffer, DeviceError> {
        let deadline = self.deadline();
        let mut request = Some(request);
        let id = match self.try_start(&mut request, deadline) {
            Some(id) => id,
            None => self.start_waiting(&mut request, deadline).await?,
        };
        InFlight { disk: self, id, done: false }.await_completion().await
    }

    async fn start_waiting(&self, request: &mut Option<Request>, deadline: Instant) -> Result<RequestId, DeviceError> {
        let _waiting = TicketWait(self);
        poll_fn(|cx| match self.poll_start(request, deadline, cx) {
            Poll::Ready(id) => Poll::Ready(Ok(id)),
            Poll::Pending => match request.as_ref().map(|request| self.readiness(request)) {
                Some(Readiness::Over(error)) => Poll::Ready(Err(error)),
                _ => self.expire(deadline, cx).map(Err),
            },
        })
        .await
    }

    fn poll_start(&self, request: &mut Option<Request>, deadline: Instant, cx: &mut Context<'_>) -> Poll<RequestId> {
        if let Some(id) = self.try_start(request, deadline) {
            return Poll::Ready(id);
        }
        // From here on, completions wake the caller: the device has the caller's waker, or that of an owner who will free a
        // ticket.
        self.ticket_freed.register(cx.waker());
        self.harvest();
        self.try_start(request, deadline).map_or(Poll::Pending, Poll::Ready)
    }

    /// Starts a request that nobody waits for yet, if there is room, and takes it only then. The caller must poll it to its end
    /// with [`poll`](Self::poll) or [`look`](Self::look), or abandon it.
    pub(crate) fn start_ahead(&self, request: &mut Option<Request>) -> Option<RequestId> {
        self.requests.borrow_mut().reserve_ahead().ok()?;
        self.try_start(request, self.deadline())
    }

    /// Starts a request as soon as there is room for it, and takes it only then; its time begins when it starts. A caller that
    /// may go away before this is ready must hold a [`TicketWait`] meanwhile.
    pub(crate) fn poll_start_later(&self, request: &mut Option<Request>, cx: &mut Context<'_>) -> Poll<RequestId> {
        self.poll_start(request, self.deadline(), cx)
    }

    /// True when a request could start now. This doesn't look for new completions.
    pub(crate) fn has_room(&self) -> bool {
        self.requests.borrow().has_room()
    }

    /// Waits until a request can start.
    pub(crate) async fn free_ticket(&self) -> Result<(), DeviceError> {
        let deadline = self.deadline();
        let _waiting = TicketWait(self);
        poll_fn(|cx| {
            self.ticket_freed.register(cx.waker());
            self.harvest();
            if self.has_room() { Poll::Ready(Ok(())) } else { self.expire(deadline, cx).map(Err) }
        })
        .await
    }

    /// The state of a started request. Ready ends it. A request past its deadline ends with `Timeout`; its buffer stays with the
    /// device.
    pub(crate) fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Result<Buffer, DeviceError>> {
        match self.look(id, cx) {
            Progress::UnderWay => Poll::Pending,
            Progress::Done(result) => Poll::Ready(result),
            Progress::Late => {
                self.abandon(id);
                Poll::Ready(Err(DeviceError::Timeout))
            }
        }
    }

    /// The state of a started request; the caller is woken when it changes. A late request still belongs to the caller.
    pub(crate) fn look(&self, id: RequestId, cx: &mut Context<'_>) -> Progress {
        let under_way = match self.requests.borrow_mut().stage(id) {
            Some(Stage::UnderWay { ticket, deadline, owner, .. }) => {
                if !owner.as_ref().is_some_and(|owner| owner.will_wake(cx.waker())) {
                    *owner = Some(cx.waker().clone());
                }
                Some((*ticket, *deadline))
            }
            _ => None,
        };
        if let Some((ticket, deadline)) = under_way {
            match self.device.poll(ticket, cx) {
                // Its owner is the caller, and needn't be woken.
                Poll::Ready(completion) => drop(self.requests.borrow_mut().complete(ticket, completion)),
                Poll::Pending => drop(self.expire(deadline, cx)),
            }
        }
        self.status(id)
    }

    /// The state of a started request, as last looked for.
    pub(crate) fn status(&self, id: RequestId) -> Progress {
        let deadline = match self.requests.borrow_mut().stage(id) {
            Some(Stage::UnderWay { deadline, .. }) => Some(*deadline),
            Some(Stage::Complete { .. }) => None,
            // Only the owner uses an id, until the request's end.
            None => return Progress::Done(Err(DeviceError::Gone)),
        };
        match deadline {
            Some(deadline) if self.has_passed(deadline) => Progress::Late,
            Some(_) => Progress::UnderWay,
            None => self.take(id),
        }
    }

    /// Notes that the task that last looked at a request no longer waits for it. The request stays.
    pub(crate) fn leave(&self, id: RequestId) {
        if let Some(Stage::UnderWay { owner, .. }) = self.requests.borrow_mut().stage(id) {
            *owner = None;
        }
        // Its completion would have woken the task that leaves.
        self.ticket_freed.wake_all();
    }

    /// Gives a started request up. Its ticket is free again when the device is done with it.
    pub(crate) fn abandon(&self, id: RequestId) {
        match self.requests.borrow_mut().remove(id) {
            Some(Stage::Complete { completion, impact }) => self.note_late(impact, &completion),
            // Nobody waits for it any more.
            Some(Stage::UnderWay { deadline, impact, .. }) if self.clock.now() >= deadline => self.note_error(impact),
            Some(Stage::UnderWay { .. }) | None => {}
        }
        // Its completion would have woken its owner, which is no longer interested.
        self.ticket_freed.wake_all();
    }

    /// True when the device is late with a request, whether or not anybody waits for it.
    pub(crate) fn is_late(&self) -> bool {
        self.harvest();
        let oldest = self.requests.borrow().oldest_deadline();
        oldest.is_some_and(|deadline| self.has_passed(deadline))
    }

    /// Ready when the device has no more changes that were given up; with an error if one of them failed.
    pub(crate) fn poll_quiet(&self) -> Poll<Result<(), DeviceError>> {
        if self.requests.borrow().owes_changes() {
            self.harvest();
        }
        if self.requests.borrow().owes_changes() {
            return Poll::Pending;
        }
        Poll::Ready(self.late_failure.get().map_or(Ok(()), Err))
    }

    /// Waits until the device has no more changes that were given up.
    pub(crate) async fn quiet(&self) -> Result<(), DeviceError> {
        let deadline = self.deadline();
        let _waiting = TicketWait(self);
        poll_fn(|cx| {
            self.ticket_freed.register(cx.waker());
            match self.poll_quiet() {
                Poll::Pending => self.expire(deadline, cx).map(Err),
                ready => ready,
            }
        })
        .await
    }

    /// The deadline of a request that starts now.
    pub(crate) fn deadline(&self) -> Instant {
        self.clock.now().after(self.options.deadline)
    }

    /// The deadline of a request that started half of its permitted time ago.
    pub(crate) fn deadline_in_half(&self) -> Instant {
        self.clock.now().after(self.options.deadline / 2)
    }

    /// Ready with `Timeout` once `deadline` has [passed](Self::has_passed); otherwise it sets an alarm.
    pub(crate) fn expire(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<DeviceError> {
        if self.has_passed(deadline) {
            return Poll::Ready(DeviceError::Timeout);
        }
        let until = self.grace_until.get().map_or(deadline, |until| until.max(deadline));
        self.wait_until(until, cx).map(|()| DeviceError::Timeout)
    }

    /// Ready once `until` has come; otherwise it sets an alarm.
    fn wait_until(&self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= until {
            return Poll::Ready(());
        }
        self.clock.wake_at(until, cx.waker());
        Poll::Pending
    }

    /// True when a deadline has passed. If it passed so long ago that the host must have been asleep, this becomes true only a
    /// little later, because the work of the devices was asleep, too.
    pub(crate) fn has_passed(&self, deadline: Instant) -> bool {
        let now = self.clock.now();
        if now < deadline {
            return false;
        }
        let is_known = self.grace_until.get().is_some_and(|until| deadline <= until);
        if now >= deadline.after(OVERSLEPT) && !is_known {
            self.grace_until.set(Some(now.after(GRACE)));
        }
        self.grace_until.get().is_none_or(|until| now >= until)
    }

    fn try_start(&self, request: &mut Option<Request>, deadline: Instant) -> Option<RequestId> {
        if self.readiness(request.as_ref()?) != Readiness::Ready {
            return None;
        }
        let impact = Impact::of(request.as_ref()?);
        let (id, ticket) = self.requests.borrow_mut().enter(deadline, impact)?;
        self.device.submit(ticket, request.take()?);
        Some(id)
    }

    /// Takes the result of a completed request.
    fn take(&self, id: RequestId) -> Progress {
        let stage = self.requests.borrow_mut().remove(id);
        self.ticket_freed.wake_all();
        match stage {
            Some(Stage::Complete { completion: Completion { buffer, result }, impact }) => {
                if result.is_err() {
                    self.note_error(impact);
                }
                Progress::Done(result.map(|()| buffer))
            }
            Some(Stage::UnderWay { .. }) | None => Progress::Done(Err(DeviceError::Gone)),
        }
    }

    /// Takes every completion from the device. After that, if any task waits, the device has a waker for each request that it
    /// still has: that of the request's owner, or of a task that waits for a ticket.
    pub(crate) fn harvest(&self) {
        let (depth, mut left) = {
            let requests = self.requests.borrow();
            (requests.depth(), requests.under_way())
        };
        let mut freed = false;
        for ticket in (0..depth).map(Ticket) {
            if left == 0 {
                break;
            }
            let holder = self.requests.borrow().holder(ticket);
            let owner = match holder {
                Holder::Nobody => continue,
                Holder::GivenUp(_) => None,
                Holder::Request(id) => self.owner(id),
            };
            left -= 1;
            let waker = owner.or_else(|| self.ticket_freed.first());
            let waker = waker.as_ref().unwrap_or(Waker::noop());
            if let Poll::Ready(completion) = self.device.poll(ticket, &mut Context::from_waker(waker)) {
                if let Holder::GivenUp(impact) = holder {
                    self.note_late(impact, &completion);
                }
                let owner = self.requests.borrow_mut().complete(ticket, completion);
                owner.into_iter().for_each(Waker::wake);
                freed = true;
            }
        }
        if freed {
            self.ticket_freed.wake_all();
        }
    }

    fn owner(&self, id: RequestId) -> Option<Waker> {
        match self.requests.borrow_mut().stage(id) {
            Some(Stage::UnderWay { owner, .. }) => owner.clone(),
            _ => None,
        }
    }

    fn note_error(&self, impact: Impact) {
        let DeviceErrors { reads, writes } = self.errors.get();
        self.errors.set(match impact {
            Impact::Nothing => DeviceErrors { reads: reads + 1, writes },
            Impact::Heartbeat | Impact::Content => DeviceErrors { reads, writes: writes + 1 },
            Impact::Hint => return,
        });
    }

    fn note_late(&self, impact: Impact, completion: &Completion) {
        if let (Impact::Content, Err(error)) = (impact, completion.result) {
            self.late_failure.set(self.late_failure.get().or(Some(error)));
        }
    }
}

/// Held by a task that waits for a ticket. The device may have its waker for other tasks' requests, so when this is dropped, the
/// other waiting tasks look again and leave their own.
pub(crate) struct TicketWait<'d>(pub(crate) &'d Disk);

impl Drop for TicketWait<'_> {
    fn drop(&mut self) {
        self.0.ticket_freed.wake_all();
    }
}

/// A request that a task waits for; dropping it abandons the request.
struct InFlight<'d> {
    disk: &'d Disk,
    id: RequestId,
    done: bool,
}

impl InFlight<'_> {
    async fn await_completion(mut self) -> Result<Buffer, DeviceError> {
        let result = poll_fn(|cx| self.disk.poll(self.id, cx)).await;
        self.done = true;
        result
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.disk.abandon(self.id);
        }
    }
}
