//! A device that misbehaves as planned.

use core::cell::{Cell, RefCell};
use core::mem;
use core::ops::{Deref, Range};
use core::task::{Context, Poll};

use super::plan::{Effect, FaultPlan, Operations};
use crate::io::{
    BlockDevice, Buffer, Completion, DeviceError, DeviceInfo, Operation, Permission, Request, SECTOR_BYTES, Ticket,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Linux's error number for want of memory.
const ENOMEM: i32 = 12;

/// The state of a ticket's request.
enum Held {
    /// The device has it, and its completion passes unchanged. This also stands for a ticket that isn't in use.
    Passed,
    /// The device has it, and its completion will be repaired this way.
    Changed(Repair),
    /// It is held back until the plan's releases exceed this number.
    Hung(Request, u64),
    /// It was completed without the device.
    Done(Completion),
}

/// The state of a reset: the plan counts it once, however often it is polled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reset {
    Idle,
    /// It hangs until the plan's releases exceed this number.
    Hung(u64),
    /// The device has it.
    Passed,
}

/// How the completion of a manipulated request is made to look honest.
enum Repair {
    /// Flips bits in one byte of the buffer, if the request succeeded.
    Flip { index: usize, mask: u8 },
    /// Restores the buffer's full length, and reports this result.
    Torn { len: usize, report: Result<(), DeviceError> },
}

/// A device with a [`FaultPlan`].
pub struct Faulty<D, P> {
    heap: Heap,
    device: D,
    plan: P,
    held: RefCell<Vec<Held>>,
    reset: Cell<Reset>,
}

impl<D: BlockDevice, P: Deref<Target = FaultPlan>> Faulty<D, P> {
    /// Puts `plan` between `device` and its owner.
    pub fn new(heap: Heap, device: D, plan: P) -> Result<Self, NoMemory> {
        let depth = usize::from(device.info().queue_depth);
        let held = RefCell::new(memory::filled(heap, depth, || Held::Passed)?);
        Ok(Self { heap, device, plan, held, reset: Cell::new(Reset::Idle) })
    }

    fn hold(&self, ticket: Ticket, held: Held) {
        self.held.borrow_mut()[usize::from(ticket.0)] = held;
    }

    fn take(&self, ticket: Ticket) -> Held {
        mem::replace(&mut self.held.borrow_mut()[usize::from(ticket.0)], Held::Passed)
    }

    fn complete(&self, ticket: Ticket, request: Request, result: Result<(), DeviceError>) {
        self.hold(ticket, Held::Done(Completion { buffer: request.buffer, result }));
    }

    /// Hands released requests to the device. The release itself can't do this, as the plan doesn't know its devices.
    fn forward_released(&self) {
        let depth = self.held.borrow().len();
        for index in 0..depth {
            let released = matches!(self.held.borrow()[index], Held::Hung(_, at) if at < self.plan.releases());
            let ticket = Ticket(index as u16);
            if released && let Held::Hung(request, _) = self.take(ticket) {
                self.device.submit(ticket, request);
            }
        }
    }

    fn submit_corrupt(&self, ticket: Ticket, mut request: Request, range: &Range<u64>, mask: u8) {
        let extent = request.extent();
        let index = range.start.max(extent.start) - extent.start;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if matches!(request.operation, Operation::Write(_)) {
            // Others may write the same bytes, and theirs must stay sound.
            match request.buffer.try_clone(self.heap) {
                Ok(own) => request.buffer = own,
                Err(NoMemory) => return self.complete(ticket, request, Err(DeviceError::Io(ENOMEM))),
            }
            flip(&mut request.buffer, index, mask);
        }
        self.hold(ticket, Held::Changed(Repair::Flip { index, mask }));
        self.device.submit(ticket, request);
    }

    fn submit_torn(&self, ticket: Ticket, mut request: Request, kept: u64, report: Result<(), DeviceError>) {
        let len = request.buffer.len();
        let kept = usize::try_from(kept - kept % SECTOR_BYTES).map_or(len, |kept| kept.min(len));
        if kept == 0 {
            self.complete(ticket, request, report);
        } else {
            request.buffer.set_len(kept);
            self.hold(ticket, Held::Changed(Repair::Torn { len, report }));
            self.device.submit(ticket, request);
        }
    }
}

impl<D: BlockDevice, P: Deref<Target = FaultPlan>> BlockDevice for Faulty<D, P> {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn measure(&self) -> u64 {
        self.device.measure()
    }

