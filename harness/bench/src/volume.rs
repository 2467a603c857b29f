//! Volumes to write on: formatting and mounting them.

use std::error::Error;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MIN_MEMORY_BYTES, MountOptions};
use hammer2_core::io::wrap::{Counted, Counters};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::Timestamp;
use hammer2_core::memory::{self, Heap, NoMemory};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_harness::clock::HostClock;
use hammer2_harness::executor::Executor;
use hammer2_harness::time_source::HostTime;
use hammer2_kmod_shim::budget::Budget;

use crate::ram::{RamDevice, RamDisk};
use crate::report::Memory;

/// Memory that isn't a mount's.
pub const HEAP: Heap = &Global;
/// What the `hammer2` tool gives a mount when not told otherwise.
pub const USUAL_BYTES: usize = 64 << 20;

enum Medium {
    Ram(Rc<RamDisk>),
    Sparse(Rc<MemoryDisk>),
}

/// A volume in memory.
pub struct Volume {
    medium: Medium,
    counters: Rc<Counters>,
    clock: &'static HostClock,
}

/// A mounted filesystem, and what memory it took.
pub struct Mounted {
    /// The filesystem.
    pub fs: FileSystem,
    budget: &'static Budget<Global>,
    memory_bytes: usize,
}

impl Mounted {
    /// A mount of `disks` that takes no more memory than `memory_bytes` and a little.
    pub async fn new(
        memory_bytes: usize,
        open: impl FnOnce(Heap) -> Result<Disk, NoMemory>,
    ) -> Result<Self, Box<dyn Error>> {
        let budget = &*Box::leak(Box::new(Budget::new(Global, memory_bytes + MIN_MEMORY_BYTES)));
        let mut disks = memory::Vec::new_in(budget as Heap);
        memory::push(&mut disks, open(budget)?)?;
        let options = MountOptions { memory_bytes };
        let fs = FileSystem::mount(budget, disks, PfsSelector::Default, options).await?;
        Ok(Self { fs, budget, memory_bytes })
    }

    /// The most memory it took, and what it was given.
    pub fn memory(&self) -> Memory {
        Memory { peak_bytes: self.budget.peak_bytes(), given_bytes: self.memory_bytes }
    }
}

impl Volume {
    /// A volume all of which is in memory already.
    pub fn new(bytes: usize) -> Self {
        Self::on(Medium::Ram(RamDisk::new(bytes)))
    }

    /// A volume of which only what is written takes memory.
    pub fn sparse(bytes: u64) -> Self {
        Self::on(Medium::Sparse(Rc::new(MemoryDisk::new(HEAP, bytes))))
    }

    fn on(medium: Medium) -> Self {
        Self { medium, counters: Rc::default(), clock: HostClock::leaked() }
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        Executor::new(self.clock).block_on(work)
    }

    /// What the device was asked for.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn open(&self, heap: Heap) -> Result<Disk, NoMemory> {
        let counters = self.counters.clone();
        let device = match &self.medium {
            Medium::Ram(disk) => boxed_device(heap, Counted::new(RamDevice::new(disk.clone()), counters)),
            Medium::Sparse(disk) => {
                let device = MemoryDevice::new(heap, disk.clone(), "memory", 64)?;
                boxed_device(heap, Counted::new(device, counters))
            }
        }?;
        Disk::new(heap, device, self.clock, DiskOptions::default())
    }

    /// Makes an empty filesystem.
    pub async fn format(&self) -> Result<(), Box<dyn Error>> {
        let mut random = Random::new(1);
        let mut fill = |bytes: &mut [u8]| random.fill(bytes);
        let disk = self.open(HEAP)?;
        newfs(&[&disk], &NewfsOptions::default(), HEAP, &mut fill, Timestamp { microseconds: 0 }).await?;
        Ok(())
    }

    /// Mounts the volume with this much memory, to be changed.
    pub async fn mount(&self, memory_bytes: usize) -> Result<Mounted, Box<dyn Error>> {
        let Mounted { fs, budget, memory_bytes } = Mounted::new(memory_bytes, |heap| self.open(heap)).await?;
        Ok(Mounted { fs: fs.make_writable(&HostTime).await?, budget, memory_bytes })
    }
}
