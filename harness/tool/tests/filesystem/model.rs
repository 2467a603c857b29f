//! Random operations on a filesystem and on a model of it, with syncs, remounts and power cuts in between. After each remount
//! everything is compared, and a strict check of the volume finds nothing.
//!
//! `H2_SEED` chooses the first of the sequences, `HAMMER2_FULL` makes them many more.

use std::collections::BTreeMap;
use std::env;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{PfsOutcome, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MountOptions, NewFile, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_kmod_shim::budget::Budget;
use hammer2_model::{Dice, Model, Step};

use super::ticks::Ticks;
use crate::difference::difference;
use crate::perform::perform;

const HEAP: Heap = &Global;
const VOLUME_BYTES: u64 = 256 << 20;

struct Strict(Vec<String>);

impl Observer for Strict {
    fn finding(&mut self, finding: &Finding<'_>) {
        self.0.push(finding.to_string());
    }

    fn progress(&mut self, _: Progress) {}
}

pub(crate) struct World {
    disk: Rc<MemoryDisk>,
    pub(crate) clock: &'static HostClock,
    dice: Dice,
    memory_bytes: usize,
    /// Equal blocks share places.
    dedup: bool,
}

impl World {
    pub(crate) fn new(seed: u64, memory_bytes: usize) -> Self {
        let disk = Rc::new(MemoryDisk::new(HEAP, VOLUME_BYTES));
        Self { disk, clock: HostClock::leaked(), dice: Dice::new(seed), memory_bytes, dedup: seed.is_multiple_of(3) }
    }

    fn disks(&self, disk: &Rc<MemoryDisk>) -> HeapVec<Disk> {
        let mut disks = HeapVec::new_in(HEAP);
        let device = MemoryDevice::new(HEAP, Rc::clone(disk), &"memory", 64).unwrap();
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    pub(crate) async fn format(&mut self) {
        let random = &mut Random::new(self.dice.number());
        let disks = self.disks(&self.disk);
        let references: Vec<&Disk> = disks.iter().collect();
        let options = NewfsOptions::default();
        newfs(&references, &options, HEAP, &mut |bytes| random.fill(bytes), Ticks.now()).await.unwrap();
    }

    pub(crate) async fn mount(&self, label: &str) -> FileSystem {
        let options = MountOptions { memory_bytes: self.memory_bytes, spare_nodes: 0 };
        let disks = self.disks(&self.disk);
        // This is a little more than the mount's budget, for short-lived allocations.
        let limit_bytes = self.memory_bytes + (1 << 20);
        let heap: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, limit_bytes)));
        let fs = FileSystem::mount(heap, disks, PfsSelector::Label(label.as_bytes()), options).await.unwrap();
        let fs = fs.make_writable(&Ticks).await.unwrap();
        fs.set_dedup(if self.dedup { 4096 } else { 0 }).unwrap();
        fs
    }

    pub(crate) async fn check(&self) {
        let mut findings = Strict(Vec::new());
        let options = FsckOptions { strict: true, ..FsckOptions::default() };
        let summary = fsck::check(HEAP, self.disks(&self.disk), options, &mut findings).await.unwrap();
        assert_eq!(summary.problems, 0, "{:#?}", findings.0);
    }

    /// Does a step on both, if it is possible.
    async fn step(&mut self, fs: &FileSystem, model: &mut Model, step: &Step) -> bool {
        let outcome = perform(step, fs, model).await;
        if let Step::Unlink(path) = step
            && model.directories().contains(path)
        {
            assert_eq!(outcome, Err(Error::IsADirectory), "{path}");
        }
        assert_eq!(outcome.is_ok(), step.apply(model), "{step:?}: {outcome:?}");
        outcome.is_ok()
    }

    async fn steps(&mut self, fs: &FileSystem, model: &mut Model, limit: usize) {
        for _ in 0..self.dice.index(limit) {
            let step = self.dice.step(model);
            self.step(fs, model, &step).await;
        }
    }
}

async fn compare(fs: &FileSystem, model: &Model) {
    assert_eq!(difference(fs, model).await, None);
}

