//! The disks of one filesystem, laid end to end as its flat address space (format 1.2).

use core::cell::Cell;

use super::{DeviceOffset, Disk};
use crate::media::MediaOffset;
use crate::memory::Vec;

/// A disk and the part of the address space it holds.
pub struct Volume {
    /// The device.
    pub disk: Disk,
    /// Where the volume starts in the address space.
    pub base: MediaOffset,
    /// The number of bytes of the device in use; that of the last volume can grow.
    bytes: Cell<u64>,
}

impl Volume {
    /// The first `bytes` bytes of a disk. Its base is set when it becomes one of [`Volumes`].
    pub fn new(disk: Disk, bytes: u64) -> Self {
        Self { disk, base: MediaOffset(0), bytes: Cell::new(bytes) }
    }

    /// The number of bytes of the device in use.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

/// All volumes of a filesystem, in the order of their bases, without gaps.
pub struct Volumes {
    volumes: Vec<Volume>,
}

impl Volumes {
    /// Makes a set of volumes in order, and sets their bases.
    pub fn new(mut volumes: Vec<Volume>) -> Self {
        let mut end = 0u64;
        for volume in &mut volumes {
            volume.base = MediaOffset(end);
            end = end.saturating_add(volume.bytes());
        }
        Self { volumes }
    }

    /// The volumes.
    pub fn iter(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter()
    }

    /// The volume that holds everything but data: number 0.
    pub fn root(&self) -> Option<&Volume> {
        self.volumes.first()
    }

    /// The volume that can grow.
    pub fn last(&self) -> Option<&Volume> {
        self.volumes.last()
    }

    /// Makes the last volume larger, and with it the address space.
    pub fn grow_last(&self, bytes: u64) {
        if let Some(last) = self.last() {
            last.bytes.set(bytes.max(last.bytes()));
        }
    }

    /// Bytes of the address space.
    pub fn total_bytes(&self) -> u64 {
        self.last().map_or(0, |last| last.base.0.saturating_add(last.bytes()))
    }

    /// Where `bytes` bytes at `offset` lie: the volume's index, the volume, and the place on it. None when they lie outside,
    /// or across two volumes.
    pub fn locate(&self, offset: MediaOffset, bytes: u64) -> Option<(usize, &Volume, DeviceOffset)> {
        let index = self.volumes.partition_point(|volume| volume.base <= offset).checked_sub(1)?;
        let volume = &self.volumes[index];
        let within = offset.0 - volume.base.0;
        let fits = bytes <= volume.bytes() && within <= volume.bytes() - bytes;
        fits.then_some((index, volume, DeviceOffset(within)))
    }
}
