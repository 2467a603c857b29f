//! A copy of an image as its last commit left it, which is then damaged.

use zerocopy::{FromBytes, IntoBytes};

use super::medium::{Medium, open_disks};
use super::{Image, ImageError, SharedDisk};
use crate::io::{Buffer, Clock, Disk};
use crate::media::VolumeHeader;
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::memory::{self, Box, Heap, Vec};

/// What is done about the check codes above a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// They stay, so that the change is noticed when the block is read.
    Keep,
    /// They are renewed, so that only the structure is wrong.
    Renew,
}

/// Volumes with a filesystem, to be damaged.
pub struct Written {
    pub(super) medium: Medium,
    pub(super) header: Box<VolumeHeader>,
    /// The header copy written last.
    pub(super) copy: usize,
    pub(super) heap: Heap,
}

impl Written {
    /// Copies the content of an image's disks.
    pub fn new(image: &Image) -> Result<Self, ImageError> {
        let heap = image.heap;
        let mut disks = Vec::new_in(heap);
        for disk in image.disks() {
            memory::push(&mut disks, SharedDisk::new(disk.try_clone()?))?;
        }
        let header = memory::boxed(heap, image.header().clone())?;
        Ok(Self { medium: Medium { disks }, header, copy: image.copy, heap })
    }

    /// The disks, volume by volume.
    pub fn disks(&self) -> &[SharedDisk] {
        &self.medium.disks
    }

    /// Fresh devices on the disks, volume by volume.
    pub fn open(&self, heap: Heap, clock: &'static dyn Clock) -> Result<Vec<Disk>, ImageError> {
        open_disks(heap, clock, self.disks())
    }

    /// The number of the header copy written last.
    pub fn header_copy(&self) -> usize {
        self.copy
    }

    /// Changes the header copy written last, only on media.
    pub fn change_header(&mut self, seal: Seal, change: impl FnOnce(&mut [u8])) -> Result<(), ImageError> {
        let mut buffer = Buffer::new(self.heap, VOLUME_HEADER_BYTES)?;
        self.medium.read_header(self.copy, buffer.bytes_mut())?;
        change(buffer.bytes_mut());
        if let (Seal::Renew, Ok(header)) = (seal, VolumeHeader::mut_from_bytes(buffer.bytes_mut())) {
            header.seal();
        }
        self.medium.write_header(self.copy, buffer.bytes())
    }

    /// Writes the present header over the copy written last.
    pub(super) fn write_header(&mut self) -> Result<(), ImageError> {
        self.header.seal();
        self.medium.write_header(self.copy, self.header.as_bytes())
    }
}
