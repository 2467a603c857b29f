//! Making filesystems, on scratch disks and in memory, and reading them back.

use alloc::rc::Rc;

use super::{DATA, OPTIONS, VOLUME_BYTES, populated};
use crate::cluster::PfsSelector;
use crate::fs::{FileSystem, MountError, MountOptions};
use crate::io::wrap::{Counted, Counters, Counts, Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceError, Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use crate::media::geometry::header_copies;
use crate::media::volume_header::VolumeVersion;
use crate::memory::{self, Heap, Vec};
use crate::newfs::{NewfsError, NewfsOptions, NewfsReport, has_filesystem, newfs};
use crate::random::Random;
use crate::selftest::image::population::Scale;
use crate::selftest::image::{IMAGE_TIME, SharedDisk, Spread};
use crate::selftest::mounted::{MOUNT_BYTES, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "newfs: scratch disks, one by one and as a set", run: scratch_disks },
    Case { name: "newfs: volumes of many sizes, both versions", run: many_sizes },
    Case { name: "newfs: labels", run: labels },
    Case { name: "newfs: an old filesystem doesn't shine through", run: old_filesystem },
    Case { name: "newfs: zeros take no space", run: sparse },
    Case { name: "newfs: holes cost nothing, and what is none few requests", run: requests },
    Case { name: "newfs: the same on devices that make no zeros", run: refused_zeros },
    Case { name: "newfs: what can't be made changes nothing", run: refusals },
];

async fn format(
    environment: &dyn Environment,
    disks: &[Disk],
    options: &NewfsOptions<'_>,
) -> Result<NewfsReport, NewfsError> {
    let heap = environment.heap();
    let mut random = Random::new(environment.seed());
    let mut refs = Vec::new_in(heap);
    for disk in disks {
        memory::push(&mut refs, disk)?;
    }
    newfs(&refs, options, heap, &mut |bytes| random.fill(bytes), IMAGE_TIME).await
}

/// Mounts a PFS that must be there and empty.
async fn check_empty(heap: Heap, disks: Vec<Disk>, label: &[u8]) -> Result<(), Failure> {
    let fs = mount(heap, disks, label).await?;
    let census = read_everything(heap, &fs).await?;
    let statistics = fs.statistics();
    ensure(census.names == 0 && census.errors == 0, format_args!("{census:?} in a new filesystem"))?;
    ensure(statistics.free_bytes == statistics.total_bytes, format_args!("{statistics:?} of a new filesystem"))
}

fn memory_disks(heap: Heap, sizes: &[u64]) -> Result<Vec<SharedDisk>, Failure> {
    let mut disks = Vec::new_in(heap);
    for bytes in sizes {
        memory::push(&mut disks, SharedDisk::new(MemoryDisk::new(heap, *bytes)))?;
    }
    Ok(disks)
}

fn open_all(environment: &dyn Environment, disks: &[SharedDisk]) -> Result<Vec<Disk>, Failure> {
    let heap = environment.heap();
    let mut opened = Vec::new_in(heap);
    for disk in disks {
        let device = boxed_device(heap, MemoryDevice::new(heap, disk.clone(), &"memory", 8)?)?;
        memory::push(&mut opened, Disk::new(heap, device, environment.clock(), DiskOptions::default())?)?;
    }
    Ok(opened)
}

fn scratch_disks(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    let count = environment.scratch_disks()?.len();
    block_on(environment, async {
        for (index, version) in (0..count).zip([VolumeVersion::V2, VolumeVersion::V1].into_iter().cycle()) {
            let one = || -> Result<Vec<Disk>, Failure> {
                let mut disks = environment.scratch_disks()?;
                disks.swap(0, index);
                disks.truncate(1);
                Ok(disks)
            };
            let report = format(environment, &one()?, &NewfsOptions { version, ..OPTIONS }).await?;
            environment.log(format_args!("{} bytes, {} header copies", report.total_bytes, report.header_copies));
            ensure(has_filesystem(&one()?[0], heap).await?, format_args!("no filesystem after newfs"))?;
            check_empty(heap, one()?, DATA).await?;
        }
        let disks = environment.scratch_disks()?;
        let report = format(environment, &disks, &OPTIONS).await?;
        ensure(report.volumes == count, format_args!("{} volumes of {count} disks", report.volumes))?;
        check_empty(heap, disks, DATA).await?;
        check_empty(heap, environment.scratch_disks()?, b"LOCAL").await
    })
}

