//! Virtio block requests as the device sees them (virtio 1.2, section 5.2).

use core::cell::UnsafeCell;
use core::slice;

use hammer2_core::io::{DeviceError, DeviceOffset};

/// The unit of the protocol's offsets and lengths, whatever the disk's own sectors are.
pub(super) const SECTOR_BYTES: u64 = 512;

bitflags::bitflags! {
    /// The feature bits that this driver can handle. `EVENT_IDX` isn't among them: `VirtQueue` decides by it without considering
    /// that the index wraps, and then stops ringing. Nor are indirect descriptors: `VirtQueue` allocates a table per request for
    /// them, and panics when it can't.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Features: u64 {
        const READ_ONLY = 1 << 5;
        const FLUSH = 1 << 9;
        const DISCARD = 1 << 13;
        const WRITE_ZEROES = 1 << 14;
        const VERSION_1 = 1 << 32;
    }
}

/// Offsets of the configuration fields that are read.
pub(super) mod config {
    /// Capacity in sectors, 64 bits in two halves.
    pub(crate) const CAPACITY_LOW: usize = 0;
    pub(crate) const CAPACITY_HIGH: usize = 4;
    /// Sectors one discard segment may have.
    pub(crate) const MAX_DISCARD_SECTORS: usize = 36;
    /// Sectors one segment of zeros may have.
    pub(crate) const MAX_WRITE_ZEROES_SECTORS: usize = 48;
}

const TYPE_READ: u32 = 0;
const TYPE_WRITE: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_DISCARD: u32 = 11;
const TYPE_WRITE_ZEROES: u32 = 13;

const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;

/// A status no device returns.
const STATUS_UNSET: u8 = 0xff;

/// A command, with the fields of its header.
#[derive(Clone, Copy)]
pub(super) enum Command {
    Read(DeviceOffset),
    Write(DeviceOffset),
    Flush,
    Discard { offset: DeviceOffset, sectors: u32 },
    Zero { offset: DeviceOffset, sectors: u32 },
}

/// What one ticket shares with the device besides its buffer. Its place in memory never changes; it is aligned so that it never
/// crosses a page, and shares no cache line with another.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Exchange {
    /// Type (32 bits), reserved, first sector (64 bits).
    header: UnsafeCell<[u8; 16]>,
    /// The range of a discard, or of zeros: first sector (64 bits), sectors (32 bits), flags (32 bits).
    range: UnsafeCell<[u8; 16]>,
    status: UnsafeCell<[u8; 1]>,
}

impl Exchange {
    /// Fills in a command.
    ///
    /// # Safety
    /// The device doesn't have this exchange, and no slice of it exists.
    pub(super) unsafe fn prepare(&self, command: Command) {
        let (code, sector) = match command {
            Command::Read(offset) => (TYPE_READ, offset.0 / SECTOR_BYTES),
            Command::Write(offset) => (TYPE_WRITE, offset.0 / SECTOR_BYTES),
            Command::Flush => (TYPE_FLUSH, 0),
            Command::Discard { .. } => (TYPE_DISCARD, 0),
            Command::Zero { .. } => (TYPE_WRITE_ZEROES, 0),
        };
        let mut header = [0; 16];
        header[..4].copy_from_slice(&code.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        let mut range = [0; 16];
        if let Command::Discard { offset, sectors } | Command::Zero { offset, sectors } = command {
            range[..8].copy_from_slice(&(offset.0 / SECTOR_BYTES).to_le_bytes());
            range[8..12].copy_from_slice(&sectors.to_le_bytes());
        }
        // SAFETY: the caller's promise: nobody else looks at them.
        unsafe {
            *self.header.get() = header;
            *self.range.get() = range;
            *self.status.get() = [STATUS_UNSET];
        }
    }

    /// The header, as given to the queue.
    ///
    /// # Safety
    /// No `prepare` while the slice exists.
    pub(super) unsafe fn header(&self) -> &[u8] {
        // SAFETY: the caller's promise; the device only reads it.
        unsafe { &*self.header.get() }
    }

    /// The range of a discard, or of zeros, as given to the queue.
    ///
    /// # Safety
    /// No `prepare` while the slice exists.
    pub(super) unsafe fn range(&self) -> &[u8] {
        // SAFETY: the caller's promise; the device only reads it.
        unsafe { &*self.range.get() }
    }

    /// The status, as given to the queue.
    ///
    /// # Safety
    /// One such slice at a time, used for nothing but the queue's bookkeeping while the device has the exchange.
    #[expect(clippy::mut_from_ref, reason = "the cell is what makes it mutable")]
    pub(super) unsafe fn status_mut(&self) -> &mut [u8] {
        // SAFETY: the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.status.get().cast(), 1) }
    }

    /// What the device answered.
    ///
    /// # Safety
    /// The device is done with this exchange.
    pub(super) unsafe fn result(&self) -> Result<(), DeviceError> {
        // SAFETY: the caller's promise. Volatile, since the compiler can't know that the device has written it.
        match unsafe { self.status.get().cast::<u8>().read_volatile() } {
            STATUS_OK => Ok(()),
            STATUS_UNSUPPORTED => Err(DeviceError::Unsupported),
            other => Err(DeviceError::Io(other.into())),
        }
    }
}
