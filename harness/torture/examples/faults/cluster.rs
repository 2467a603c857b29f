//! The cluster that the scenarios work on: masters, and slaves behind them.

use std::error::Error;
use std::path::PathBuf;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{NewPfs, OpenError, PfsOutcome};
use hammer2_core::fs::{FileSystem, MountOptions, TimeSource};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, FileDevice};
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;

const HEAP: Heap = &Global;

/// How many of the nodes are masters.
const MASTERS: usize = 3;

/// Makes formatted images the nodes of a new cluster.
pub(crate) fn create(images: &[PathBuf], label: &str, seed: u64) -> Result<(), Box<dyn Error>> {
    let clock = HostClock::leaked();
    let mut nodes = HeapVec::new_in(HEAP);
    for image in images {
        let device = boxed_device(HEAP, FileDevice::open(image, Access::Write)?)?;
        let mut volumes = HeapVec::new_in(HEAP);
        push(&mut volumes, Disk::new(HEAP, device, clock, DiskOptions::default())?)?;
        push(&mut nodes, volumes)?;
    }
    let new = NewPfs {
        label: label.as_bytes(),
        kind: PfsKind::Master,
        clid: Uuid::random([0x2a; 16]),
        fsid: Uuid::random([0x2b; 16]),
        time: HostTime.now(),
    };
    let kinds: Vec<PfsKind> =
        (0..images.len()).map(|number| if number < MASTERS { PfsKind::Master } else { PfsKind::Slave }).collect();
    let made = Executor::new(clock).block_on(async {
        let mut refused = |_, _: &OpenError| {};
        let cluster = FileSystem::open_nodes(HEAP, nodes, MountOptions::default(), &mut refused).await?;
        Ok::<_, Box<dyn Error>>(cluster.create_as(&new, &kinds, seed).await?)
    })?;
    if made == PfsOutcome::Done { Ok(()) } else { Err("the disks have such a cluster already".into()) }
}
