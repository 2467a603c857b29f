//! The disks of a cluster: mounted together, or each by itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::Mount;
use hammer2_core::cluster::{Cluster, NewPfs, PfsOutcome, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MountError, MountOptions, NewFile, TimeSource, TreeWalk};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use hammer2_core::io::wrap::{Content, Detail, FaultPlan, Faulty, Log, Logged};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, Operation, boxed_device};
use hammer2_core::media::geometry::{HEADER_COPIES, header_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{FileKind, Inum, PfsKind, Timestamp, Uuid, VolumeHeader};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use zerocopy::FromBytes as _;

pub(crate) const HEAP: Heap = &Global;
const QUEUE_DEPTH: u16 = 64;
pub(crate) const MEMORY_BYTES: usize = 24 << 20;
pub(crate) const DISK_BYTES: u64 = 256 << 20;
/// Requests a log has room for.
const LOG_LIMIT: usize = 100_000;
pub(crate) const LABEL: &[u8] = b"WORK";
pub(crate) const CLID: Uuid = Uuid([7; 16]);

pub(crate) struct Ticks;

impl TimeSource for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 1_700_000_000_000_000 }
    }

    fn random(&self) -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

/// Some disks, each with a plan of its faults.
pub(crate) struct Members {
    clock: &'static HostClock,
    pub(crate) disks: Vec<Rc<MemoryDisk>>,
    pub(crate) plans: Vec<Rc<FaultPlan>>,
    log: RefCell<Option<Rc<Log>>>,
    choice: Cell<Option<Mount>>,
    /// How long a disk may take to answer.
    pub(crate) deadline: Cell<Duration>,
    /// The PFS that is mounted.
    pub(crate) label: Cell<&'static [u8]>,
}

/// A write to one of the disks.
pub(crate) struct Written {
    pub(crate) disk: usize,
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
}

impl Members {
    /// No disks yet.
    pub(crate) fn none() -> Self {
        Self {
            clock: HostClock::leaked(),
            disks: Vec::new(),
            plans: Vec::new(),
            log: RefCell::new(None),
            choice: Cell::default(),
            deadline: Cell::new(Duration::from_millis(200)),
            label: Cell::new(LABEL),
        }
    }

    /// As many disks, each with a filesystem of its own.
    pub(crate) fn formatted(count: usize) -> Self {
        let mut members = Self::none();
        for number in 0..count {
            members.add(number as u8);
        }
        members
    }

    /// The members of a random cluster of one disk or three with one of these sizes; and their numbers.
    pub(crate) fn drawn(random: &mut Random, sizes: &[u64]) -> (Self, Vec<usize>) {
        let (bytes, count) = (random.pick(sizes), 1 + 2 * random.index(2));
        println!("  {count} disks of {bytes} bytes");
        let mut members = Self::none();
        (0..count).for_each(|number| members.add_of(bytes, number as u8));
        members.create();
        (members, (0..count).collect())
    }

    /// Adds an existing disk.
    pub(crate) fn add_disk(&mut self, disk: MemoryDisk) {
        self.disks.push(Rc::new(disk));
        self.plans.push(Rc::new(FaultPlan::new(HEAP)));
    }

    /// Adds a disk with a new filesystem.
    pub(crate) fn add(&mut self, seed: u8) {
        self.add_of(DISK_BYTES, seed);
    }

    /// Adds a disk of so many bytes with a new filesystem.
    pub(crate) fn add_of(&mut self, bytes: u64, seed: u8) {
        self.add_disk(MemoryDisk::new(HEAP, bytes));
        let disks = self.node(self.disks.len() - 1);
        let references: Vec<&Disk> = disks.iter().collect();
        let mut next = seed;
        let mut fill = |bytes: &mut [u8]| {
            bytes.iter_mut().for_each(|byte| {
                next = next.wrapping_mul(29).wrapping_add(101);
                *byte = next;
            });
        };
        self.run(newfs(&references, &NewfsOptions::default(), HEAP, &mut fill, Ticks.now())).unwrap();
    }

