//! The queue, the transport and the memory that both share with the device. Everything unsafe about the driver is here.
//!
//! The rule that makes it sound: from `send` until `finish`, or until a confirmed reset, the device has the ticket's buffer and
//! exchange, and these stay in place.

use core::mem::{self, ManuallyDrop};

use hammer2_core::io::{Buffer, DeviceError};
use hammer2_core::memory::{self, Heap, Vec};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, Transport};
use virtio_drivers::{Error, Hal};

use super::SetupError;
use super::wire::{Command, Exchange, Features, config};

/// The index of the only queue that is used.
const REQUEST_QUEUE: u16 = 0;

/// How often a dropped device is asked whether its reset is done.
const SHUT_DOWN_ATTEMPTS: u32 = 1_000_000;

/// What the device reported about itself.
pub(super) struct Found {
    pub(super) features: Features,
    pub(super) sectors: u64,
    pub(super) max_discard_sectors: u32,
    pub(super) max_zero_sectors: u32,
}

/// A request that the device has.
#[derive(Clone, Copy)]
struct Sent {
    index: u16,
    command: Command,
}

pub(super) struct Rings<H: Hal, T: Transport, const QUEUE: usize> {
    /// It isn't dropped automatically: a PCI transport's destructor waits for a reset, for ever if the device is gone.
    transport: ManuallyDrop<T>,
    /// Absent only after a failed restart.
    queue: Option<VirtQueue<H, QUEUE>>,
    exchanges: ManuallyDrop<Vec<Exchange>>,
    /// The request whose chain begins at each descriptor.
    sent: [Option<Sent>; QUEUE],
    doorbell_due: bool,
    /// True when the device answered something it wasn't asked. Nothing it says counts until it is reset.
    confused: bool,
}

impl<H: Hal, T: Transport, const QUEUE: usize> Rings<H, T, QUEUE> {
    pub(super) fn new(heap: Heap, transport: T, depth: usize) -> Result<(Self, Found), SetupError> {
        let exchanges = memory::filled(heap, depth, Exchange::default)?;
        let mut rings = Self {
            transport: ManuallyDrop::new(transport),
            queue: None,
            exchanges: ManuallyDrop::new(exchanges),
            sent: [None; QUEUE],
            doorbell_due: false,
            confused: false,
        };
        match rings.start() {
            Ok(found) => Ok((rings, found)),
            Err(error) => {
                rings.shut_down();
                Err(error)
            }
        }
    }

    /// Sets the device up from its reset state.
    fn start(&mut self) -> Result<Found, SetupError> {
        let features: Features = self.transport.begin_init(Features::all());
        if !features.contains(Features::VERSION_1) || !self.transport.get_status().contains(DeviceStatus::FEATURES_OK) {
            return Err(SetupError::Features);
        }
        let transport = &*self.transport;
        let word = |offset| transport.read_config_space::<u32>(offset);
        let sectors = transport.read_consistent(|| {
            Ok(u64::from(word(config::CAPACITY_LOW)?) | u64::from(word(config::CAPACITY_HIGH)?) << 32)
        })?;
        let most = |feature, offset| if features.contains(feature) { word(offset) } else { Ok(0) };
        let max_discard_sectors = most(Features::DISCARD, config::MAX_DISCARD_SECTORS)?;
        let max_zero_sectors = most(Features::WRITE_ZEROES, config::MAX_WRITE_ZEROES_SECTORS)?;
        self.queue = Some(VirtQueue::new(&mut *self.transport, REQUEST_QUEUE, false, false)?);
        self.transport.finish_init();
        Ok(Found { features, sectors, max_discard_sectors, max_zero_sectors })
    }

    /// Queues a request. From here on the device has `buffer`'s memory, though no doorbell was rung yet.
    pub(super) fn send(&mut self, index: usize, command: Command, buffer: &mut Buffer) -> Result<(), Error> {
        let queue = self.queue.as_mut().ok_or(Error::NotReady)?;
        let exchange = &self.exchanges[index];
        // SAFETY: the owner of the ticket doesn't use it twice, so the device has neither this exchange nor the buffer.
        // Both stay in place until `finish` has popped the chain or the device is reset: see the module's rule.
        let head = unsafe {
            exchange.prepare(command);
            match command {
                Command::Read(_) => queue.add(&[exchange.header()], &mut [buffer.bytes_mut(), exchange.status_mut()]),
                Command::Write(_) => queue.add(&[exchange.header(), buffer.bytes()], &mut [exchange.status_mut()]),
                Command::Flush => queue.add(&[exchange.header()], &mut [exchange.status_mut()]),
                Command::Discard { .. } | Command::Zero { .. } => {
                    queue.add(&[exchange.header(), exchange.range()], &mut [exchange.status_mut()])
                }
            }
        }?;
        self.sent[usize::from(head)] = Some(Sent { index: index as u16, command });
        self.doorbell_due = true;
        Ok(())
    }

