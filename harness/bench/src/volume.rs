//! Volumes to write to: formatting and mounting them, one by itself or several as the masters of a cluster.

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{NewPfs, PfsOutcome, PfsSelector};
use hammer2_core::fs::{FileSystem, MIN_MEMORY_BYTES, MountOptions};
use hammer2_core::io::wrap::{Counted, Counters, Counts, FaultPlan, Faulty};
use hammer2_core::io::{Clock, Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{PfsKind, Timestamp, Uuid};
use hammer2_core::memory::{self, Heap, NoMemory};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;
use hammer2_kmod_shim::budget::Budget;

use crate::ram::{RamDevice, RamDisk};
use crate::report::Memory;
use crate::throttled::{Speed, Throttled};
use crate::virtual_time::VirtualClock;

/// Memory outside of mounts' budgets.
pub const HEAP: Heap = &Global;
/// The default budget of a mount of the `hammer2` tool.
pub const USUAL_BYTES: usize = 64 << 20;

const QUEUE_DEPTH: u16 = 64;
const CLUSTER: &[u8] = b"CLUSTER";

enum Medium {
    Ram(Rc<RamDisk>),
    Sparse(Rc<MemoryDisk>),
}

/// The time of the disks.
#[derive(Clone, Copy)]
enum Time {
    Host(&'static HostClock),
    /// The disks have this speed, and may have faults.
    Virtual(&'static VirtualClock, Speed),
    /// The disks take no time.
    Still(&'static VirtualClock),
}

/// A disk of a volume.
struct Drive {
    medium: Medium,
    counters: Rc<Counters>,
    plan: Rc<FaultPlan>,
}

/// A volume in memory, or several that are the masters of a cluster.
pub struct Volume {
    drives: Vec<Drive>,
    time: Time,
}

/// A mounted filesystem, and the memory that it took.
pub struct Mounted {
    /// The filesystem.
    pub fs: FileSystem,
    budget: &'static Budget<Global>,
    memory_bytes: usize,
}

impl Mounted {
    /// Mounts nodes of one disk each, with at most `memory_bytes` of memory and a little more.
    pub async fn new(
        memory_bytes: usize,
        selector: PfsSelector<'_>,
        nodes: usize,
        open: impl Fn(Heap, usize) -> Result<Disk, NoMemory>,
    ) -> Result<Self, Box<dyn Error>> {
        let budget = &*Box::leak(Box::new(Budget::new(Global, memory_bytes + nodes * MIN_MEMORY_BYTES)));
        let options = MountOptions { memory_bytes, spare_nodes: 0 };
        let disks = one_each(budget, nodes, |index| open(budget, index))?;
        let cluster = FileSystem::open_nodes(budget, disks, options, &mut |_, _| {}).await?;
        if cluster.nodes() < nodes {
            return Err("a disk can't be opened".into());
        }
        let fs = FileSystem::mount_pfs(budget, cluster, selector, options).await?;
        Ok(Self { fs, budget, memory_bytes })
    }

    /// The most memory that it took, and its budget.
    pub fn memory(&self) -> Memory {
        Memory { peak_bytes: self.budget.peak_bytes(), given_bytes: self.memory_bytes }
    }
}

/// Nodes of one disk each.
fn one_each(
    heap: Heap,
    nodes: usize,
    open: impl Fn(usize) -> Result<Disk, NoMemory>,
) -> Result<memory::Vec<memory::Vec<Disk>>, NoMemory> {
    let mut opened = memory::Vec::new_in(heap);
    for index in 0..nodes {
        let mut disks = memory::Vec::new_in(heap);
        memory::push(&mut disks, open(index)?)?;
        memory::push(&mut opened, disks)?;
    }
    Ok(opened)
}

impl Volume {
    /// A volume whose memory is all allocated already.
    pub fn new(bytes: usize) -> Self {
        Self::masters(1, bytes)
    }

    /// So many masters, whose memory is all allocated already. A single one isn't a cluster.
    pub fn masters(count: usize, bytes: usize) -> Self {
        Self::on((0..count).map(|_| Medium::Ram(RamDisk::new(bytes))), Time::Host(HostClock::leaked()))
    }

    /// A volume that takes memory only for written parts.
    pub fn sparse(bytes: u64) -> Self {
        Self::sparse_masters(1, bytes)
    }

    /// So many masters, which take memory only for written parts.
    pub fn sparse_masters(count: usize, bytes: u64) -> Self {
        Self::on((0..count).map(|_| Medium::sparse(bytes)), Time::Host(HostClock::leaked()))
    }

    /// The same, on disks of this speed, in virtual time.
    pub fn throttled_masters(count: usize, bytes: u64, speed: Speed) -> Self {
        let clock = Box::leak(Box::default());
        Self::on((0..count).map(|_| Medium::sparse(bytes)), Time::Virtual(clock, speed))
    }

    /// So many masters, whose memory is all allocated already, for which time stands still.
    pub fn still_masters(count: usize, bytes: usize) -> Self {
        let clock = Box::leak(Box::default());
        Self::on((0..count).map(|_| Medium::Ram(RamDisk::new(bytes))), Time::Still(clock))
    }

    fn on(media: impl Iterator<Item = Medium>, time: Time) -> Self {
        let drive = |medium| Drive { medium, counters: Rc::default(), plan: Rc::new(FaultPlan::new(HEAP)) };
        Self { drives: media.map(drive).collect(), time }
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        match self.time {
            Time::Host(clock) => Executor::new(clock).block_on(work),
            Time::Virtual(clock, _) | Time::Still(clock) => clock.block_on(work),
        }
    }

    /// The time of the disks.
    pub fn clock(&self) -> &'static dyn Clock {
        match self.time {
            Time::Host(clock) => clock,
            Time::Virtual(clock, _) | Time::Still(clock) => clock,
        }
    }

    /// The time that a future takes, with its waits.
    pub async fn time<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
        let start = self.clock().now().nanoseconds;
        work.await?;
        Ok(Duration::from_nanos(self.clock().now().nanoseconds - start))
    }

    /// The faults of a disk in virtual time.
    pub fn plan(&self, drive: usize) -> &FaultPlan {
        &self.drives[drive].plan
    }

    /// The requests to all devices together since the last call.
    pub fn take_counts(&self) -> Counts {
        self.drives.iter().fold(Counts::default(), |sum, drive| {
            let counts = drive.counters.take();
            Counts {
                reads: sum.reads + counts.reads,
                read_bytes: sum.read_bytes + counts.read_bytes,
                writes: sum.writes + counts.writes,
                written_bytes: sum.written_bytes + counts.written_bytes,
                flushes: sum.flushes + counts.flushes,
                zeros: sum.zeros + counts.zeros,
                zeroed_bytes: sum.zeroed_bytes + counts.zeroed_bytes,
                discards: sum.discards + counts.discards,
                discarded_bytes: sum.discarded_bytes + counts.discarded_bytes,
            }
        })
    }

    fn open(&self, heap: Heap, index: usize) -> Result<Disk, NoMemory> {
        let Drive { medium, counters, plan } = &self.drives[index];
        let mut device = match medium {
            Medium::Ram(disk) => boxed_device(heap, Counted::new(RamDevice::new(disk.clone()), counters.clone())),
            Medium::Sparse(disk) => {
                let device = MemoryDevice::new(heap, disk.clone(), &"memory", QUEUE_DEPTH)?;
                boxed_device(heap, Counted::new(device, counters.clone()))
            }
        }?;
        if let Time::Virtual(clock, speed) = self.time {
            let throttled = Throttled::new(device, clock, speed);
            device = boxed_device(heap, Faulty::new(heap, throttled, plan.clone())?)?;
        }
        Disk::new(heap, device, self.clock(), DiskOptions::default())
    }

    /// Makes an empty filesystem; a cluster, if there are several disks.
    pub async fn format(&self) -> Result<(), Box<dyn Error>> {
        let mut random = Random::new(1);
        for index in 0..self.drives.len() {
            let mut fill = |bytes: &mut [u8]| random.fill(bytes);
            let disk = self.open(HEAP, index)?;
            newfs(&[&disk], &NewfsOptions::default(), HEAP, &mut fill, Timestamp { microseconds: 0 }).await?;
        }
        if self.drives.len() == 1 {
            return Ok(());
        }
        let disks = one_each(HEAP, self.drives.len(), |index| self.open(HEAP, index))?;
        let cluster = FileSystem::open_nodes(HEAP, disks, MountOptions::default(), &mut |_, _| {}).await?;
        let (clid, fsid) = (Uuid::from_unix_id(1), Uuid::from_unix_id(2));
        let time = Timestamp { microseconds: 0 };
        let new = NewPfs { label: CLUSTER, kind: PfsKind::Master, clid, fsid, time };
        match cluster.create(&new, random.next_u64()).await? {
            PfsOutcome::Done => Ok(()),
            other => Err(format!("the cluster wasn't made: {other:?}").into()),
        }
    }

    /// Mounts the volume for writing with this much memory.
    pub async fn mount(&self, memory_bytes: usize) -> Result<Mounted, Box<dyn Error>> {
        self.mount_first(self.drives.len(), memory_bytes).await
    }

    /// Mounts only the first disks.
    pub async fn mount_first(&self, nodes: usize, memory_bytes: usize) -> Result<Mounted, Box<dyn Error>> {
        let selector = if self.drives.len() == 1 { PfsSelector::Default } else { PfsSelector::Label(CLUSTER) };
        let open = |heap: Heap, index| self.open(heap, index);
        let Mounted { fs, budget, memory_bytes } = Mounted::new(memory_bytes, selector, nodes, open).await?;
        Ok(Mounted { fs: fs.make_writable(&HostTime).await?, budget, memory_bytes })
    }
}

impl Medium {
    fn sparse(bytes: u64) -> Self {
        Self::Sparse(Rc::new(MemoryDisk::new(HEAP, bytes)))
    }
}