async fn sequence(world: &mut World, rounds: u64) {
    world.format().await;
    // The PFSs by label; the first is made by newfs. Any of them may be changed, copied and removed.
    let mut models = BTreeMap::from([("DATA".to_owned(), Model::new())]);
    for round in 0..rounds {
        let chosen = world.dice.index(models.len());
        let (label, mut model) =
            models.iter().nth(chosen).map(|(label, model)| (label.clone(), model.clone())).unwrap();
        let fs = world.mount(&label).await;
        compare(&fs, &model).await;
        world.steps(&fs, &mut model, 60).await;
        // Content that is only in memory, or still there, is compared first.
        compare(&fs, &model).await;
        // The power goes: only changes that weren't durable are lost.
        if world.dice.index(4) == 0 {
            fs.sync().await.unwrap();
            let mut committed = model.clone();
            for _ in 0..world.dice.index(30) {
                let step = world.dice.step(&model);
                if world.step(&fs, &mut model, &step).await && step.commits() {
                    committed = model.clone();
                }
            }
            drop(fs);
            model = committed;
        } else {
            if world.dice.index(2) == 0 {
                let copy = format!("snap{round}");
                world.step(&fs, &mut model, &Step::Snapshot(copy.clone())).await;
                models.insert(copy, model.clone());
            }
            let cluster = fs.unmount().await.unwrap();
            if models.len() > 4 {
                let gone = models.keys().nth(world.dice.index(models.len())).unwrap().clone();
                if gone != label {
                    assert_eq!(cluster.delete_pfs(gone.as_bytes()).await, Ok(PfsOutcome::Done));
                    models.remove(&gone);
                }
            }
            for _ in 0..world.dice.index(4) {
                let freed = cluster.bulkfree().await.unwrap();
                assert_eq!((freed.repaired, freed.unstaged), (0, 0), "the freemap was right before");
            }
        }
        models.insert(label, model);
        world.check().await;
    }
    for (label, model) in &models {
        compare(&world.mount(label).await, model).await;
    }
}

#[test]
fn random_operations_behave_like_the_model() {
    let first: u64 = env::var("H2_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (sequences, rounds) = if env::var_os("HAMMER2_FULL").is_some() { (200, 20) } else { (12, 8) };
    for seed in first..first + sequences {
        println!("H2_SEED={seed}");
        let mut world = World::new(seed, if seed % 2 == 0 { 2 << 20 } else { 16 << 20 });
        Executor::new(world.clock).block_on(sequence(&mut world, rounds));
    }
}

/// More blocks are modified than memory holds, so they are written and read again before any sync.
#[test]
fn many_files_with_little_memory() {
    let mut world = World::new(1, 2 << 20);
    Executor::new(world.clock).block_on(async {
        let world = &mut world;
        world.format().await;
        let fs = world.mount("DATA").await;
        let names = |directory: u64, file: u64| (format!("directory {directory}"), format!("a file called {file}"));
        for directory in 0..20 {
            let (name, _) = names(directory, 0);
            let new = NewFile::new(FileKind::Directory, 0o755);
            fs.create(Inum::PFS_ROOT, name.as_bytes(), &new).await.unwrap();
        }
        for file in 0..400 {
            for directory in 0..20 {
                let (above, name) = names(directory, file);
                let above = fs.lookup(Inum::PFS_ROOT, above.as_bytes()).await.unwrap();
                let inum = fs.create(above, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await.unwrap();
                fs.write(inum, 600 * (file % 3), name.as_bytes()).await.unwrap();
            }
        }
        fs.unmount().await.unwrap();
        world.check().await;
        let fs = world.mount("DATA").await;
        for file in 0..400 {
            for directory in 0..20 {
                let (above, name) = names(directory, file);
                let inum = fs.resolve(format!("{above}/{name}").as_bytes()).await.unwrap();
                let mut read = vec![0; 2000];
                let count = fs.read(inum, 600 * (file % 3), &mut read).await.unwrap();
                assert_eq!(&read[..count], name.as_bytes());
            }
        }
    });
}
