//! A sparse disk in memory, for self-tests and simulations.
//!
//! The disk is the medium: it outlives the devices that are opened on it, so a test can mount it, throw the mount away and look
//! at what is left. Only pages with content take memory; when memory runs out, the disk is full.

use core::cell::{Cell, RefCell};
use core::ops::{Deref, Range};
use core::task::{Context, Poll};

use super::{
    BlockDevice, Buffer, Completion, DeviceError, DeviceInfo, DeviceName, DeviceOffset, Operation, Request, Ticket,
};
use crate::media::is_zero;
use crate::memory::{self, Heap, NoMemory, Vec};

/// The unit in which memory is allocated, in bytes.
const PAGE_BYTES: u64 = 16384;

/// A medium of bytes, in pages.
pub struct MemoryDisk {
    size_bytes: Cell<u64>,
    /// Pages with their numbers, in ascending order.
    pages: RefCell<Vec<(u64, Buffer)>>,
    heap: Heap,
}

impl MemoryDisk {
    /// A disk of zeros.
    pub fn new(heap: Heap, size_bytes: u64) -> Self {
        Self { size_bytes: Cell::new(size_bytes), pages: RefCell::new(Vec::new_in(heap)), heap }
    }

    /// A copy of the disk as it is now.
    pub fn try_clone(&self) -> Result<Self, NoMemory> {
        let copy = Self::new(self.heap, self.size_bytes());
        for (number, page) in self.pages.borrow().iter() {
            let mut page_copy = Buffer::new(self.heap, page.len())?;
            page_copy.bytes_mut().copy_from_slice(page.bytes());
            memory::push(&mut copy.pages.borrow_mut(), (*number, page_copy))?;
        }
        Ok(copy)
    }

    /// The size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.get()
    }

    /// Makes the disk larger, even while devices are open on it.
    pub fn grow(&self, size_bytes: u64) {
        self.size_bytes.set(size_bytes.max(self.size_bytes()));
    }

    /// Bytes of memory that the pages take.
    pub fn resident_bytes(&self) -> u64 {
        self.pages.borrow().len() as u64 * PAGE_BYTES
    }

    /// Reads at any byte offset, bypassing all devices.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let pages = self.pages.borrow();
        for piece in self.pieces(offset, bytes.len())? {
            let target = &mut bytes[piece.in_bytes];
            match find(&pages, piece.number) {
                Ok(index) => target.copy_from_slice(&pages[index].1.bytes()[piece.in_page]),
                Err(_) => target.fill(0),
            }
        }
        Ok(())
    }

    /// Writes at any byte offset, bypassing all devices. If memory runs out, a part may have been written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let mut pages = self.pages.borrow_mut();
        for piece in self.pieces(offset, bytes.len())? {
            let source = &bytes[piece.in_bytes];
            let index = match find(&pages, piece.number) {
                Ok(index) => index,
                Err(_) if is_zero(source) => continue,
                Err(index) => {
                    let page = Buffer::new(self.heap, PAGE_BYTES as usize).map_err(|NoMemory| DeviceError::NoSpace)?;
                    pages.try_reserve(1).map_err(|_| DeviceError::NoSpace)?;
                    pages.insert(index, (piece.number, page));
                    index
                }
            };
            pages[index].1.bytes_mut()[piece.in_page].copy_from_slice(source);
        }
        Ok(())
    }

    /// Makes a range read as zeros.
    fn zero(&self, extent: &Range<u64>) {
        self.discard(extent);
        for (number, page) in self.pages.borrow_mut().iter_mut() {
            let page_start = *number * PAGE_BYTES;
            let (start, end) = (extent.start.max(page_start), extent.end.min(page_start.saturating_add(PAGE_BYTES)));
            if start < end {
                page.bytes_mut()[(start - page_start) as usize..(end - page_start) as usize].fill(0);
            }
        }
    }

    /// The first byte from a place on that isn't in a page of zeros.
    fn next_content(&self, from: u64) -> u64 {
        let pages = self.pages.borrow();
        let (Ok(index) | Err(index)) = find(&pages, from / PAGE_BYTES);
        pages.get(index).map_or(self.size_bytes(), |(number, _)| from.max(number * PAGE_BYTES))
    }

    /// Frees all pages that lie wholly in the range; they read as zeros.
    fn discard(&self, extent: &Range<u64>) {
        let whole = extent.start.div_ceil(PAGE_BYTES)..extent.end / PAGE_BYTES;
        self.pages.borrow_mut().retain(|(number, _)| !whole.contains(number));
    }

    fn pieces(&self, offset: u64, len: usize) -> Result<impl Iterator<Item = Piece> + use<>, DeviceError> {
        let end =
            offset.checked_add(len as u64).filter(|end| *end <= self.size_bytes()).ok_or(DeviceError::OutOfRange)?;
        let numbers = offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES);
        Ok(numbers.map(move |number| {
            let page = number * PAGE_BYTES;
            let (start, stop) = (offset.max(page), end.min(page.saturating_add(PAGE_BYTES)));
            Piece {
                number,
                in_page: (start - page) as usize..(stop - page) as usize,
                in_bytes: (start - offset) as usize..(stop - offset) as usize,
            }
        }))
    }
}