    fn permit(&self, permission: Permission) {
        self.device.permit(permission);
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        self.forward_released();
        let Some((effect, range)) = self.plan.strike(Operations::from(request.operation), &request.extent()) else {
            return self.device.submit(ticket, request);
        };
        match effect {
            Effect::Hang => self.hold(ticket, Held::Hung(request, self.plan.releases())),
            Effect::Corrupt { mask } => self.submit_corrupt(ticket, request, &range, mask),
            Effect::Torn { kept_bytes, report } => self.submit_torn(ticket, request, kept_bytes, report),
            Effect::Fail(error) => self.complete(ticket, request, Err(error)),
            Effect::Lost => self.complete(ticket, request, Ok(())),
        }
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        self.forward_released();
        match self.take(ticket) {
            Held::Passed => self.device.poll(ticket, cx),
            Held::Changed(repair) => match self.device.poll(ticket, cx) {
                Poll::Pending => {
                    self.hold(ticket, Held::Changed(repair));
                    Poll::Pending
                }
                Poll::Ready(completion) => Poll::Ready(repair.apply(completion)),
            },
            Held::Hung(request, at) => {
                self.hold(ticket, Held::Hung(request, at));
                self.plan.released.register(cx.waker());
                Poll::Pending
            }
            Held::Done(completion) => Poll::Ready(completion),
        }
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        self.forward_released();
        if self.reset.get() == Reset::Idle {
            match self.plan.strike(Operations::RESET, &(0..0)) {
                Some((Effect::Fail(error), _)) => return Poll::Ready(Err(error)),
                Some(_) => self.reset.set(Reset::Hung(self.plan.releases())),
                None => self.reset.set(Reset::Passed),
            }
        }
        if self.reset.get() == Reset::Hung(self.plan.releases()) {
            self.plan.released.register(cx.waker());
            return Poll::Pending;
        }
        for held in self.held.borrow_mut().iter_mut() {
            *held = match mem::replace(held, Held::Passed) {
                Held::Hung(request, _) => {
                    Held::Done(Completion { buffer: request.buffer, result: Err(DeviceError::Gone) })
                }
                other => other,
            };
        }
        let outcome = self.device.poll_reset(cx);
        self.reset.set(if outcome.is_ready() { Reset::Idle } else { Reset::Passed });
        outcome
    }
}

impl Repair {
    fn apply(self, mut completion: Completion) -> Completion {
        match self {
            Repair::Flip { index, mask } => flip(&mut completion.buffer, index, mask),
            Repair::Torn { len, report } => {
                completion.buffer.set_len(len);
                completion.result = completion.result.and(report);
            }
        }
        completion
    }
}