    pub(super) fn ring_doorbell(&mut self) {
        let wanted = self.queue.as_ref().is_some_and(VirtQueue::should_notify);
        if mem::take(&mut self.doorbell_due) && wanted {
            self.transport.notify(REQUEST_QUEUE);
        }
    }

    pub(super) fn acknowledge_interrupt(&mut self) {
        self.transport.ack_interrupt();
    }

    /// The ticket of the next request that the device has answered.
    pub(super) fn next_answered(&mut self) -> Option<usize> {
        if self.confused {
            return None;
        }
        let head = self.queue.as_ref()?.peek_used()?;
        let sent = self.sent.get(usize::from(head)).copied().flatten();
        self.confused = sent.is_none();
        sent.map(|sent| usize::from(sent.index))
    }

    /// Takes back the request that [`next_answered`](Self::next_answered) has just named. `None` when the device has changed its
    /// mind; the device then still has the request.
    pub(super) fn finish(&mut self, index: usize, buffer: &mut Buffer) -> Option<Result<(), DeviceError>> {
        let queue = self.queue.as_mut()?;
        let head = queue.peek_used()?;
        let sent = self.sent.get(usize::from(head)).copied().flatten().filter(|sent| usize::from(sent.index) == index);
        let Some(Sent { command, .. }) = sent else {
            self.confused = true;
            return None;
        };
        let exchange = &self.exchanges[index];
        // SAFETY: the same slices that `send` queued under this head. `pop_used` checks that the device is done with it.
        let popped = unsafe {
            match command {
                Command::Read(_) => {
                    queue.pop_used(head, &[exchange.header()], &mut [buffer.bytes_mut(), exchange.status_mut()])
                }
                Command::Write(_) => {
                    queue.pop_used(head, &[exchange.header(), buffer.bytes()], &mut [exchange.status_mut()])
                }
                Command::Flush => queue.pop_used(head, &[exchange.header()], &mut [exchange.status_mut()]),
                Command::Discard { .. } | Command::Zero { .. } => {
                    queue.pop_used(head, &[exchange.header(), exchange.range()], &mut [exchange.status_mut()])
                }
            }
        };
        if popped.is_err() {
            self.confused = true;
            return None;
        }
        self.sent[usize::from(head)] = None;
        // SAFETY: the device is done with it.
        Some(unsafe { exchange.result() })
    }

    pub(super) fn start_reset(&mut self) {
        self.transport.set_status(DeviceStatus::empty());
    }

    /// True once the device has released all memory: it says so, or it is gone (all bits read as one).
    pub(super) fn is_reset(&self) -> bool {
        let status = self.transport.get_status();
        status.is_empty() || status.is_all()
    }

    /// Waits a moment for that to become true.
    pub(super) fn becomes_reset(&self) -> bool {
        (0..SHUT_DOWN_ATTEMPTS).any(|_| self.is_reset())
    }

    /// Forgets the requests that the device had, after a reset. Their buffers belong to the caller.
    pub(super) fn forget(&mut self) {
        self.queue = None;
        self.sent = [None; QUEUE];
        self.doorbell_due = false;
        self.confused = false;
    }

    /// Sets up a device in the place of one that has released everything. The former transport already leads to the new device,
    /// so its destructor, which would reset that, isn't run.
    pub(super) fn replace(&mut self, transport: T) -> Result<Found, SetupError> {
        self.forget();
        self.transport = ManuallyDrop::new(transport);
        self.start()
    }

    /// Sets the device up again after a reset. The requests it had are forgotten; their buffers belong to the caller.
    pub(super) fn restart(&mut self) -> Result<(), SetupError> {
        let present = self.transport.get_status().is_empty();
        self.forget();
        if !present {
            return Err(SetupError::Virtio(Error::NotReady));
        }
        self.start().map(drop)
    }

    /// Shuts the device down. Returns false when it doesn't confirm: everything it may still use has then been leaked, and the
    /// buffers must be leaked too. Nothing else may be called afterwards.
    pub(super) fn shut_down(&mut self) -> bool {
        self.start_reset();
        let stopped = self.becomes_reset();
        let queue = self.queue.take();
        if !stopped {
            mem::forget(queue);
            return false;
        }
        drop(queue);
        // SAFETY: the device no longer uses them, and nobody uses these fields again.
        unsafe { ManuallyDrop::drop(&mut self.exchanges) };
        if self.transport.get_status().is_empty() {
            // SAFETY: not used again; the device is in reset, so the destructor doesn't wait.
            unsafe { ManuallyDrop::drop(&mut self.transport) };
        }
        true
    }
}
