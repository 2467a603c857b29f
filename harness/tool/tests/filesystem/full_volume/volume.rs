//! A volume in memory, mounted in virtual time.

use std::cell::Cell;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress};
use hammer2_core::io::{Disk, DiskOptions, MemoryDisk, boxed_device};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::virtual_time::{SlowDevice, Temper, VirtualClock};

use crate::ticks::Ticks;

const HEAP: Heap = &Global;

/// A volume, with the options of its mounts.
pub(crate) struct Volume {
    pub(crate) clock: &'static VirtualClock,
    disk: Rc<MemoryDisk>,
    temper: Rc<Temper>,
    depth: u16,
    memory_bytes: usize,
    devices: Cell<u64>,
}

impl Volume {
    /// A volume that isn't formatted yet.
    pub(crate) fn new(bytes: u64, depth: u16, memory_bytes: usize, seed: u64) -> Self {
        Self {
            clock: Box::leak(Box::default()),
            disk: Rc::new(MemoryDisk::new(HEAP, bytes)),
            temper: Rc::new(Temper::new(seed)),
            depth,
            memory_bytes,
            devices: Cell::new(0),
        }
    }

    pub(crate) async fn format(&self, random: &mut Random) {
        let disks = self.disks();
        let references: Vec<&Disk> = disks.iter().collect();
        let options = NewfsOptions::default();
        newfs(&references, &options, HEAP, &mut |bytes| random.fill(bytes), Ticks.now()).await.unwrap();
    }

    fn disks(&self) -> HeapVec<Disk> {
        let number = self.devices.replace(self.devices.get() + 1);
        let device = SlowDevice::new(&self.disk, self.clock, &self.temper, self.depth, number);
        let mut disks = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    pub(crate) async fn mount(&self, label: &str) -> FileSystem {
        let options = MountOptions { memory_bytes: self.memory_bytes, spare_nodes: 0 };
        let selector = PfsSelector::Label(label.as_bytes());
        let fs = FileSystem::mount(HEAP, self.disks(), selector, options).await.unwrap();
        fs.make_writable(&Ticks).await.unwrap()
    }

    /// The findings of a strict check.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let mut findings = Findings(Vec::new());
        let options = FsckOptions { strict: true, ..FsckOptions::default() };
        let summary = fsck::check(HEAP, self.disks(), options, &mut findings).await.unwrap();
        if summary.problems == 0 { Vec::new() } else { findings.0 }
    }
}

struct Findings(Vec<String>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding<'_>) {
        self.0.push(finding.to_string());
    }

    fn progress(&mut self, _: Progress) {}
}
