//! The disks under an image, as one address space.

use alloc::rc::Rc;

use super::ImageError;
use crate::io::{DeviceError, MemoryDisk};
use crate::media::MediaOffset;
use crate::media::geometry::header_offset;
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::memory::Vec;

/// A disk in memory that a device and its maker share.
///
/// The count is the only memory the suite takes from the global allocator by itself: a disk must outlive the devices on it.
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
