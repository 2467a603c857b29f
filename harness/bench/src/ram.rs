//! A disk in memory whose pages exist already, so that none is allocated while something is measured.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use hammer2_core::io::{BlockDevice, Completion, DeviceError, DeviceInfo, DeviceName, Operation, Request, Ticket};

const QUEUE_DEPTH: u16 = 64;

/// The bytes of a disk.
pub struct RamDisk(RefCell<Vec<u8>>);

impl RamDisk {
    /// A disk of this size.
    pub fn new(bytes: usize) -> Rc<Self> {
        let mut content = vec![0; bytes];
        // The host allocates a page when it is first written.
        content.chunks_mut(4096).for_each(|page| page[0] = 1);
        Rc::new(Self(RefCell::new(content)))
    }

    /// Works directly on the bytes, without a device.
    pub fn with<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        work(&mut self.0.borrow_mut())
    }
}

/// A device on a [`RamDisk`].
pub struct RamDevice {
    disk: Rc<RamDisk>,
    info: DeviceInfo,
    done: RefCell<Vec<Option<Completion>>>,
}

impl RamDevice {
    /// Opens the disk.
    pub fn new(disk: Rc<RamDisk>) -> Self {
        let size_bytes = disk.with(|bytes| bytes.len() as u64);
        let name = DeviceName::new(&"memory");
        let info = DeviceInfo { name, size_bytes, queue_depth: QUEUE_DEPTH, read_only: false, is_shared: false };
        Self { disk, info, done: RefCell::new((0..QUEUE_DEPTH).map(|_| None).collect()) }
    }

    /// The work that hardware does by itself. It isn't inlined, so that [instructions](crate::instructions) can leave it out.
    #[inline(never)]
    fn execute(&self, request: &mut Request) -> Result<(), DeviceError> {
        self.info.admit(request)?;
        let Range { start, end } = request.extent();
        self.disk.with(|bytes| match request.operation {
            Operation::Zero { .. } => bytes[start as usize..end as usize].fill(0),
            Operation::Read(_) => request.buffer.bytes_mut().copy_from_slice(&bytes[start as usize..end as usize]),
            Operation::Write(_) => bytes[start as usize..end as usize].copy_from_slice(request.buffer.bytes()),
            Operation::Flush | Operation::Discard { .. } => {}
        });
        Ok(())
    }
}

impl BlockDevice for RamDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn submit(&self, ticket: Ticket, mut request: Request) {
        let result = self.execute(&mut request);
        self.done.borrow_mut()[usize::from(ticket.0)] = Some(Completion { buffer: request.buffer, result });
    }

    fn poll(&self, ticket: Ticket, _: &mut Context<'_>) -> Poll<Completion> {
        self.done.borrow_mut()[usize::from(ticket.0)].take().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        Poll::Ready(Ok(()))
    }
}