    /// Adds a copy of a disk.
    pub(crate) fn add_copy(&mut self, of: usize) {
        self.disks.push(Rc::new(self.disks[of].try_clone().unwrap()));
        self.plans.push(Rc::new(FaultPlan::new(HEAP)));
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        Executor::new(self.clock).block_on(future)
    }

    pub(crate) fn node(&self, index: usize) -> HeapVec<Disk> {
        let device = MemoryDevice::new(HEAP, Rc::clone(&self.disks[index]), &"memory", QUEUE_DEPTH).unwrap();
        let device = Faulty::new(HEAP, device, Rc::clone(&self.plans[index])).unwrap();
        let device = match &*self.log.borrow() {
            None => boxed_device(HEAP, device).unwrap(),
            Some(log) => boxed_device(HEAP, Logged::new(HEAP, device, index as u16, Rc::clone(log)).unwrap()).unwrap(),
        };
        let options = DiskOptions { deadline: self.deadline.get() };
        let mut disks = HeapVec::new_in(HEAP);
        push(&mut disks, Disk::new(HEAP, device, self.clock, options).unwrap()).unwrap();
        disks
    }

    /// The nodes with these numbers, opened together.
    pub(crate) async fn open(&self, nodes: &[usize]) -> Cluster {
        self.open_within(HEAP, MEMORY_BYTES, nodes).await
    }

    /// The same, with so much memory of a heap.
    pub(crate) async fn open_within(&self, heap: Heap, memory_bytes: usize, nodes: &[usize]) -> Cluster {
        let mut disks = HeapVec::new_in(heap);
        nodes.iter().for_each(|index| push(&mut disks, self.node(*index)).unwrap());
        let options = MountOptions { memory_bytes, spare_nodes: 0 };
        FileSystem::open_nodes(heap, disks, options, &mut |_, error| panic!("{error}")).await.unwrap()
    }

    /// A cluster of so many masters.
    pub(crate) fn masters(count: usize) -> Self {
        let members = Self::formatted(count);
        members.create();
        members
    }

    /// Makes all disks masters of one cluster.
    pub(crate) fn create(&self) {
        let all: Vec<usize> = (0..self.disks.len()).collect();
        self.create_as(&all, &[]);
    }

    /// Makes some disks members of one cluster, of these kinds; masters where none is given.
    pub(crate) fn create_as(&self, nodes: &[usize], kinds: &[PfsKind]) {
        let new = self.new_pfs();
        let made = self.run(async { self.open(nodes).await.create_as(&new, kinds, Ticks.random()).await });
        assert_eq!(made, Ok(PfsOutcome::Done));
    }

