//! A virtio block device as the core's [`BlockDevice`].
//!
//! Our own driver over virtio-drivers' queue and transport: many requests in flight, flush and discard queued like the rest, one
//! doorbell per executor turn, a reset that gives every buffer back. Submission allocates nothing: what a ticket needs is set up
//! with the device. A device that never answers just keeps its request; the core's `Disk` is responsible for deadlines.
//!
//! The kernel holds a [`VirtioBlk`] and calls [`turn`](VirtioBlk::turn) once per executor turn; a reference to it is the
//! `BlockDevice` for the core.

mod rings;
mod wire;

use core::cell::RefCell;
use core::task::{Context, Poll, Waker};

use hammer2_core::io::{
    BlockDevice, Buffer, Completion, DeviceError, DeviceInfo, DeviceName, Operation, Request, Ticket,
};
use hammer2_core::memory::{self, Heap, NoMemory, Vec};
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

use rings::Rings;
use wire::{Command, Features, SECTOR_BYTES};

/// The queue's size unless the kernel chooses another; the device must have room for it.
pub const QUEUE_SIZE: usize = 256;

/// The most descriptors of a request: header, data, status.
const DESCRIPTORS_PER_REQUEST: usize = 3;

/// Why a device can't be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// No memory for its tickets.
    NoMemory,
    /// The device, or the kernel's `Hal`, failed.
    Virtio(virtio_drivers::Error),
    /// The device refuses the features that it has offered, or is older than virtio 1.
    Features,
}

impl core::fmt::Display for SetupError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoMemory => NoMemory.fmt(f),
            Self::Virtio(error) => write!(f, "virtio: {error}"),
            Self::Features => f.write_str("the device refuses virtio 1 or the features it offers"),
        }
    }
}

impl core::error::Error for SetupError {}

impl From<NoMemory> for SetupError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<virtio_drivers::Error> for SetupError {
    fn from(error: virtio_drivers::Error) -> Self {
        Self::Virtio(error)
    }
}

/// The state of a ticket.
enum State {
    Free,
    /// The device has the buffer.
    InFlight(Buffer),
    Done(Completion),
}

struct Slot {
    state: State,
    waker: Option<Waker>,
}

impl Slot {
    fn complete(&mut self, completion: Completion) {
        self.state = State::Done(completion);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Ends all requests under way of a device that no longer uses them.
fn end_all(slots: &mut [Slot]) {
    for slot in slots {
        match core::mem::replace(&mut slot.state, State::Free) {
            State::InFlight(buffer) => slot.complete(Completion { buffer, result: Err(DeviceError::Gone) }),
            other => slot.state = other,
        }
    }
}

/// Whether the device takes requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Running,
    Resetting,
    /// It was taken out, and no other is known to be in its place.
    TakenOut,
    /// It couldn't be set up again after a reset, or is no longer there.
    Gone,
}

struct Inner<H: Hal, T: Transport, const QUEUE: usize> {
    rings: Rings<H, T, QUEUE>,
    /// The slot of each ticket. In flight means that the rings have the request.
    slots: Vec<Slot>,
    mode: Mode,
}

/// A virtio block device with a queue of `QUEUE` descriptors, enough for a third as many requests in flight.
///
/// A reference to it is the [`BlockDevice`], for one owner at a time; a new owner resets it first, unless the former one has left
/// nothing under way.
///
/// Dropping it resets the device. Memory that the device may still write to, because it doesn't confirm the reset, is
/// leaked rather than freed.
pub struct VirtioBlk<H: Hal, T: Transport, const QUEUE: usize = QUEUE_SIZE> {
    info: DeviceInfo,
    features: Features,
    max_discard_sectors: u32,
    max_zero_sectors: u32,
    inner: RefCell<Inner<H, T, QUEUE>>,
}

impl<H: Hal, T: Transport, const QUEUE: usize> VirtioBlk<H, T, QUEUE> {
    /// The number of requests that can be in flight.
    pub const DEPTH: usize = QUEUE / DESCRIPTORS_PER_REQUEST;

