//! The bytes that a device is given to write: counted, so the same on every machine. The long cases (a file of 1 GiB, a million
//! files) are in `scripts/bench write bytes`.

use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MIN_MEMORY_BYTES, MountOptions, NewFile};
use hammer2_core::io::wrap::{Counted, Counters, Counts};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{FileKind, Inum, Timestamp};
use hammer2_core::memory::{self, Heap};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;
use hammer2_kmod_shim::budget::Budget;

const VOLUME_BYTES: u64 = 1 << 30;
const MEMORY_BYTES: usize = 64 << 20;
const KIB: u64 = 1 << 10;
const CHANGE_BYTES: usize = 4096;
const CREATED: u64 = 10_000;

/// Does `work` on a new filesystem with this much memory, whose device counts requests; also passes the disk.
pub(crate) fn on_new_filesystem(memory_bytes: usize, work: impl AsyncFnOnce(&FileSystem, &Counters, &MemoryDisk)) {
    let clock = HostClock::leaked();
    let counters = Rc::new(Counters::default());
    let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, memory_bytes + MIN_MEMORY_BYTES)));
    let medium = Rc::new(MemoryDisk::new(&Global, VOLUME_BYTES));
    let open = |heap: Heap| {
        let device = MemoryDevice::new(heap, Rc::clone(&medium), &"memory", 64).expect("there is memory");
        let device = boxed_device(heap, Counted::new(device, Rc::clone(&counters))).expect("there is memory");
        Disk::new(heap, device, clock, DiskOptions::default()).expect("there is memory")
    };
    Executor::new(clock).block_on(async {
        let mut random = Random::new(1);
        let mut fill = |bytes: &mut [u8]| random.fill(bytes);
        let time = Timestamp { microseconds: 0 };
        newfs(&[&open(&Global)], &NewfsOptions::default(), &Global, &mut fill, time).await.expect("the disk takes it");
        let mut disks = memory::Vec::new_in(budget as Heap);
        memory::push(&mut disks, open(budget)).expect("there is memory");
        let options = MountOptions { memory_bytes, spare_nodes: 0 };
        let fs = FileSystem::mount(budget, disks, PfsSelector::Default, options).await.expect("it was just made");
        let fs = fs.make_writable(&HostTime).await.expect("it is a master");
        counters.take();
        work(&fs, &counters, &medium).await;
    });
}

pub(crate) async fn create(fs: &FileSystem, name: &str) -> Inum {
    fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await.expect("there is room")
}

/// The requests of a sync after a change of 4 KiB in the middle of a file of this size.
fn change(file_bytes: u64) -> Counts {
    let mut asked = Counts::default();
    on_new_filesystem(MEMORY_BYTES, async |fs, counters, _| {
        let file = create(fs, "file").await;
        let mut piece = vec![0; file_bytes.min(1 << 20) as usize];
        Random::new(2).fill(&mut piece);
        for offset in (0..file_bytes).step_by(piece.len()) {
            fs.write(file, offset, &piece).await.expect("there is room");
        }
        fs.sync().await.expect("the disk takes it");
        counters.take();
        fs.write(file, file_bytes / 2, &[1; CHANGE_BYTES]).await.expect("there is room");
        fs.sync().await.expect("the disk takes it");
        asked = counters.take();
    });
    asked
}

#[test]
fn a_sync_of_a_small_change_writes_little() {
    for (file_bytes, limit) in [(8 * KIB, 210 * KIB), (128 << 20, 300 * KIB)] {
        let written = change(file_bytes).written_bytes;
        println!("a change of 4 KiB in a file of {} KiB: {written} bytes", file_bytes / KIB);
        assert!(written <= limit, "{written} bytes for a file of {file_bytes}");
    }
}

#[test]
fn a_sync_of_a_small_change_reads_nothing() {
    let asked = change(8 * KIB);
    assert_eq!((asked.reads, asked.read_bytes), (0, 0), "what was written last is known");
}

#[test]
fn creating_files_writes_little_for_each() {
    on_new_filesystem(MEMORY_BYTES, async |fs, counters, _| {
        for number in 0..CREATED {
            create(fs, &format!("file.{number}")).await;
        }
        fs.sync().await.expect("the disk takes it");
        let each = counters.take().written_bytes / CREATED;
        println!("{each} bytes for each of {CREATED} files");
        assert!(each <= 3500, "{each} bytes for each file");
    });
}
