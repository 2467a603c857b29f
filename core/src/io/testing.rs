//! Helpers for the unit tests of devices.

use core::task::{Context, Poll, Waker};

use allocator_api2::alloc::Global;

use super::{BlockDevice, Buffer, Clock, Completion, DeviceError, Instant, MemoryDevice, MemoryDisk, Request, Ticket};
use crate::memory::Heap;

/// Memory without a limit.
pub(crate) const HEAP: Heap = &Global;

/// An empty disk.
pub(crate) fn memory_disk(size_bytes: u64) -> MemoryDisk {
    MemoryDisk::new(HEAP, size_bytes)
}

/// A device on a disk.
pub(crate) fn memory_device(disk: &MemoryDisk) -> MemoryDevice<&MemoryDisk> {
    MemoryDevice::new(HEAP, disk, &"memory", 8).unwrap()
}

/// Bytes that are the same for the same seed, with the same beginning for every length.
pub(crate) fn pattern(len: usize, seed: u64) -> Buffer {
    let mut buffer = Buffer::new(HEAP, len).unwrap();
    let mut state = seed;
    for byte in buffer.bytes_mut() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *byte = (state >> 56) as u8;
    }
    buffer
}

/// Polls once with a waker that wakes nothing.
pub(crate) fn poll_once<D: BlockDevice + ?Sized>(device: &D, ticket: Ticket) -> Poll<Completion> {
    device.poll(ticket, &mut Context::from_waker(Waker::noop()))
}

/// Runs a request, which must complete at once, with the last ticket.
pub(crate) fn complete<D: BlockDevice + ?Sized>(device: &D, request: Request) -> Result<Buffer, DeviceError> {
    let last = Ticket(device.info().queue_depth - 1);
    device.submit(last, request);
    match poll_once(device, last) {
        Poll::Ready(Completion { buffer, result }) => result.map(|()| buffer),
        Poll::Pending => panic!("the device doesn't complete at once"),
    }
}

/// Disks in memory answer at once, so time may stand still.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant { nanoseconds: 0 }
    }

    fn wake_at(&self, _: Instant, _: &Waker) {}
}

/// The result of a future that only waits for disks in memory.
#[cfg(feature = "selftest")]
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match core::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("disks in memory answer at once"),
    }
}