fn many_sizes(environment: &dyn Environment) -> Result<(), Failure> {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    block_on(environment, async {
        for (version, sizes) in [
            (VolumeVersion::V2, &[32 * MIB][..]),
            (VolumeVersion::V1, &[64 * MIB + 4096]),
            (VolumeVersion::V1, &[3 * GIB]),
            (VolumeVersion::V2, &[9 * GIB]),
            (VolumeVersion::V2, &[1 << 50]),
            (VolumeVersion::V2, &[GIB, GIB + 5 * MIB, 2 * GIB, 8 * MIB]),
        ] {
            let disks = memory_disks(environment.heap(), sizes)?;
            let options = NewfsOptions { version, ..OPTIONS };
            let report = format(environment, &open_all(environment, &disks)?, &options).await?;
            let in_size = |failure: Failure| failure.of(format_args!("{sizes:x?}"));
            let least_copies = header_copies(sizes[0]);
            ensure(report.header_copies >= least_copies, format_args!("{report:?}")).map_err(in_size)?;
            check_empty(environment.heap(), open_all(environment, &disks)?, DATA).await.map_err(in_size)?;
        }
        Ok(())
    })
}

fn labels(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    block_on(environment, async {
        let disks = memory_disks(heap, &[VOLUME_BYTES])?;
        let labels: &[&[u8]] = &[b"BOOT", b"a label with spaces", &[b'l'; 255]];
        format(environment, &open_all(environment, &disks)?, &NewfsOptions { labels, ..OPTIONS }).await?;
        for label in labels.iter().copied().chain([&b"LOCAL"[..]]) {
            check_empty(heap, open_all(environment, &disks)?, label).await?;
        }
        for label in [&b"DATA"[..], b"BOO", b"BOOTX", b"boot"] {
            let mounted = mount(heap, open_all(environment, &disks)?, label).await;
            ensure(matches!(mounted, Err(MountError::NoSuchPfs)), format_args!("{} is there", label.escape_ascii()))?;
        }
        // There is only LOCAL, and no PFS to choose by default.
        format(environment, &open_all(environment, &disks)?, &NewfsOptions { labels: &[], ..OPTIONS }).await?;
        check_empty(heap, open_all(environment, &disks)?, b"LOCAL").await?;
        let options = MountOptions { memory_bytes: MOUNT_BYTES, spare_nodes: 0 };
        let mounted = FileSystem::mount(heap, open_all(environment, &disks)?, PfsSelector::Default, options).await;
        ensure(matches!(mounted, Err(MountError::NoSuchPfs)), format_args!("LOCAL is mounted by default"))
    })
}

fn old_filesystem(environment: &dyn Environment) -> Result<(), Failure> {
    const OLD_BYTES: u64 = 9 << 30;
    const NEW_BYTES: u64 = 1 << 30;
    let heap = environment.heap();
    block_on(environment, async {
        let (mut image, _) = populated(environment, &[OLD_BYTES], Spread::Packed, Scale::SMALL).await?;
        // There are headers in all places, with higher tids than those of a new filesystem.
        for label in [&b"one"[..], b"two", b"three", b"four"] {
            image.add_pfs(label)?;
            image.commit()?;
        }
        let disks = image.open(heap, environment.clock())?;
        ensure(has_filesystem(&disks[0], heap).await?, format_args!("the old filesystem is not seen"))?;
        format(environment, &disks, &NewfsOptions { size_bytes: Some(NEW_BYTES), ..OPTIONS }).await?;
        check_empty(heap, disks, DATA).await?;
        let fs = mount(heap, image.open(heap, environment.clock())?, DATA).await?;
        let total = fs.statistics().total_bytes;
        ensure(total < NEW_BYTES, format_args!("{total} bytes: an old header was taken"))
    })
}

fn sparse(environment: &dyn Environment) -> Result<(), Failure> {
    const MOST_BYTES: u64 = 1 << 20;
    block_on(environment, async {
        let disks = memory_disks(environment.heap(), &[1 << 40])?;
        format(environment, &open_all(environment, &disks)?, &NewfsOptions::default()).await?;
        let resident = disks[0].resident_bytes();
        ensure(resident <= MOST_BYTES, format_args!("a new filesystem takes {resident} bytes"))
    })
}

