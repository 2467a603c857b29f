//! The block-device trait: submission and completion.

use core::fmt;
use core::ops::Range;
use core::task::{Context, Poll};

use allocator_api2::unsize_box;

use super::{Buffer, Instant, Permission};
use crate::memory::{self, Box, Heap, NoMemory};

/// The unit of offsets and lengths of requests.
pub const SECTOR_BYTES: u64 = 512;

/// A byte offset on one device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceOffset(pub u64);

impl fmt::Debug for DeviceOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceOffset({:#x})", self.0)
    }
}

/// The name of a device in messages: a path, an address, a slot.
///
/// It must exist as long as the program, or anything that mentions the device, so that every error can name its device. It takes
/// one word, because errors are on every frame of the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName(&'static &'static str);

impl DeviceName {
    /// Makes a device name.
    pub const fn new(name: &'static &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceName({})", self.0)
    }
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name in errors.
    pub name: DeviceName,
    /// Size in bytes when it was opened.
    pub size_bytes: u64,
    /// The number of requests that the device takes at a time: tickets are `0..queue_depth`.
    pub queue_depth: u16,
    /// True when it refuses writes.
    pub read_only: bool,
    /// True when other machines, or other mounts of this one, may reach it: only a heartbeat tells who writes to it.
    pub is_shared: bool,
}

impl DeviceInfo {
    /// Refuses requests that no such device can do. Devices check a request with this before they start on it.
    pub fn admit(&self, request: &Request) -> Result<(), DeviceError> {
        self.admit_within(self.size_bytes, request)
    }

    /// Does the same for a device that has grown to `size_bytes`.
    pub fn admit_within(&self, size_bytes: u64, request: &Request) -> Result<(), DeviceError> {
        let extent = request.extent();
        if request.operation.is_change() && self.read_only {
            return Err(DeviceError::ReadOnly);
        }
        if extent.end > size_bytes {
            return Err(DeviceError::OutOfRange);
        }
        if !extent.start.is_multiple_of(SECTOR_BYTES) || !extent.end.is_multiple_of(SECTOR_BYTES) {
            return Err(DeviceError::Unsupported);
        }
        Ok(())
    }
}

/// Names one request in flight: a number below the device's queue depth, chosen by the device's one owner, which doesn't reuse it
/// before the request is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u16);

/// What a request does. Offsets and lengths are multiples of [`SECTOR_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Fills the buffer from the device.
    Read(DeviceOffset),
    /// Writes the whole buffer.
    Write(DeviceOffset),
    /// Makes every write completed before it durable.
    Flush,
    /// Makes the range read as zeros, as if they had been written, however the device does that. A device that has no better
    /// way than to be given the zeros doesn't support it.
    Zero {
        /// First byte.
        offset: DeviceOffset,
        /// Length in bytes.
        bytes: u64,
    },
    /// Says that the content of a range is no longer needed. A device may do nothing; reads of the range return anything.
    Discard {
        /// First byte.
        offset: DeviceOffset,
        /// Length in bytes.
        bytes: u64,
    },
}

impl Operation {
    /// True when it changes content.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Write(_) | Self::Zero { .. } | Self::Discard { .. })
    }
}

/// When a device may begin with a request that changes content. It may begin with any other at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// While changes are [permitted](Permission).
    Permitted,
    /// Before that time, whatever is permitted: for heartbeats, which decide who may change content.
    Before(Instant),
}

/// Whether a device may begin with a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may begin.
    Ready,
    /// It may not begin before it is [permitted](BlockDevice::permit) again. Until then it keeps the request.
    Kept,
    /// It may never begin any more: the request ends with this error.
    Over(DeviceError),
}

/// A request to a device.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// Data to write or room to read into; empty for the other operations.
    pub buffer: Buffer,
    /// When the device may begin with it.
    pub begin: Begin,
}

impl Request {
    /// A request that changes content only while that is permitted.
    pub fn new(operation: Operation, buffer: Buffer) -> Self {
        Self { operation, buffer, begin: Begin::Permitted }
    }

    /// Whether the device may begin with it now. The clock is read only for the requests that depend on it.
    pub fn readiness(&self, permission: Permission, now: impl Fn() -> Instant) -> Readiness {
        match (self.begin, permission) {
            _ if !self.operation.is_change() => Readiness::Ready,
            (Begin::Before(end), _) if now() < end => Readiness::Ready,
            (Begin::Before(_), _) => Readiness::Over(DeviceError::Timeout),
            (Begin::Permitted, Permission::Always) => Readiness::Ready,
            (Begin::Permitted, Permission::Never) => Readiness::Over(DeviceError::Fenced),
            (Begin::Permitted, Permission::Until(end)) if now() < end => Readiness::Ready,
            (Begin::Permitted, Permission::Until(_)) => Readiness::Kept,
        }
    }

