//! A block device of Linux in the form that the core needs. The core submits and polls; a completion only leaves a status behind
//! and makes a thread go inside, where all requests are looked at.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::task::{Context, Poll, Waker};

use hammer2_core::io::{BlockDevice, Completion, DeviceError, DeviceInfo, Operation, Request, Ticket};
use hammer2_core::memory::{self, Heap, NoMemory, Vec};

use crate::abi;

/// The status of an unsupported operation.
const NOT_SUPPORTED: i32 = -95;
/// The answer when only the mount's thread may do something.
const COME_AGAIN: i32 = -11;

/// A request to the device.
struct Flight {
    request: Request,
    /// The error, if it was never submitted.
    refused: Option<DeviceError>,
    waker: Option<Waker>,
}

/// An open device of a mount.
pub(crate) struct LinuxDevice {
    info: DeviceInfo,
    device: *mut c_void,
    flights: RefCell<Vec<Option<Flight>>>,
    reset: RefCell<Option<Waker>>,
    size_bytes: Cell<u64>,
}

impl LinuxDevice {
    /// Makes the device for the host's `device`, which must exist as long as this does.
    pub(crate) fn new(heap: Heap, info: DeviceInfo, device: *mut c_void) -> Result<Self, NoMemory> {
        let flights = RefCell::new(memory::filled(heap, usize::from(info.queue_depth), || None)?);
        let size_bytes = Cell::new(info.size_bytes);
        Ok(Self { info, device, flights, reset: RefCell::new(None), size_bytes })
    }

    /// The status of a submitted request.
    fn status(&self, ticket: usize) -> i32 {
        // SAFETY: the device is there, and the ticket is below the queue depth.
        unsafe { abi::hammer2_host_status(self.device, ticket as u32) }
    }

    fn is_under_way(&self, ticket: usize, flight: &Flight) -> bool {
        flight.refused.is_none() && self.status(ticket) == abi::UNDER_WAY
    }

    fn is_idle(&self) -> bool {
        let flights = self.flights.borrow();
        !flights
            .iter()
            .enumerate()
            .any(|(ticket, flight)| flight.as_ref().is_some_and(|flight| self.is_under_way(ticket, flight)))
    }

    /// Wakes the tasks whose requests are done, and the task that waits for all of them.
    pub(crate) fn turn(&self) {
        let count = self.flights.borrow().len();
        for ticket in 0..count {
            let waker = match &mut self.flights.borrow_mut()[ticket] {
                Some(flight) if !self.is_under_way(ticket, flight) => flight.waker.take(),
                _ => None,
            };
            waker.into_iter().for_each(Waker::wake);
        }
        if self.reset.borrow().is_some() && self.is_idle() {
            self.reset.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until the device has given back every buffer, but not for ever: returns false if it hasn't by then.
    pub(crate) fn drain(&self) -> bool {
        // SAFETY: the device is there.
        unsafe { abi::hammer2_host_drain(self.device) != 0 }
    }
}

/// A device that the core holds together with the mount.
pub(crate) struct Shared(pub(crate) &'static LinuxDevice);

impl BlockDevice for Shared {
    fn info(&self) -> &DeviceInfo {
        &self.0.info
    }

    fn measure(&self) -> u64 {
        // SAFETY: the device is there.
        let size_bytes = unsafe { abi::hammer2_host_size(self.0.device) };
        self.0.size_bytes.set(size_bytes);
        size_bytes
    }

    fn submit(&self, ticket: Ticket, mut request: Request) {
        let device = self.0;
        let index = usize::from(ticket.0);
        let mut admitted = device.info.admit_within(device.size_bytes.get(), &request);
        let buffer_length = request.buffer.len() as u64;
        let (op, offset, length) = match request.operation {
            Operation::Read(offset) => (abi::device::READ, offset.0, buffer_length),
            Operation::Write(offset) => (abi::device::WRITE, offset.0, buffer_length),
            Operation::Flush => (abi::device::FLUSH, 0, 0),
            Operation::Discard { offset, bytes } => (abi::device::DISCARD, offset.0, bytes),
            // Only newfs asks for it, and the module makes no filesystems.
            Operation::Zero { .. } => {
                admitted = admitted.and(Err(DeviceError::Unsupported));
                (abi::device::WRITE, 0, 0)
            }
        };
        let bytes = match request.operation {
            // C doesn't change what it writes, and several devices may have it at the same time.
            Operation::Write(_) => request.buffer.bytes().as_ptr().cast_mut(),
            _ => request.buffer.bytes_mut().as_mut_ptr(),
        };
        device.flights.borrow_mut()[index] = Some(Flight { request, refused: admitted.err(), waker: None });
        if admitted.is_ok() {
            // SAFETY: the buffer's memory stays where it is, and in `flights`, until the status says that the device is done
            // with it; before the device goes, `drain` waits for that, or the site stays as it is until it is so.
            unsafe { abi::hammer2_host_submit(device.device, u32::from(ticket.0), op, offset, bytes, length) };
        }
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let device = self.0;
        let index = usize::from(ticket.0);
        let slot = &mut device.flights.borrow_mut()[index];
        let result = match slot {
            Some(Flight { refused: Some(error), .. }) => Err(*error),
            Some(flight) => match device.status(index) {
                abi::UNDER_WAY => {
                    flight.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                0 => Ok(()),
                NOT_SUPPORTED => Err(DeviceError::Unsupported),
                errno => Err(DeviceError::Io(-errno)),
            },
            None => return Poll::Pending,
        };
        match slot.take() {
            Some(flight) => Poll::Ready(Completion { buffer: flight.request.buffer, result }),
            None => Poll::Pending,
        }
    }

    /// Linux can't take a request back, so this waits for all of them. Then the device is opened again by its name: a device that
    /// was pulled out and put back is a different one to Linux.
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        let device = self.0;
        let later = || {
            *device.reset.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        };
        if !device.is_idle() {
            return later();
        }
        // SAFETY: the device is there, and nothing is under way.
        match unsafe { abi::hammer2_host_reopen(device.device) } {
            0 => {
                self.measure();
                Poll::Ready(Ok(()))
            }
            COME_AGAIN => later(),
            _ => Poll::Ready(Err(DeviceError::Gone)),
        }
    }
}
