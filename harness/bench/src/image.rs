//! The image that is read, and mounting it.

use std::error::Error;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MIN_MEMORY_BYTES, MountOptions};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::memory::{self, Heap};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::{Editor, Image, ImageError, Spread, Written};
use hammer2_harness::clock::HostClock;
use hammer2_harness::executor::Executor;
use hammer2_kmod_shim::budget::Budget;

/// Memory that isn't the filesystem's.
pub const HEAP: Heap = &Global;
const VOLUME_BYTES: u64 = 1 << 30;

/// A volume in memory.
pub struct RamVolume {
    /// What is on it.
    pub written: Written,
    clock: &'static HostClock,
}

impl RamVolume {
    /// A volume filled by `fill`.
    pub fn new(fill: impl FnOnce(&mut Editor<'_>) -> Result<(), ImageError>) -> Result<Self, ImageError> {
        let clock = HostClock::leaked();
        let written = Executor::new(clock).block_on(async {
            let options = NewfsOptions::default();
            let mut image = Image::format(HEAP, clock, &[VOLUME_BYTES], &options, Spread::Packed, 1).await?;
            fill(&mut image.edit(b"DATA")?)?;
            image.commit()?;
            Written::new(&image)
        })?;
        Ok(Self { written, clock })
    }

    /// The disk.
    pub fn disk(&self) -> &Rc<MemoryDisk> {
        &self.written.disks()[0]
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        Executor::new(self.clock).block_on(work)
    }

    /// Mounts the volume with this much memory.
    pub fn mount(&self, memory_bytes: usize) -> Result<FileSystem, Box<dyn Error>> {
        let heap: Heap = Box::leak(Box::new(Budget::new(Global, memory_bytes + MIN_MEMORY_BYTES)));
        let device = boxed_device(heap, MemoryDevice::new(heap, self.disk().clone(), "memory", 64)?)?;
        let mut disks = memory::Vec::new_in(heap);
        memory::push(&mut disks, Disk::new(heap, device, self.clock, DiskOptions::default())?)?;
        let options = MountOptions { memory_bytes };
        Ok(self.run(FileSystem::mount(heap, disks, PfsSelector::Default, options))?)
    }
}