/// The part of a range of bytes that lies in one page.
struct Piece {
    number: u64,
    in_page: Range<usize>,
    in_bytes: Range<usize>,
}

fn find(pages: &[(u64, Buffer)], number: u64) -> Result<usize, usize> {
    pages.binary_search_by_key(&number, |(number, _)| *number)
}

/// A device on a [`MemoryDisk`]. Each request is carried out when it is submitted.
pub struct MemoryDevice<M> {
    disk: M,
    info: DeviceInfo,
    done: RefCell<Vec<Option<Completion>>>,
}

impl<M: Deref<Target = MemoryDisk>> MemoryDevice<M> {
    /// Opens the disk under a name, for up to `queue_depth` requests at a time.
    pub fn new(heap: Heap, disk: M, name: &'static &'static str, queue_depth: u16) -> Result<Self, NoMemory> {
        let name = DeviceName::new(name);
        let info = DeviceInfo { name, size_bytes: disk.size_bytes(), queue_depth, read_only: false, is_shared: false };
        let done = RefCell::new(memory::filled(heap, usize::from(queue_depth), || None)?);
        Ok(Self { disk, info, done })
    }

    /// Makes the device refuse writes.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.info.read_only = true;
        self
    }

    /// Marks the device as one that others may have open, too.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.info.is_shared = true;
        self
    }

    fn execute(&self, request: &mut Request) -> Result<(), DeviceError> {
        self.info.admit_within(self.disk.size_bytes(), request)?;
        match request.operation {
            Operation::Read(offset) => self.disk.read_at(offset.0, request.buffer.bytes_mut()),
            Operation::Write(offset) => self.disk.write_at(offset.0, request.buffer.bytes()),
            Operation::Flush => Ok(()),
            Operation::Zero { .. } => {
                self.disk.zero(&request.extent());
                Ok(())
            }
            Operation::Discard { .. } => {
                self.disk.discard(&request.extent());
                Ok(())
            }
        }
    }
}

impl<M: Deref<Target = MemoryDisk>> BlockDevice for MemoryDevice<M> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn measure(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        DeviceOffset(self.disk.next_content(from.0))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{self, HEAP, pattern};

    #[test]
    fn what_is_written_is_read_and_the_rest_is_zero() {
        let disk = testing::memory_disk(1 << 40);
        let data = pattern(40000, 9);
        let offset = (1 << 39) + 5;
        disk.write_at(offset, data.bytes()).unwrap();
        let mut back = pattern(40020, 0);
        disk.read_at(offset - 10, back.bytes_mut()).unwrap();
        assert_eq!(&back.bytes()[10..40010], data.bytes());
        assert!(back.bytes()[..10].iter().chain(&back.bytes()[40010..]).all(|byte| *byte == 0));
        assert_eq!(disk.resident_bytes(), 3 * PAGE_BYTES);
        disk.write_at(1 << 30, &[0; 70000]).unwrap();
        assert_eq!(disk.resident_bytes(), 3 * PAGE_BYTES, "zeros on nothing take no memory");
    }

    #[test]
    fn a_copy_is_its_own_disk() {
        let disk = testing::memory_disk(1 << 20);
        disk.write_at(0, &[1; 10]).unwrap();
        let copy = disk.try_clone().unwrap();
        disk.write_at(0, &[2; 10]).unwrap();
        let mut bytes = [0; 10];
        copy.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [1; 10]);
    }

    #[test]
    fn discard_frees_whole_pages() {
        let disk = testing::memory_disk(1 << 20);
        disk.write_at(0, pattern(4 * PAGE_BYTES as usize, 1).bytes()).unwrap();
        let device = testing::memory_device(&disk);
        let discard = Operation::Discard { offset: DeviceOffset(512), bytes: 3 * PAGE_BYTES };
        testing::complete(&device, Request::new(discard, Buffer::empty(HEAP))).unwrap();
        assert_eq!(disk.resident_bytes(), 2 * PAGE_BYTES);
    }

    #[test]
    fn what_no_device_can_do_is_refused() {
        let disk = testing::memory_disk(1 << 20);
        let device = testing::memory_device(&disk);
        let outcome = |device: &dyn BlockDevice, operation, bytes| {
            let buffer = Buffer::new(HEAP, bytes).unwrap();
            testing::complete(device, Request::new(operation, buffer)).map(drop)
        };
        let (read, write) = (Operation::Read, Operation::Write);
        assert_eq!(outcome(&device, read(DeviceOffset(1 << 20)), 512), Err(DeviceError::OutOfRange));
        assert_eq!(outcome(&device, read(DeviceOffset(u64::MAX - 511)), 1024), Err(DeviceError::OutOfRange));
        assert_eq!(outcome(&device, read(DeviceOffset(100)), 512), Err(DeviceError::Unsupported));
        let device = device.read_only();
        assert_eq!(outcome(&device, write(DeviceOffset(0)), 512), Err(DeviceError::ReadOnly));
        assert_eq!(outcome(&device, read(DeviceOffset(0)), 512), Ok(()));
    }
}