    /// A PFS with the cluster's label, and an id of its own.
    pub(crate) fn new_pfs(&self) -> NewPfs<'static> {
        let mut fsid = [9; 16];
        fsid[..8].copy_from_slice(&Ticks.random().to_le_bytes());
        NewPfs { label: LABEL, kind: PfsKind::Master, clid: CLID, fsid: Uuid(fsid), time: Ticks.now() }
    }

    pub(crate) async fn mount(&self, nodes: &[usize]) -> Result<FileSystem, MountError> {
        let options = MountOptions { memory_bytes: MEMORY_BYTES, spare_nodes: 0 };
        let cluster = self.open(nodes).await;
        if let Some(mount) = self.choice.get() {
            cluster.choose(mount);
        }
        FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(self.label.get()), options).await
    }

    /// The same disks, to be mounted in this way.
    pub(crate) fn choosing(&self, mount: Mount) -> Self {
        let choice = Cell::new(Some(mount));
        Self { disks: self.disks.clone(), plans: self.plans.clone(), choice, ..Self::none() }
    }

    /// The same disks without faults.
    pub(crate) fn elsewhere(&self) -> Self {
        let plans = self.disks.iter().map(|_| Rc::new(FaultPlan::new(HEAP))).collect();
        Self { disks: self.disks.clone(), plans, ..Self::none() }
    }

    /// Mounts nodes for writing, and changes something.
    pub(crate) fn change_on<T>(
        &self,
        nodes: &[usize],
        change: impl AsyncFnOnce(&FileSystem) -> T,
    ) -> Result<T, MountError> {
        self.run(async {
            let fs = self.mount(nodes).await?.make_writable(&Ticks).await?;
            let changed = change(&fs).await;
            drop(fs.unmount().await.unwrap());
            Ok(changed)
        })
    }

    /// Copies of the disks in their current state, to be changed independently.
    pub(crate) fn copied(&self) -> Self {
        let disks = self.disks.iter().map(|disk| Rc::new(disk.try_clone().unwrap())).collect();
        let plans = self.disks.iter().map(|_| Rc::new(FaultPlan::new(HEAP))).collect();
        Self { disks, plans, label: self.label.clone(), ..Self::none() }
    }

    /// The writes to the disks while `run` runs, in the order of submission.
    pub(crate) fn writes_of(&self, run: impl FnOnce()) -> Vec<Written> {
        let log = Rc::new(Log::new(HEAP, LOG_LIMIT, Detail::Data));
        *self.log.borrow_mut() = Some(Rc::clone(&log));
        run();
        *self.log.borrow_mut() = None;
        assert_eq!(log.missed(), 0);
        let entries = log.entries();
        let writes = entries.iter().filter_map(|entry| match (entry.operation, &entry.content) {
            (Operation::Write(offset), Content::Data(data)) => {
                Some(Written { disk: entry.device.into(), offset: offset.0, data: data.to_vec() })
            }
            _ => None,
        });
        writes.collect()
    }

    /// How many of [`writes_of`](Self::writes_of) there are so far.
    pub(crate) fn writes_so_far(&self) -> usize {
        let log = self.log.borrow();
        let entries = log.as_ref().expect("writes are logged").entries();
        entries.iter().filter(|entry| matches!(entry.operation, Operation::Write(_))).count()
    }

    /// The content of nodes mounted together, as text.
    pub(crate) fn content(&self, nodes: &[usize]) -> Vec<String> {
        self.run(async {
            let fs = self.mount(nodes).await.unwrap();
            listing(&fs).await
        })
    }

    /// Checks that nodes hold the same, each read by itself, and that their volumes are sound.
    pub(crate) fn expect_alike(&self, nodes: &[usize]) -> Vec<String> {
        let together = self.content(nodes);
        for node in nodes {
            assert_eq!(self.content(&[*node]), together, "node {node} by itself");
            assert_eq!(self.problems(*node), Vec::<String>::new(), "node {node}");
        }
        together
    }

    /// The findings of a strict check.
    pub(crate) fn problems(&self, node: usize) -> Vec<String> {
        struct Findings(Vec<String>);
        impl Observer for Findings {
            fn finding(&mut self, finding: &Finding<'_>) {
                if finding.severity == Severity::Problem {
                    self.0.push(finding.to_string());
                }
            }
            fn progress(&mut self, _: Progress) {}
        }
        let mut findings = Findings(Vec::new());
        let options = FsckOptions { strict: true, cache_bytes: 0 };
        self.run(fsck::check(HEAP, self.node(node), options, &mut findings)).map(drop).unwrap();
        findings.0
    }

    /// Flips a bit in one of every `every` chunks that aren't zero, except volume headers and freemap.
    pub(crate) fn flip_bits(&self, node: usize, every: usize) {
        let mut seen = 0;
        self.flip_where(node, |chunk| {
            seen += usize::from(chunk.iter().any(|byte| *byte != 0));
            seen % every == 0
        });
    }

    /// Flips a bit in every chunk of [`noise`], but in no metadata, which is recognized by its zeros.
    pub(crate) fn flip_noise(&self, node: usize) {
        self.flip_where(node, is_noise);
    }

    /// Flips a bit in metadata, but not in [`noise`].
    pub(crate) fn flip_metadata(&self, node: usize) {
        self.flip_where(node, |chunk| !is_noise(chunk));
    }

    fn flip_where(&self, node: usize, mut wanted: impl FnMut(&[u8]) -> bool) {
        const CHUNK: usize = 16 << 10;
        let disk = &self.disks[node];
        let mut bytes = vec![0; CHUNK];
        for offset in (4 << 20..DISK_BYTES).step_by(CHUNK) {
            disk.read_at(offset, &mut bytes).unwrap();
            let Some(at) = bytes.iter().position(|byte| *byte != 0) else { continue };
            if wanted(&bytes) {
                bytes[at] ^= 0x40;
                disk.write_at(offset, &bytes).unwrap();
            }
        }
    }

    /// Makes a PFS on one disk that belongs to no cluster.
    pub(crate) fn make_plain(&self, node: usize) {
        let new = self.new_pfs();
        let made = self.run(async {
            let cluster = FileSystem::open_cluster(HEAP, self.node(node), MountOptions::default()).await.unwrap();
            cluster.create_pfs(&new).await
        });
        assert_eq!(made, Ok(PfsOutcome::Done));
    }

    /// Brings one of the mounted nodes in step.
    pub(crate) fn resync(&self, nodes: &[usize]) -> ResyncCounts {
        let counts = self.change_on(nodes, async |fs| {
            let behind = fs.nodes_behind().next().expect("a node is behind");
            fs.resync(behind).await
        });
        counts.unwrap().unwrap()
    }
}

