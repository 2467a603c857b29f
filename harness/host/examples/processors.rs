//! Measures what workers are good for: text written and read through the library in calls of 1 MiB, on a disk in memory, with so
//! many of them. Prints one JSON object: seconds on the wall. To be run with one processor and with two:
//!
//! `taskset -c 0 processors 0 lz4; taskset -c 0,1 processors 1 lz4`; the other codec is `zlib`.

use std::rc::Rc;
use std::time::Instant;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions, NewAttributes, NewFile};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{Compression, FileKind, Inum, Timestamp};
use hammer2_core::memory::{Heap, Vec as HeapVec};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_host::processors::Processors;
use hammer2_host::time_source::HostTime;

const HEAP: Heap = &Global;
const CALL_BYTES: usize = 1 << 20;
const CALLS: usize = 256;

fn main() {
    let workers: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
    let is_zlib = std::env::args().nth(2).is_some_and(|codec| codec == "zlib");
    let compression = if is_zlib { Compression::Zlib } else { Compression::Lz4 };
    let clock = HostClock::leaked();
    let executor = Executor::new(clock);
    let text: Vec<u8> = (0_u64..)
        .flat_map(|line| format!("{line} and {}\n", line * 7919 % 1009).into_bytes())
        .take(CALL_BYTES)
        .collect();
    let disk = Rc::new(MemoryDisk::new(HEAP, 1 << 30));
    let open = || {
        let device = MemoryDevice::new(HEAP, Rc::clone(&disk), &"memory", 64).expect("there is memory");
        let device = boxed_device(HEAP, device).expect("there is memory");
        Disk::new(HEAP, device, clock, DiskOptions::default()).expect("there is memory")
    };
    let mounted = async || {
        let mut disks = HeapVec::new_in(HEAP);
        disks.push(open());
        let options = MountOptions { memory_bytes: 64 << 20, spare_nodes: 0 };
        let mut fs = FileSystem::mount(HEAP, disks, PfsSelector::Default, options).await.expect("it was just made");
        if workers > 0 {
            fs.use_workers(Processors::leaked(workers, HEAP).expect("there are threads"));
        }
        fs.make_writable(&HostTime).await.expect("it was just made")
    };
    let (mut written, mut read) = (0.0, 0.0);
    executor.block_on(async {
        let now = Timestamp { microseconds: 0 };
        newfs(&[&open()], &NewfsOptions::default(), HEAP, &mut |bytes| bytes.fill(1), now)
            .await
            .expect("there is room");
        let fs = mounted().await;
        let file =
            fs.create(Inum::PFS_ROOT, b"text", &NewFile::new(FileKind::Regular, 0o600)).await.expect("there is room");
        let new = NewAttributes { comp_algo: Some(compression as u8), ..NewAttributes::default() };
        fs.set_attributes(file, &new).await.expect("it is ours");
        // The first round takes memory that the second has.
        for _ in 0..2 {
            let begun = Instant::now();
            for call in 0..CALLS {
                fs.write(file, (call * CALL_BYTES) as u64, &text).await.expect("there is room");
            }
            fs.sync().await.expect("there is room");
            written = begun.elapsed().as_secs_f64();
        }
        fs.unmount().await.expect("nothing fails");
        let fs = mounted().await;
        let mut found = vec![0; CALL_BYTES];
        for _ in 0..2 {
            let begun = Instant::now();
            for call in 0..CALLS {
                fs.read(file, (call * CALL_BYTES) as u64, &mut found).await.expect("it is there");
            }
            read = begun.elapsed().as_secs_f64();
        }
        assert!(found == text);
    });
    println!(
        "{{\"codec\":\"{compression}\",\"workers\":{workers},\"mebibytes\":{CALLS},\
         \"write_seconds\":{written:.4},\"read_seconds\":{read:.4}}}"
    );
}
