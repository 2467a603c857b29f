//! A device on a [`Medium`]: requests take time, and none is made once the power is gone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};

use hammer2_core::io::{BlockDevice, Completion, DeviceError, DeviceInfo, DeviceName, Operation, Request, Ticket};

use crate::host::Host;
use crate::medium::Medium;

pub(crate) const QUEUE_DEPTH: u16 = 32;

/// A disk, independent of the devices that are opened on it.
pub(crate) struct SimDisk {
    pub(crate) medium: RefCell<Medium>,
    /// How many times longer than usual requests take.
    pub(crate) slowness: Cell<u64>,
    /// Requests whose ends nobody has seen yet.
    unseen: Cell<usize>,
}

impl SimDisk {
    pub(crate) fn new(medium: Medium) -> Rc<Self> {
        Rc::new(Self { medium: RefCell::new(medium), slowness: Cell::new(1), unseen: Cell::new(0) })
    }

    /// True while no request is unseen: no mount is between a look at the disk and the write that follows it.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.unseen.get() == 0
    }

    fn end_requests(&self, count: usize) {
        self.unseen.set(self.unseen.get() - count);
    }
}

struct UnderWay {
    completion: Completion,
    at: u64,
    /// For a flush, when it was submitted: it covers the writes that were complete by then.
    flushes: Option<u64>,
}

/// The names of disks, by their numbers.
const NAMES: [&str; 16] = [
    "disk0", "disk1", "disk2", "disk3", "disk4", "disk5", "disk6", "disk7", "disk8", "disk9", "disk10", "disk11",
    "disk12", "disk13", "disk14", "disk15",
];

/// A disk as one mount has it open.
pub(crate) struct SimDevice {
    disk: Rc<SimDisk>,
    host: &'static Host,
    info: DeviceInfo,
    number: u64,
    under_way: RefCell<Vec<Option<UnderWay>>>,
}

impl SimDevice {
    pub(crate) fn new(disk: &Rc<SimDisk>, host: &'static Host, number: usize) -> Self {
        let size_bytes = disk.medium.borrow().size_bytes();
        let name = DeviceName::new(NAMES.get(number).unwrap_or(&"another disk"));
        Self {
            disk: Rc::clone(disk),
            host,
            info: DeviceInfo {
                name,
                size_bytes,
                queue_depth: QUEUE_DEPTH,
                read_only: false,
                is_shared: host.shares_disks(),
            },
            number: number as u64,
            under_way: RefCell::new((0..QUEUE_DEPTH).map(|_| None).collect()),
        }
    }

    /// How long a request takes.
    fn nanoseconds(&self, request: &Request) -> u64 {
        let base = if request.operation == Operation::Flush { 200_000 } else { 20_000 };
        (base + self.host.draw(base)) * self.disk.slowness.get()
    }
}

impl BlockDevice for SimDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn submit(&self, ticket: Ticket, mut request: Request) {
        if !self.host.use_power() {
            return;
        }
        let now = self.host.nanoseconds();
        let at = now + self.nanoseconds(&request);
        let mut result = self.info.admit(&request);
        let (kind, mut flushes) = (request.operation, None);
        let code = match kind {
            _ if result.is_err() => 0,
            Operation::Read(offset) => {
                self.disk.medium.borrow().read(offset.0, request.buffer.bytes_mut());
                offset.0 << 2
            }
            Operation::Write(offset) => {
                self.disk.medium.borrow_mut().write(offset.0, request.buffer.bytes(), at);
                offset.0 << 2 | 1
            }
            Operation::Flush => {
                flushes = Some(now);
                2
            }
            Operation::Zero { .. } => {
                result = Err(DeviceError::Unsupported);
                0
            }
            Operation::Discard { offset, .. } => offset.0 << 2 | 3,
        };
        self.host.note(code ^ self.number << 56 ^ (request.buffer.len() as u64) << 36 ^ now.rotate_left(17));
        let completion = Completion { buffer: request.buffer, result };
        self.under_way.borrow_mut()[usize::from(ticket.0)] = Some(UnderWay { completion, at, flushes });
        self.disk.unseen.set(self.disk.unseen.get() + 1);
    }

    fn poll(&self, ticket: Ticket, _: &mut Context<'_>) -> Poll<Completion> {
        let place = &mut self.under_way.borrow_mut()[usize::from(ticket.0)];
        match place {
            Some(under_way) if under_way.at > self.host.nanoseconds() => {
                self.host.alarm(under_way.at);
                return Poll::Pending;
            }
            _ if !self.host.has_power() => return Poll::Pending,
            _ => {}
        }
        let Some(UnderWay { completion, flushes, .. }) = place.take() else { return Poll::Pending };
        self.disk.end_requests(1);
        if let Some(complete_at) = flushes {
            self.disk.medium.borrow_mut().flush(complete_at);
        }
        Poll::Ready(completion)
    }

    fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        for under_way in self.under_way.borrow_mut().iter_mut().flatten() {
            under_way.completion.result = Err(DeviceError::Gone);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        self.disk.end_requests(self.under_way.get_mut().iter().flatten().count());
    }
}