/// Makes files in a directory of their own.
pub(crate) async fn fill(fs: &FileSystem, directory: &str, files: usize) -> Result<(), Error> {
    let new = NewFile::new(FileKind::Directory, 0o755);
    let directory = fs.create(Inum::PFS_ROOT, directory.as_bytes(), &new).await?;
    for number in 0..files {
        let name = format!("file-{number}");
        let file = fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
        let content: Vec<u8> = (0..number % 40 * 3_000).map(|at| (at * 7 + number + at / 251) as u8).collect();
        fs.write(file, 0, &content).await?;
    }
    Ok(())
}

/// Bytes that can't be compressed.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// All names with kind, size, links, modification id and content digest.
pub(crate) async fn listing(fs: &FileSystem) -> Vec<String> {
    let mut walk = TreeWalk::new(HEAP, fs, Inum::PFS_ROOT).unwrap();
    let mut lines = Vec::new();
    while let Some(found) = walk.next().await.unwrap() {
        assert_eq!(found.incomplete, None);
        let path = String::from_utf8_lossy(found.path).into_owned();
        let attributes = found.attributes(fs).await.unwrap();
        let (kind, tid) = (attributes.kind, attributes.modify_tid);
        let mut line = format!("{path} {kind:?} {} {} {tid:?}", attributes.size, attributes.links);
        if attributes.kind == FileKind::Regular {
            let mut content = vec![0; attributes.size as usize];
            let read = fs.read(attributes.inum, 0, &mut content).await.unwrap();
            let sum = content[..read].iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
            line += &format!(" {sum:x}");
        }
        lines.push(line);
    }
    lines
}

/// Bytes of a disk.
pub(crate) fn read(disk: &MemoryDisk, offset: u64, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    disk.read_at(offset, &mut read).unwrap();
    read
}

/// The header in force.
pub(crate) fn newest_header(disk: &MemoryDisk) -> VolumeHeader {
    let places =
        (0..HEADER_COPIES).map(header_offset).filter(|place| place + VOLUME_HEADER_BYTES as u64 <= disk.size_bytes());
    let copy = |place| VolumeHeader::read_from_bytes(&read(disk, place, VOLUME_HEADER_BYTES)).unwrap();
    places.map(copy).max_by_key(VolumeHeader::mirror_tid).unwrap()
}

fn is_noise(chunk: &[u8]) -> bool {
    chunk.iter().filter(|byte| **byte == 0).count() < chunk.len() / 100
}