fn flip(buffer: &mut Buffer, index: usize, mask: u8) {
    if let Some(byte) = buffer.bytes_mut().get_mut(index) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{self, HEAP, pattern};
    use crate::io::wrap::{Fault, FaultPlan};
    use crate::io::{DeviceOffset, MemoryDisk};

    const BYTES: usize = 4096;

    /// A disk full of a pattern, and a plan without faults.
    fn disk_and_plan() -> (MemoryDisk, FaultPlan) {
        let disk = testing::memory_disk(1 << 20);
        disk.write_at(0, pattern(1 << 20, 1).bytes()).unwrap();
        (disk, FaultPlan::new(HEAP))
    }

    fn read<D: BlockDevice>(device: &D, offset: u64) -> Result<Buffer, DeviceError> {
        let buffer = Buffer::new(HEAP, BYTES).unwrap();
        testing::complete(device, Request::new(Operation::Read(DeviceOffset(offset)), buffer))
    }

    fn write<D: BlockDevice>(device: &D, offset: u64, buffer: Buffer) -> Result<Buffer, DeviceError> {
        testing::complete(device, Request::new(Operation::Write(DeviceOffset(offset)), buffer))
    }

    #[test]
    fn the_nth_read_of_a_range_fails() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        let fault = Fault::once(Operations::READ, Effect::Fail(DeviceError::Io(5))).within(8192..8193);
        plan.add(Fault { skip: 1, times: 2, ..fault }).unwrap();
        let outcomes = [8192, 0, 8192, 12288, 4608, 8192].map(|offset| read(&device, offset).map(drop));
        let failed = Err(DeviceError::Io(5));
        assert_eq!(outcomes, [Ok(()), Ok(()), failed, Ok(()), failed, Ok(())]);
        assert_eq!(plan.struck(), 2);
    }

    #[test]
    fn permanent_faults_last_until_they_are_removed() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        let id = plan.add(Fault::always(Operations::all(), Effect::Fail(DeviceError::Gone))).unwrap();
        for offset in [0, 4096, 0] {
            assert_eq!(read(&device, offset).unwrap_err(), DeviceError::Gone);
        }
        plan.remove(id);
        assert!(read(&device, 0).is_ok());
    }

    #[test]
    fn one_byte_is_corrupted() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        plan.add(Fault::once(Operations::READ, Effect::Corrupt { mask: 0x81 }).within(5000..9000)).unwrap();
        let mut expected = pattern(1 << 20, 1);
        expected.bytes_mut()[5000] ^= 0x81;
        assert_eq!(read(&device, 4096).unwrap().bytes(), &expected.bytes()[4096..8192]);
        expected.bytes_mut()[5000] ^= 0x81;
        assert_eq!(read(&device, 4096).unwrap().bytes(), &expected.bytes()[4096..8192]);

        plan.add(Fault::once(Operations::WRITE, Effect::Corrupt { mask: 1 }).within(20000..20001)).unwrap();
        let mut sound = pattern(BYTES, 2);
        sound.make_shareable(HEAP).unwrap();
        let written = write(&device, 16384, sound.share().unwrap()).unwrap();
        for bytes in [written.bytes(), sound.bytes()] {
            assert_eq!(bytes, pattern(BYTES, 2).bytes(), "the writer keeps its bytes, and so does who shares them");
        }
        let mut expected = pattern(BYTES, 2);
        expected.bytes_mut()[20000 - 16384] ^= 1;
        assert_eq!(read(&device, 16384).unwrap().bytes(), expected.bytes());
    }

    #[test]
    fn torn_and_lost_writes_leave_what_they_say() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        let old = pattern(1 << 20, 1);
        for (kept_bytes, landed, report) in
            [(1500, 1024, Err(DeviceError::Io(5))), (100, 0, Ok(())), (1 << 40, BYTES, Ok(()))]
        {
            disk.write_at(0, old.bytes()).unwrap();
            plan.add(Fault::once(Operations::WRITE, Effect::Torn { kept_bytes, report })).unwrap();
            assert_eq!(write(&device, 0, pattern(BYTES, 2)).map(|buffer| buffer.len()), report.map(|()| BYTES));
            let mut expected = pattern(BYTES, 1);
            expected.bytes_mut()[..landed].copy_from_slice(&pattern(BYTES, 2).bytes()[..landed]);
            assert_eq!(read(&device, 0).unwrap().bytes(), expected.bytes());
        }
        disk.write_at(0, old.bytes()).unwrap();
        plan.add(Fault::once(Operations::WRITE | Operations::READ, Effect::Lost)).unwrap();
        assert!(write(&device, 0, pattern(BYTES, 3)).is_ok());
        assert_eq!(read(&device, 0).unwrap().bytes(), &old.bytes()[..BYTES]);
        assert_eq!(plan.struck(), 4);
    }

    #[test]
    fn a_hung_write_lands_when_it_is_released() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        plan.add(Fault::once(Operations::WRITE, Effect::Hang)).unwrap();
        let operation = Operation::Write(DeviceOffset(0));
        device.submit(Ticket(0), Request::new(operation, pattern(BYTES, 2)));
        assert!(testing::poll_once(&device, Ticket(0)).is_pending());
        assert_eq!(read(&device, 0).unwrap().bytes(), &pattern(1 << 20, 1).bytes()[..BYTES], "nothing landed yet");
        plan.release();
        assert!(testing::poll_once(&device, Ticket(0)).is_ready());
        assert_eq!(read(&device, 0).unwrap().bytes(), pattern(BYTES, 2).bytes());
    }

    #[test]
    fn a_reset_ends_what_hangs_unless_it_is_struck_itself() {
        let (disk, plan) = disk_and_plan();
        let device = Faulty::new(HEAP, testing::memory_device(&disk), &plan).unwrap();
        let mut cx = Context::from_waker(core::task::Waker::noop());
        plan.add(Fault::once(Operations::WRITE, Effect::Hang)).unwrap();
        plan.add(Fault::once(Operations::RESET, Effect::Fail(DeviceError::Io(5)))).unwrap();
        plan.add(Fault::once(Operations::RESET, Effect::Hang)).unwrap();
        device.submit(Ticket(3), Request::new(Operation::Write(DeviceOffset(0)), pattern(BYTES, 2)));
        assert_eq!(device.poll_reset(&mut cx), Poll::Ready(Err(DeviceError::Io(5))));
        assert!(device.poll_reset(&mut cx).is_pending());
        assert!(device.poll_reset(&mut cx).is_pending());
        assert!(testing::poll_once(&device, Ticket(3)).is_pending());
        plan.release();
        plan.add(Fault::once(Operations::WRITE, Effect::Hang)).unwrap();
        device.submit(Ticket(4), Request::new(Operation::Write(DeviceOffset(0)), pattern(BYTES, 3)));
        assert_eq!(device.poll_reset(&mut cx), Poll::Ready(Ok(())));
        let Poll::Ready(completion) = testing::poll_once(&device, Ticket(4)) else { panic!("still hangs") };
        assert_eq!(completion.result, Err(DeviceError::Gone));
        plan.release();
        assert_eq!(read(&device, 0).unwrap().bytes(), pattern(BYTES, 2).bytes(), "what was released, and no more");
    }
}
