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

/// What a device is called in messages: a path, an address, a slot.
///
/// It is there for as long as the program is, or whatever else speaks of the device, so that every error can say of which device
/// it is. It takes one word, as errors are on every frame of the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName(&'static &'static str);

impl DeviceName {
    /// Takes a name.
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

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What errors call it.
    pub name: DeviceName,
    /// Size in bytes when it was opened.
    pub size_bytes: u64,
    /// Requests the device takes at once: tickets are `0..queue_depth`.
    pub queue_depth: u16,
    /// Writes are refused.
    pub read_only: bool,
    /// Other machines, or other mounts of this one, may reach it: nothing but a heartbeat tells who writes to it.
    pub is_shared: bool,
}

impl DeviceInfo {
    /// Refuses what no device like this one can do: for devices to check a request with before they start on it.
    pub fn admit(&self, request: &Request) -> Result<(), DeviceError> {
        self.admit_within(self.size_bytes, request)
    }

    /// The same, for a device that has `size_bytes` by now.
    pub fn admit_within(&self, size_bytes: u64, request: &Request) -> Result<(), DeviceError> {
        let extent = request.extent();
        let changes = matches!(request.operation, Operation::Write(_) | Operation::Discard { .. });
        if changes && self.read_only {
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

/// Names one request in flight: a number below the device's queue depth, chosen by the device's one owner, which
/// doesn't use it again before the request is complete.
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
    /// Says that the range's content is of no more use. A device may do nothing; reads of it return anything.
    Discard {
        /// First byte.
        offset: DeviceOffset,
        /// Length in bytes.
        bytes: u64,
    },
}

/// When a device may begin with what changes content. Anything else may begin at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// While that is [permitted](Permission).
    Permitted,
    /// Before that time, whatever is permitted: what says who may.
    Before(Instant),
}

/// Whether a device may begin with a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Ready,
    /// Not before it is [permitted](BlockDevice::permit) again. Until then the request is kept.
    Kept,
    /// It may never any more: so it ends.
    Over(DeviceError),
}

/// A request on its way to a device.
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
    /// A request that changes something only while that is permitted.
    pub fn new(operation: Operation, buffer: Buffer) -> Self {
        Self { operation, buffer, begin: Begin::Permitted }
    }

    /// Whether it may be begun with now. Most requests don't depend on the time, and it isn't asked for then.
    pub fn readiness(&self, permission: Permission, now: impl Fn() -> Instant) -> Readiness {
        let is_change = matches!(self.operation, Operation::Write(_) | Operation::Discard { .. });
        match (self.begin, permission) {
            _ if !is_change => Readiness::Ready,
            (Begin::Before(end), _) if now() < end => Readiness::Ready,
            (Begin::Before(_), _) => Readiness::Over(DeviceError::Timeout),
            (Begin::Permitted, Permission::Always) => Readiness::Ready,
            (Begin::Permitted, Permission::Never) => Readiness::Over(DeviceError::Fenced),
            (Begin::Permitted, Permission::Until(end)) if now() < end => Readiness::Ready,
            (Begin::Permitted, Permission::Until(_)) => Readiness::Kept,
        }
    }

    /// The part of the device it concerns, in bytes; empty for a flush.
    pub fn extent(&self) -> Range<u64> {
        let (start, bytes) = match self.operation {
            Operation::Read(offset) | Operation::Write(offset) => (offset.0, self.buffer.len() as u64),
            Operation::Discard { offset, bytes } => (offset.0, bytes),
            Operation::Flush => (0, 0),
        };
        start..start.saturating_add(bytes)
    }
}

/// A request that is done, with its buffer back.
#[derive(Debug)]
pub struct Completion {
    /// The buffer of the request; after a failed read its content means nothing.
    pub buffer: Buffer,
    /// How it ended.
    pub result: Result<(), DeviceError>,
}

/// Why a device didn't do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// What holds the device is full (a sparse image on a full disk).
    #[error("no space left behind the device")]
    NoSpace,
    /// Another mount writes to the device: this one may not any more.
    #[error("another mount has taken the device over")]
    Fenced,
    /// The operation doesn't exist here.
    #[error("operation not supported by the device")]
    Unsupported,
}

/// A device of blocks. One owner drives it, normally a [`Disk`](super::Disk).
///
/// The device owns a request with its buffer from `submit` until `poll` hands it back. Requests may overlap and complete in
/// any order. An owner that loses interest in a request simply keeps its ticket until it completes.
pub trait BlockDevice {
    /// What the device is. Constant while it is open.
    fn info(&self) -> &DeviceInfo;

    /// The size in bytes by now: a device may have grown while it is open, and admits requests up to there from then on.
    fn measure(&self) -> u64 {
        self.info().size_bytes
    }

    /// Where content may be, from a place on: what is before that is zeros, and needn't be read.
    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        from
    }

    /// Says whether content may be changed from here on. A device where requests wait begins with a change only while it may be,
    /// by the clock of its disk, and keeps it [otherwise](Readiness): the process, or the whole machine, may have been asleep
    /// since the change was submitted, and somebody else may write to the device by now. A device that begins with a request
    /// when it is submitted needn't know.
    fn permit(&self, permission: Permission) {
        let _ = permission;
    }

    /// Takes a request. `ticket` is below the queue depth and not in use. Errors are reported by `poll`.
    fn submit(&self, ticket: Ticket, request: Request);

    /// The request's completion, or `Pending` after having arranged for `cx`'s waker to be woken when it completes. Only
    /// the waker of the last call is kept.
    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion>;

    /// Ends all requests under way with [`DeviceError::Gone`] and makes the device fit for new ones. Only after it is
    /// ready with `Ok` is it certain that no earlier write lands late.
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>>;

    /// Lets go of what the device is on, so that it can be taken away: requests fail until it is reset. Nothing is under way.
    fn close(&self) {}
}

/// A device of any kind, as the core holds it.
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
