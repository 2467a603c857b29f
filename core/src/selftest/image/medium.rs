//! The disks under an image, as one address space.

use alloc::rc::Rc;

use super::ImageError;
use crate::io::{Clock, DeviceError, Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use crate::media::MediaOffset;
use crate::media::geometry::header_offset;
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::memory::{self, Heap, Vec};

/// The number of requests that a device takes at a time.
const QUEUE_DEPTH: u16 = 16;

/// A disk in memory that a device and its maker share.
///
/// The reference count is the only memory that the suite itself takes from the global allocator: a disk must outlive the devices
/// on it.
pub type SharedDisk = Rc<MemoryDisk>;

/// Volumes laid end to end.
pub(super) struct Medium {
    pub(super) disks: Vec<SharedDisk>,
}

impl Medium {
    fn locate(&self, offset: MediaOffset) -> Result<(&SharedDisk, u64), DeviceError> {
        let mut within = offset.0;
        for disk in &self.disks {
            if within < disk.size_bytes() {
                return Ok((disk, within));
            }
            within -= disk.size_bytes();
        }
        Err(DeviceError::OutOfRange)
    }

    /// Reads at an offset in the address space.
    pub(super) fn read(&self, offset: MediaOffset, bytes: &mut [u8]) -> Result<(), ImageError> {
        let (disk, within) = self.locate(offset)?;
        Ok(disk.read_at(within, bytes)?)
    }

    /// Writes at an offset in the address space.
    pub(super) fn write(&self, offset: MediaOffset, bytes: &[u8]) -> Result<(), ImageError> {
        let (disk, within) = self.locate(offset)?;
        Ok(disk.write_at(within, bytes)?)
    }

    /// Reads a header copy of the root volume.
    pub(super) fn read_header(&self, copy: usize, bytes: &mut [u8]) -> Result<(), ImageError> {
        debug_assert_eq!(bytes.len(), VOLUME_HEADER_BYTES);
        let root = self.disks.first().ok_or(ImageError::Missing("volume"))?;
        Ok(root.read_at(header_offset(copy), bytes)?)
    }

    /// Writes a header copy of the root volume.
    pub(super) fn write_header(&self, copy: usize, bytes: &[u8]) -> Result<(), ImageError> {
        let root = self.disks.first().ok_or(ImageError::Missing("volume"))?;
        Ok(root.write_at(header_offset(copy), bytes)?)
    }
}

/// The names of the first devices in errors.
static NAMES: [&str; 4] = ["memory0", "memory1", "memory2", "memory3"];

/// Fresh devices on disks.
pub(super) fn open_disks(heap: Heap, clock: &'static dyn Clock, disks: &[SharedDisk]) -> Result<Vec<Disk>, ImageError> {
    let mut opened = Vec::new_in(heap);
    for (index, disk) in disks.iter().enumerate() {
        let name = NAMES.get(index).unwrap_or(&"memory");
        let device = boxed_device(heap, MemoryDevice::new(heap, disk.clone(), name, QUEUE_DEPTH)?)?;
        memory::push(&mut opened, Disk::new(heap, device, clock, DiskOptions::default())?)?;
    }
    Ok(opened)
}
