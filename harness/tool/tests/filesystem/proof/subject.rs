//! An image to be mounted again and again, on devices that count.

use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountError, MountOptions};
use hammer2_core::io::wrap::{Counted, Counters};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, boxed_device};
use hammer2_core::memory::{self, Heap, NoMemory};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::population::{Scale, populate};
use hammer2_core::selftest::image::{BlockMap, Editor, Image, ImageError, Spread, Written};
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_kmod_shim::budget::Budget;

use super::inventory::Inventory;

/// Memory that isn't looked at.
pub(crate) const HEAP: Heap = &Global;
/// The volume of most images; nearly all of it is never written.
pub(crate) const VOLUME_BYTES: u64 = 1 << 30;
/// The budget of a mount.
const MOUNT_BYTES: usize = 2 << 20;
/// The most memory that a mount and a walk may take, whatever is on the disk.
const LIMIT_BYTES: usize = 4 << 20;

/// An image and the means to mount it.
pub(crate) struct Subject {
    pub(crate) written: Written,
    pub(crate) map: BlockMap,
    /// The counters of the devices' requests.
    pub(crate) counters: Rc<Counters>,
    /// The memory of mounts.
    pub(crate) budget: &'static Budget<Global>,
    clock: &'static HostClock,
}

impl Subject {
    /// An image of one volume, filled by `fill`.
    pub(crate) fn new(
        volume_bytes: u64,
        fill: impl FnOnce(&mut Editor<'_>) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let clock = HostClock::leaked();
        let written = Executor::new(clock).block_on(async {
            let options = NewfsOptions::default();
            let mut image = Image::format(HEAP, clock, &[volume_bytes], &options, Spread::Packed, 1).await?;
            fill(&mut image.edit(b"DATA")?)?;
            image.commit()?;
            Written::new(&image)
        })?;
        let budget = Box::leak(Box::new(Budget::new(Global, LIMIT_BYTES)));
        Ok(Self { map: BlockMap::new(&written)?, written, counters: Rc::default(), budget, clock })
    }

    /// An image of about a MiB with something of everything.
    pub(crate) fn populated() -> Self {
        Self::new(VOLUME_BYTES, |editor| populate(editor, HEAP, Scale::SMALL).map(drop)).expect("the image can be made")
    }

    /// Runs a future to its end.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        Executor::new(self.clock).block_on(work)
    }

    fn open(&self, heap: Heap) -> Result<memory::Vec<Disk>, NoMemory> {
        let mut drives = memory::Vec::new_in(heap);
        for disk in self.written.disks() {
            let device = MemoryDevice::new(heap, disk.clone(), &"memory", 16)?;
            let device = boxed_device(heap, Counted::new(device, self.counters.clone()))?;
            memory::push(&mut drives, Disk::new(heap, device, self.clock, DiskOptions::default())?)?;
        }
        Ok(drives)
    }

    /// Mounts DATA with all memory from the budget.
    pub(crate) async fn mount(&self) -> Result<FileSystem, MountError> {
        let disks = self.open(self.budget)?;
        let options = MountOptions { memory_bytes: MOUNT_BYTES, spare_nodes: 0 };
        FileSystem::mount(self.budget, disks, PfsSelector::Label(b"DATA"), options).await
    }

    /// Mounts DATA and reads everything.
    pub(crate) fn inventory(&self) -> Result<Inventory, MountError> {
        let inventory = self.run(async {
            let fs = self.mount().await?;
            Ok(Inventory::of(self.budget, &fs).await?)
        });
        assert_eq!(self.budget.used_bytes(), 0, "an unmounted filesystem keeps no memory");
        inventory
    }
}