/// What newfs asks a disk for, with this plan of faults.
fn counted(environment: &dyn Environment, disk: &SharedDisk, plan: Option<FaultPlan>) -> Result<Counts, Failure> {
    let heap = environment.heap();
    let counters = Rc::new(Counters::default());
    let device = MemoryDevice::new(heap, disk.clone(), &"memory", 8)?;
    let device = match plan {
        None => boxed_device(heap, Counted::new(device, counters.clone()))?,
        Some(plan) => {
            let faulty = Faulty::new(heap, device, Rc::new(plan))?;
            boxed_device(heap, Counted::new(faulty, counters.clone()))?
        }
    };
    let disk = Disk::new(heap, device, environment.clock(), DiskOptions::default())?;
    block_on(environment, async { Ok(format(environment, &[disk], &NewfsOptions::default()).await?) })?;
    Ok(counters.take())
}

/// Writes to the beginning of every MiB of a disk, and to its end.
fn spoil(disk: &SharedDisk, bytes: u64) -> Result<(), Failure> {
    for offset in (0..bytes).step_by(1 << 20).chain([bytes - 512, bytes - 65536]) {
        disk.write_at(offset, &[0xa5; 512])?;
    }
    Ok(())
}

fn requests(environment: &dyn Environment) -> Result<(), Failure> {
    let blank = memory_disks(environment.heap(), &[1 << 40])?;
    let counts = counted(environment, &blank[0], None)?;
    // The inodes and four headers.
    let expected = Counts { writes: 5, written_bytes: 5 * 65536, flushes: 2, ..Counts::default() };
    ensure(counts == expected, format_args!("{counts:?} for a disk of zeros"))?;

    let used = memory_disks(environment.heap(), &[1 << 40])?;
    for offset in (0..324 << 20).step_by(1 << 20) {
        used[0].write_at(offset, &[0xa5; 512])?;
    }
    let counts = counted(environment, &used[0], None)?;
    let expected = Counts { zeros: 21, zeroed_bytes: 324 << 20, ..expected };
    ensure(counts == expected, format_args!("{counts:?} for a disk that was used"))
}

fn refused_zeros(environment: &dyn Environment) -> Result<(), Failure> {
    const BYTES: u64 = 64 << 20;
    const PIECE_BYTES: usize = 16384;
    let heap = environment.heap();
    let made = memory_disks(heap, &[BYTES])?;
    spoil(&made[0], BYTES)?;
    counted(environment, &made[0], None)?;
    let never = |error| Fault::always(Operations::ZERO, Effect::Fail(error));
    for fault in [
        never(DeviceError::Unsupported),
        never(DeviceError::Io(22)),
        Fault { skip: 1, ..never(DeviceError::Unsupported) },
    ] {
        let disks = memory_disks(heap, &[BYTES])?;
        spoil(&disks[0], BYTES)?;
        let plan = FaultPlan::new(heap);
        plan.add(fault.clone())?;
        let counts = counted(environment, &disks[0], Some(plan))?;
        ensure(counts.zeros == 1 + fault.skip && counts.reads > 0, format_args!("{counts:?} with {fault:?}"))?;
        let mut pieces = [[0; PIECE_BYTES]; 2];
        for offset in (0..BYTES).step_by(PIECE_BYTES) {
            for (piece, disk) in pieces.iter_mut().zip([&made[0], &disks[0]]) {
                disk.read_at(offset, piece)?;
            }
            ensure(pieces[0] == pieces[1], format_args!("other content at {offset:#x} with {fault:?}"))?;
        }
    }
    let late = FaultPlan::new(heap);
    late.add(never(DeviceError::Timeout))?;
    spoil(&made[0], BYTES)?;
    // It may still do it, when something else is there.
    ensure(
        counted(environment, &made[0], Some(late)).is_err(),
        format_args!("a device that is late was not waited for"),
    )
}

fn refusals(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let disks = memory_disks(environment.heap(), &[16 << 20, 1 << 30])?;
        let opened = open_all(environment, &disks)?;
        for (count, options, expected) in [
            (1, OPTIONS, "too small"),
            (2, OPTIONS, "every volume but the last"),
            (2, NewfsOptions { version: VolumeVersion::V1, ..OPTIONS }, "version 1"),
            (0, OPTIONS, "no device"),
            (1, NewfsOptions { labels: &[b"a", b"a"], ..OPTIONS }, "twice"),
        ] {
            let text = match format(environment, &opened[..count], &options).await {
                Ok(report) => Failure::new(format_args!("made: {report:?}")),
                Err(error) => Failure::from(error),
            };
            ensure(text.text().contains(expected), format_args!("`{}` instead of `{expected}`", text.text()))?;
        }
        let written = disks.iter().map(|disk| disk.resident_bytes()).sum::<u64>();
        ensure(written == 0, format_args!("{written} bytes written"))
    })
}
