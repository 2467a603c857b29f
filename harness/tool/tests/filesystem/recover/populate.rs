//! Volumes of our own with a history: files that changed, were removed, have several names; snapshots; several headers.

use std::cell::Cell;
use std::collections::BTreeMap;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MIN_MEMORY_BYTES, MountOptions, NewFile, TimeSource};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::media::{FileKind, Inum, Timestamp};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, FileDevice};
use hammer2_host::executor::Executor;
use hammer2_model::{Dice, Model, Step};
use tempfile::TempDir;

use super::known::Known;
use super::volumes::Volumes;
use crate::perform::perform;

const HEAP: Heap = &Global;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_700_000_000_000_000) };
}

/// A time source that advances at every call.
struct Ticks;

impl TimeSource for Ticks {
    fn now(&self) -> Timestamp {
        NOW.set(NOW.get() + 1);
        Timestamp { microseconds: NOW.get() }
    }

    fn random(&self) -> u64 {
        0x5eed
    }
}

fn disks(volumes: &Volumes, clock: &'static HostClock) -> HeapVec<Disk> {
    let mut disks = HeapVec::new_in(HEAP);
    for path in &volumes.paths {
        let device = boxed_device(HEAP, FileDevice::open(path, Access::Write).unwrap()).unwrap();
        push(&mut disks, Disk::new(HEAP, device, clock, DiskOptions::default()).unwrap()).unwrap();
    }
    disks
}

fn files(label: &str, model: &Model) -> BTreeMap<String, Vec<u8>> {
    let content = |path: String| Some((format!("{label}/{path}"), model.content(&path)?.clone()));
    model.paths().into_iter().filter_map(content).collect()
}

/// Volumes of random sizes: one volume or two, with one header or several.
pub(crate) fn populated(random: &mut Random) -> (Volumes, Known) {
    let sizes: &[u64] = match random.index(6) {
        0 => &[5 << 30],
        1 => &[1 << 30, 96 << 20],
        _ => &[160 << 20],
    };
    let named: Vec<_> = sizes.iter().enumerate().map(|(index, bytes)| (format!("v{index}.img"), *bytes)).collect();
    let volumes = Volumes::new(TempDir::new().unwrap(), &named);
    let clock = HostClock::leaked();
    let (newest, past) = Executor::new(clock).block_on(populate(&volumes, clock, random));
    let mut known = Known::new(&volumes, newest);
    past.into_iter().for_each(|content| known.held(content));
    (volumes, known)
}

async fn populate(
    volumes: &Volumes,
    clock: &'static HostClock,
    random: &mut Random,
) -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
    let formatted = disks(volumes, clock);
    let references: Vec<&Disk> = formatted.iter().collect();
    let mut seeded = random.fork();
    newfs(&references, &NewfsOptions::default(), HEAP, &mut |bytes| seeded.fill(bytes), Ticks.now()).await.unwrap();
    drop(formatted);
    let mut dice = Dice::new(random.next_u64());
    let mut model = Model::new();
    let mut snapshots = BTreeMap::new();
    let mut past = Vec::new();
    for round in 0..2 + random.index(3) {
        let options = MountOptions { memory_bytes: 64 << 20, spare_nodes: 0 };
        let selector = PfsSelector::Label(b"DATA");
        let fs = FileSystem::mount(HEAP, disks(volumes, clock), selector, options).await.unwrap();
        let fs = fs.make_writable(&Ticks).await.unwrap();
        for _ in 0..20 + random.index(120) {
            let step = dice.step(&model);
            let done = perform(&step, &fs, &model).await;
            assert_eq!(done.is_ok(), step.apply(&mut model), "{step:?}: {done:?}");
            if let Step::Write(path, ..)
            | Step::Append(path, ..)
            | Step::Truncate(path, ..)
            | Step::Punch(path, ..)
            | Step::Clone(_, _, path, ..) = &step
            {
                past.extend(model.content(path).cloned());
            }
        }
        if random.percent(30) {
            let label = format!("snap{round}");
            let step = Step::Snapshot(label.clone());
            perform(&step, &fs, &model).await.unwrap();
            step.apply(&mut model);
            snapshots.insert(label, model.clone());
        }
        fs.sync().await.unwrap();
        fs.unmount().await.unwrap();
    }
    past.push(Vec::new());
    let mut newest = files("DATA", &model);
    snapshots.iter().for_each(|(label, model)| newest.extend(files(label, model)));
    (newest, past)
}

/// A volume with many files that were written with the least memory of a mount, and their content.
pub(crate) fn crowded() -> (Volumes, BTreeMap<String, Vec<u8>>) {
    const FILES: usize = 6000;
    let volumes = Volumes::new(TempDir::new().unwrap(), &[("a.img".to_owned(), 160 << 20)]);
    let clock = HostClock::leaked();
    let files = Executor::new(clock).block_on(async {
        let formatted = disks(&volumes, clock);
        let references: Vec<&Disk> = formatted.iter().collect();
        let mut random = Random::new(1);
        newfs(&references, &NewfsOptions::default(), HEAP, &mut |bytes| random.fill(bytes), Ticks.now()).await.unwrap();
        drop(formatted);
        let options = MountOptions { memory_bytes: MIN_MEMORY_BYTES, spare_nodes: 0 };
        let selector = PfsSelector::Label(b"DATA");
        let fs = FileSystem::mount(HEAP, disks(&volumes, clock), selector, options).await.unwrap();
        let fs = fs.make_writable(&Ticks).await.unwrap();
        let mut files = BTreeMap::new();
        for number in 0..FILES {
            let name = format!("file {number}");
            let new = NewFile::new(FileKind::Regular, 0o644);
            let inum = fs.create(Inum::PFS_ROOT, name.as_bytes(), &new).await.unwrap();
            fs.write(inum, 0, name.as_bytes()).await.unwrap();
            files.insert(format!("DATA/{name}"), name.into_bytes());
        }
        fs.unmount().await.unwrap();
        files
    });
    (volumes, files)
}