    /// Sets the device up. `name` is its name in errors.
    pub fn new(heap: Heap, transport: T, name: DeviceName) -> Result<Self, SetupError> {
        let slots = memory::filled(heap, Self::DEPTH, || Slot { state: State::Free, waker: None })?;
        let (rings, found) = Rings::new(heap, transport, Self::DEPTH)?;
        Ok(Self {
            info: DeviceInfo {
                // A disk is given to one machine only, unless stated otherwise.
                is_shared: false,
                name,
                size_bytes: found.sectors.saturating_mul(SECTOR_BYTES),
                queue_depth: Self::DEPTH as u16,
                read_only: found.features.contains(Features::READ_ONLY),
            },
            features: found.features,
            max_discard_sectors: found.max_discard_sectors,
            max_zero_sectors: found.max_zero_sectors,
            inner: RefCell::new(Inner { rings, slots, mode: Mode::Running }),
        })
    }

    /// Acknowledges an interrupt, so that the device releases its interrupt line. Call it before the next [`turn`](Self::turn);
    /// it is harmless when the interrupt was another device's.
    pub fn acknowledge_interrupt(&self) {
        self.inner.borrow_mut().rings.acknowledge_interrupt();
    }

    /// Rings the doorbell if requests were submitted since the last turn, and completes those that the device has answered.
    pub fn turn(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.mode != Mode::Running {
            return;
        }
        let Inner { rings, slots, .. } = &mut *inner;
        rings.ring_doorbell();
        while let Some(index) = rings.next_answered() {
            let slot = &mut slots[index];
            let State::InFlight(mut buffer) = core::mem::replace(&mut slot.state, State::Free) else { continue };
            match rings.finish(index, &mut buffer) {
                Some(result) => slot.complete(Completion { buffer, result }),
                None => {
                    slot.state = State::InFlight(buffer);
                    break;
                }
            }
        }
    }

    /// Releases the device, which is about to be taken out of the machine: its requests end with [`DeviceError::Gone`], and so do
    /// all until [`put_back`](Self::put_back). Returns false when the device doesn't release its memory: it must not be taken out
    /// yet.
    pub fn take_out(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        let Inner { rings, slots, mode } = &mut *inner;
        rings.start_reset();
        if !rings.becomes_reset() {
            return false;
        }
        rings.forget();
        *mode = Mode::TakenOut;
        end_all(slots);
        true
    }

    /// Continues with another transport: the device, or another of the same size and features, is back in its place.
    pub fn put_back(&self, transport: T) -> Result<(), SetupError> {
        let mut inner = self.inner.borrow_mut();
        let Inner { rings, slots, mode } = &mut *inner;
        let found = rings.replace(transport)?;
        end_all(slots);
        if found.features != self.features || found.sectors.saturating_mul(SECTOR_BYTES) != self.info.size_bytes {
            return Err(SetupError::Features);
        }
        *mode = Mode::Running;
        Ok(())
    }

    /// The command for an operation; `Err` with its result if it needs no command.
    fn command(&self, request: &Request) -> Result<Command, Result<(), DeviceError>> {
        let data_bytes = request.buffer.len() as u64;
        if request.operation.is_change() && self.info.read_only {
            return Err(Err(DeviceError::ReadOnly));
        }
        match request.operation {
            Operation::Read(offset) => self.check_range(offset.0, data_bytes).map(|()| Command::Read(offset)),
            Operation::Write(offset) => self.check_range(offset.0, data_bytes).map(|()| Command::Write(offset)),
            // A device without the feature has nothing volatile.
            Operation::Flush if !self.features.contains(Features::FLUSH) => Err(Ok(())),
            Operation::Flush => Ok(Command::Flush),
            Operation::Zero { offset, bytes } => {
                self.check_range(offset.0, bytes)?;
                let sectors = u32::try_from(bytes / SECTOR_BYTES).ok();
                match sectors.filter(|sectors| *sectors <= self.max_zero_sectors) {
                    Some(sectors) => Ok(Command::Zero { offset, sectors }),
                    None => Err(Err(DeviceError::Unsupported)),
                }
            }
            Operation::Discard { offset, bytes } => {
                self.check_range(offset.0, bytes)?;
                if !self.features.contains(Features::DISCARD) {
                    return Err(Err(DeviceError::Unsupported));
                }
                // A discard is a hint; what exceeds the device's limit isn't discarded.
                let sectors = u32::try_from(bytes / SECTOR_BYTES).unwrap_or(u32::MAX).min(self.max_discard_sectors);
                Ok(Command::Discard { offset, sectors })
            }
        }
    }