    /// The part of the device that it concerns, in bytes; empty for a flush.
    pub fn extent(&self) -> Range<u64> {
        let (start, bytes) = match self.operation {
            Operation::Read(offset) | Operation::Write(offset) => (offset.0, self.buffer.len() as u64),
            Operation::Zero { offset, bytes } | Operation::Discard { offset, bytes } => (offset.0, bytes),
            Operation::Flush => (0, 0),
        };
        start..start.saturating_add(bytes)
    }
}

/// A completed request, with its buffer.
#[derive(Debug)]
pub struct Completion {
    /// The buffer of the request; after a failed read its content means nothing.
    pub buffer: Buffer,
    /// How it ended.
    pub result: Result<(), DeviceError>,
}

/// Why a device didn't carry out a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The device reported an error, with its own code (an errno on a host, a virtio status in a kernel).
    #[error("device error {0}")]
    Io(i32),
    /// The range lies outside the device.
    #[error("beyond the end of the device")]
    OutOfRange,
    /// No answer before the deadline.
    #[error("no answer in time")]
    Timeout,
    /// The device is gone, or was reset while the request was under way.
    #[error("device gone")]
    Gone,
    /// The device can't be written.
    #[error("device is read-only")]
    ReadOnly,
    /// The storage behind the device is full (a sparse image on a full disk).
    #[error("no space left in the storage behind the device")]
    NoSpace,
    /// Another mount writes to the device: this one may not write any more.
    #[error("another mount has taken the device over")]
    Fenced,
    /// The device doesn't have this operation.
    #[error("operation not supported by the device")]
    Unsupported,
}

/// A device of blocks. One owner drives it, normally a [`Disk`](super::Disk).
///
/// The device owns a request with its buffer from `submit` until `poll` hands it back. Requests may overlap and complete in
/// any order. An owner that loses interest in a request simply keeps its ticket until it completes.
pub trait BlockDevice {
    /// What is known of the device; constant while it is open.
    fn info(&self) -> &DeviceInfo;

    /// The present size in bytes: a device may have grown while it is open, and then admits requests up to the new end.
    fn measure(&self) -> u64 {
        self.info().size_bytes
    }

    /// The first place at or after `from` that may have content: everything before it is zeros, and needn't be read.
    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        from
    }

    /// Tells the device whether content may be changed from here on. A device in which requests wait begins with a change only
    /// while that is permitted by the clock of its disk, and keeps it [otherwise](Readiness): the process or the whole machine
    /// may have been asleep since the change was submitted, and another mount may write to the device by now. A device that
    /// begins with each request at its submission needn't know.
    fn permit(&self, permission: Permission) {
        let _ = permission;
    }

    /// Takes a request. `ticket` is below the queue depth and not in use. Errors are reported by `poll`.
    fn submit(&self, ticket: Ticket, request: Request);

    /// Returns the completion of a request. `Pending` means that `cx`'s waker will be woken when the request completes. Only the
    /// waker of the last call is kept.
    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion>;

    /// Ends all requests under way with [`DeviceError::Gone`] and makes the device fit for new ones. Only when this is ready with
    /// `Ok` is it certain that no earlier write lands later.
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>>;

    /// Closes what is behind the device (a file, a disk), so that it can be taken away: requests fail until the device is reset.
    /// No request may be under way.
    fn close(&self) {}
}

/// A device of any kind, in the form in which the core holds it.
pub type DeviceBox = Box<dyn BlockDevice>;

/// Boxes a device.
pub fn boxed_device<D: BlockDevice + 'static>(heap: Heap, device: D) -> Result<DeviceBox, NoMemory> {
    let device = memory::boxed(heap, device)?;
    Ok(unsize_box!(device))
}

impl BlockDevice for DeviceBox {
    fn info(&self) -> &DeviceInfo {
        (**self).info()
    }

    fn measure(&self) -> u64 {
        (**self).measure()
    }

    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        (**self).next_content(from)
    }

    fn permit(&self, permission: Permission) {
        (**self).permit(permission);
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        (**self).submit(ticket, request);
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        (**self).poll(ticket, cx)
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        (**self).poll_reset(cx)
    }

    fn close(&self) {
        (**self).close();
    }
}
