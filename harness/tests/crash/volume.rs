//! Volumes in memory: formatting, mounting, checking.

use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{NewPfs, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError, MountOptions, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use hammer2_core::io::{BlockDevice, Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{PfsKind, Timestamp, Uuid};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_harness::clock::HostClock;
use hammer2_harness::executor::Executor;

/// Memory without a limit.
pub(crate) const HEAP: Heap = &Global;
/// Requests a device takes at once.
const QUEUE_DEPTH: u16 = 64;
/// What mounts are given unless a test wants less: so little that some workloads are written before they are synced.
pub(crate) const MEMORY_BYTES: usize = 4 << 20;

/// A clock of its own, so that the same steps give the same bytes.
pub(crate) struct Ticks;

impl TimeSource for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 1_700_000_000_000_000 }
    }

    fn random(&self) -> u64 {
        0x5eed
    }
}

/// Splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// What all tests run on.
pub(crate) struct Host {
    clock: &'static HostClock,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { clock: HostClock::leaked() }
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        Executor::new(self.clock).block_on(future)
    }

    /// The one disk of a volume set, on a device of any kind.
    pub(crate) fn disks(&self, device: impl BlockDevice + 'static) -> HeapVec<Disk> {
        let mut disks = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    /// A new filesystem.
    pub(crate) fn formatted(&self, bytes: u64) -> Rc<MemoryDisk> {
        let disk = Rc::new(MemoryDisk::new(HEAP, bytes));
        let mut random = Random(bytes);
        let mut fill = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
        let disks = self.disks(device(&disk));
        let references: Vec<&Disk> = disks.iter().collect();
        self.run(newfs(&references, &NewfsOptions::default(), HEAP, &mut fill, Ticks.now())).unwrap();
        disk
    }

    /// Mounts to look.
    pub(crate) async fn mount(&self, heap: Heap, device: impl BlockDevice + 'static) -> Result<FileSystem, MountError> {
        self.mount_label(heap, device, b"DATA").await
    }

    async fn mount_label(
        &self,
        heap: Heap,
        device: impl BlockDevice + 'static,
        label: &[u8],
    ) -> Result<FileSystem, MountError> {
        let options = MountOptions { memory_bytes: MEMORY_BYTES };
        FileSystem::mount(heap, self.disks(device), PfsSelector::Label(label), options).await
    }

    /// Mounts another PFS to change.
    pub(crate) async fn mount_label_writable(
        &self,
        device: impl BlockDevice + 'static,
        label: &[u8],
    ) -> Result<FileSystem, MountError> {
        self.mount_label(HEAP, device, label).await?.make_writable(&Ticks).await
    }

    /// A PFS to be made.
    pub(crate) fn new_pfs<'l>(&self, label: &'l [u8]) -> NewPfs<'l> {
        let mut random = Random(label.len() as u64);
        let mut uuid = || Uuid(core::array::from_fn(|_| random.next() as u8));
        NewPfs { label, kind: PfsKind::Master, clid: uuid(), fsid: uuid(), time: Ticks.now() }
    }

    /// Mounts to change.
    pub(crate) async fn mount_writable(
        &self,
        heap: Heap,
        device: impl BlockDevice + 'static,
    ) -> Result<FileSystem, MountError> {
        self.mount(heap, device).await?.make_writable(&Ticks).await
    }

    /// What a strict check finds; a header copy may be torn where a header was being written.
    pub(crate) async fn problems(&self, disk: &Rc<MemoryDisk>, headers: Headers) -> Vec<String> {
        let mut findings = Findings { headers, problems: Vec::new() };
        let options = FsckOptions { strict: true, cache_bytes: 0 };
        if let Err(error) = fsck::check(HEAP, self.disks(device(disk)), options, &mut findings).await {
            findings.problems.push(error.to_string());
        }
        findings.problems
    }
}

/// A device on a disk.
pub(crate) fn device(disk: &Rc<MemoryDisk>) -> MemoryDevice<Rc<MemoryDisk>> {
    MemoryDevice::new(HEAP, Rc::clone(disk), "memory", QUEUE_DEPTH).unwrap()
}

/// A copy of a disk.
pub(crate) fn copy(disk: &MemoryDisk) -> Rc<MemoryDisk> {
    Rc::new(disk.try_clone().unwrap())
}

/// What is asked of header copies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Headers {
    AllWhole,
    MayBeTorn,
}

struct Findings {
    headers: Headers,
    problems: Vec<String>,
}

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding<'_>) {
        let is_torn_header = self.headers == Headers::MayBeTorn && finding.place.header.is_some();
        if finding.severity == Severity::Problem && !is_torn_header {
            self.problems.push(finding.to_string());
        }
    }

    fn progress(&mut self, _: Progress) {}
}
