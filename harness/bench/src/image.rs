//! The image to read, and mounting it.

use std::error::Error;
use std::rc::Rc;

use hammer2_core::cluster::PfsSelector;
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::{Editor, Image, ImageError, Spread, Written};
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;

use crate::volume::{HEAP, Mounted};

const VOLUME_BYTES: u64 = 1 << 30;

/// A volume in memory.
pub struct RamVolume {
    /// Its content.
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
    pub fn mount(&self, memory_bytes: usize) -> Result<Mounted, Box<dyn Error>> {
        self.run(Mounted::new(memory_bytes, PfsSelector::Default, 1, |heap, _| {
            let device = boxed_device(heap, MemoryDevice::new(heap, self.disk().clone(), &"memory", 64)?)?;
            Disk::new(heap, device, self.clock, DiskOptions::default())
        }))
    }
}
