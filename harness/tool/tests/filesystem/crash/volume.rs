//! Volumes in memory: formatting, mounting, checking.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountError, MountOptions, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use hammer2_core::io::{BlockDevice, Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;

use crate::ticks::Ticks;

/// Memory without a limit.
pub(crate) const HEAP: Heap = &Global;
/// Requests a device takes at once.
const QUEUE_DEPTH: u16 = 64;
/// The memory of mounts, unless a test wants less: so little that some workloads are written before they are synced.
const MEMORY_BYTES: usize = 4 << 20;
/// The PFS that is changed.
pub(crate) const LABEL: &str = "DATA";

/// The options of all mounts.
pub(crate) fn mount_options() -> MountOptions {
    MountOptions { memory_bytes: MEMORY_BYTES, spare_nodes: 0 }
}

/// The host of all tests.
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

    /// Runs futures as tasks beside each other; returns their outputs in order.
    pub(crate) fn together<T>(&self, futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
        let outputs = RefCell::new(BTreeMap::new());
        let waiting: Cell<Option<Waker>> = Cell::new(None);
        let executor = Executor::new(self.clock);
        let mut tasks = 0;
        for (index, future) in futures.enumerate() {
            let (outputs, waiting) = (&outputs, &waiting);
            executor.spawn(async move {
                let output = future.await;
                outputs.borrow_mut().insert(index, output);
                if let Some(waker) = waiting.take() {
                    waker.wake();
                }
            });
            tasks += 1;
        }
        executor.block_on(poll_fn(|cx| {
            waiting.set(Some(cx.waker().clone()));
            if outputs.borrow().len() == tasks { Poll::Ready(()) } else { Poll::Pending }
        }));
        drop(executor);
        outputs.into_inner().into_values().collect()
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
        let mut random = Random::new(bytes);
        let mut fill = |bytes: &mut [u8]| random.fill(bytes);
        let disks = self.disks(device(&disk));
        let references: Vec<&Disk> = disks.iter().collect();
        self.run(newfs(&references, &NewfsOptions::default(), HEAP, &mut fill, Ticks.now())).unwrap();
        disk
    }

    /// Mounts for reading.
    pub(crate) async fn mount(&self, heap: Heap, device: impl BlockDevice + 'static) -> Result<FileSystem, MountError> {
        self.mount_pfs(heap, device, LABEL).await
    }

    /// Mounts any PFS for reading.
    pub(crate) async fn mount_pfs(
        &self,
        heap: Heap,
        device: impl BlockDevice + 'static,
        label: &str,
    ) -> Result<FileSystem, MountError> {
        FileSystem::mount(heap, self.disks(device), PfsSelector::Label(label.as_bytes()), mount_options()).await
    }

    /// Mounts another PFS for writing.
    pub(crate) async fn mount_label_writable(
        &self,
        device: impl BlockDevice + 'static,
        label: &str,
    ) -> Result<FileSystem, MountError> {
        self.mount_pfs(HEAP, device, label).await?.make_writable(&Ticks).await
    }

    /// Mounts for writing.
    pub(crate) async fn mount_writable(
        &self,
        heap: Heap,
        device: impl BlockDevice + 'static,
    ) -> Result<FileSystem, MountError> {
        self.mount(heap, device).await?.make_writable(&Ticks).await
    }

    /// The findings of a strict check; `headers` says whether a header copy may be torn.
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
    MemoryDevice::new(HEAP, Rc::clone(disk), &"memory", QUEUE_DEPTH).unwrap()
}

/// A copy of a disk.
pub(crate) fn copy(disk: &MemoryDisk) -> Rc<MemoryDisk> {
    Rc::new(disk.try_clone().unwrap())
}

/// The requirements on header copies.
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