    fn check_range(&self, offset: u64, bytes: u64) -> Result<(), Result<(), DeviceError>> {
        let end = offset.checked_add(bytes).ok_or(Err(DeviceError::OutOfRange))?;
        if end > self.info.size_bytes {
            return Err(Err(DeviceError::OutOfRange));
        }
        if !offset.is_multiple_of(SECTOR_BYTES) || !bytes.is_multiple_of(SECTOR_BYTES) || bytes > u64::from(u32::MAX) {
            return Err(Err(DeviceError::Unsupported));
        }
        if bytes == 0 { Err(Ok(())) } else { Ok(()) }
    }
}

impl<H: Hal, T: Transport, const QUEUE: usize> BlockDevice for &VirtioBlk<H, T, QUEUE> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn submit(&self, ticket: Ticket, mut request: Request) {
        let mut inner = self.inner.borrow_mut();
        let Inner { rings, slots, mode } = &mut *inner;
        let index = usize::from(ticket.0);
        // The device may still write to the memory of an unfinished request. A completion that nobody has collected is different:
        // it belonged to a former owner.
        assert!(!matches!(slots[index].state, State::InFlight(_)), "{ticket:?} is in use");
        let command = match mode {
            Mode::Running => self.command(&request),
            Mode::Resetting | Mode::TakenOut | Mode::Gone => Err(Err(DeviceError::Gone)),
        };
        let sent = command.and_then(|command| {
            rings.send(index, command, &mut request.buffer).map_err(|error| {
                log::error!("{}: request refused by the queue: {error}", self.info.name);
                Err(DeviceError::Gone)
            })
        });
        slots[index].state = match sent {
            Ok(()) => State::InFlight(request.buffer),
            Err(result) => State::Done(Completion { buffer: request.buffer, result }),
        };
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let slot = &mut self.inner.borrow_mut().slots[usize::from(ticket.0)];
        match core::mem::replace(&mut slot.state, State::Free) {
            State::Done(completion) => Poll::Ready(completion),
            waiting => {
                slot.state = waiting;
                match &mut slot.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => slot.waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        let mut inner = self.inner.borrow_mut();
        let Inner { rings, slots, mode } = &mut *inner;
        if *mode == Mode::TakenOut {
            return Poll::Ready(Err(DeviceError::Gone));
        }
        if *mode != Mode::Resetting {
            rings.start_reset();
            *mode = Mode::Resetting;
        }
        if !rings.is_reset() {
            // There is no interrupt for it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let restarted = rings.restart();
        end_all(slots);
        let result = restarted.map_err(|error| {
            log::error!("{}: not usable after a reset: {error}", self.info.name);
            DeviceError::Gone
        });
        *mode = if result.is_ok() { Mode::Running } else { Mode::Gone };
        Poll::Ready(result)
    }
}

impl<H: Hal, T: Transport, const QUEUE: usize> Drop for Inner<H, T, QUEUE> {
    fn drop(&mut self) {
        if self.rings.shut_down() {
            return;
        }
        for slot in &mut self.slots {
            if let State::InFlight(buffer) = core::mem::replace(&mut slot.state, State::Free) {
                core::mem::forget(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
