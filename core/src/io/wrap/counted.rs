//! Counting requests: unlike the time it takes, the amount of work that reaches a device is deterministic.

use core::cell::Cell;
use core::ops::Deref;
use core::task::{Context, Poll};

use crate::io::{
    BlockDevice, Completion, DeviceError, DeviceInfo, DeviceOffset, Operation, Permission, Request, Ticket,
};

/// The requests to a device, whether or not they succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read requests.
    pub reads: u64,
    /// Bytes of the read requests.
    pub read_bytes: u64,
    /// Write requests.
    pub writes: u64,
    /// Bytes of the write requests.
    pub written_bytes: u64,
    /// Flush requests.
    pub flushes: u64,
    /// Requests for zeros.
    pub zeros: u64,
    /// Bytes of the requests for zeros.
    pub zeroed_bytes: u64,
    /// Discard requests.
    pub discards: u64,
    /// Bytes of the discard requests.
    pub discarded_bytes: u64,
}

/// Growing counts; several devices may share them.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Cell<Counts>,
}

impl Counters {
    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// The counts so far, which are then reset to zero.
    pub fn take(&self) -> Counts {
        self.counts.take()
    }

    fn count(&self, request: &Request) {
        let mut counts = self.counts.get();
        let extent = request.extent();
        let bytes = extent.end - extent.start;
        match request.operation {
            Operation::Read(_) => {
                counts.reads += 1;
                counts.read_bytes += bytes;
            }
            Operation::Write(_) => {
                counts.writes += 1;
                counts.written_bytes += bytes;
            }
            Operation::Flush => counts.flushes += 1,
            Operation::Zero { .. } => {
                counts.zeros += 1;
                counts.zeroed_bytes = counts.zeroed_bytes.saturating_add(bytes);
            }
            Operation::Discard { .. } => {
                counts.discards += 1;
                counts.discarded_bytes = counts.discarded_bytes.saturating_add(bytes);
            }
        }
        self.counts.set(counts);
    }
}

/// A device whose requests are counted.
pub struct Counted<D, C> {
    device: D,
    counters: C,
}

impl<D: BlockDevice, C: Deref<Target = Counters>> Counted<D, C> {
    /// Counts the requests to `device` in `counters`.
    pub fn new(device: D, counters: C) -> Self {
        Self { device, counters }
    }
}

impl<D: BlockDevice, C: Deref<Target = Counters>> BlockDevice for Counted<D, C> {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn measure(&self) -> u64 {
        self.device.measure()
    }

    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        self.device.next_content(from)
    }

    fn permit(&self, permission: Permission) {
        self.device.permit(permission);
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        self.counters.count(&request);
        self.device.submit(ticket, request);
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        self.device.poll(ticket, cx)
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        self.device.poll_reset(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Buffer;
    use crate::io::testing::{self, HEAP};

    #[test]
    fn requests_and_bytes_are_counted_by_kind() {
        let counters = Counters::default();
        let disk = testing::memory_disk(1 << 20);
        let device = Counted::new(testing::memory_device(&disk), &counters);
        for operation in [Operation::Read(DeviceOffset(512)), Operation::Write(DeviceOffset(0)), Operation::Flush] {
            let bytes = if operation == Operation::Flush { 0 } else { 1536 };
            let buffer = Buffer::new(HEAP, bytes).unwrap();
            assert!(testing::complete(&device, Request::new(operation, buffer)).is_ok());
        }
        let zero = Operation::Zero { offset: DeviceOffset(512), bytes: 1024 };
        let discard = Operation::Discard { offset: DeviceOffset(0), bytes: 65536 };
        for operation in [zero, discard] {
            assert!(testing::complete(&device, Request::new(operation, Buffer::empty(HEAP))).is_ok());
        }
        let expected = Counts {
            reads: 1,
            read_bytes: 1536,
            writes: 1,
            written_bytes: 1536,
            flushes: 1,
            zeros: 1,
            zeroed_bytes: 1024,
            discards: 1,
            discarded_bytes: 65536,
        };
        assert_eq!(counters.take(), expected);
        assert_eq!(counters.counts(), Counts::default());
    }
}
