//! Random operations on a filesystem and on a model of it in memory, with syncs, remounts and power cuts in between. After
//! each remount everything is compared, and a strict check of the volume finds nothing.
//!
//! `H2_SEED` chooses the first of the sequences, `HAMMER2_FULL` makes them many more.

use std::collections::BTreeMap;
use std::env;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{EntryBatch, NewPfs, PfsOutcome, PfsSelector};
use hammer2_core::fs::{Cookie, Error, FileSystem, MountOptions, NewAttributes, NewFile, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::media::{FileKind, Inum, PfsKind, Timestamp, Uuid};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_harness::clock::HostClock;
use hammer2_harness::executor::Executor;
use hammer2_kmod_shim::budget::Budget;

const HEAP: Heap = &Global;
const VOLUME_BYTES: u64 = 256 << 20;

/// A clock of its own, so that the same seed gives the same bytes.
struct Ticks;

impl TimeSource for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 1_700_000_000_000_000 }
    }

    fn random(&self) -> u64 {
        0x5eed
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What a file is, as the model has it.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Directory(BTreeMap<Vec<u8>, usize>),
    File(Vec<u8>),
    Symlink(Vec<u8>),
}

/// A filesystem of maps and vectors. Nodes are named by their place, which is never used again.
#[derive(Clone)]
struct Model {
    nodes: Vec<Option<Node>>,
}

impl Model {
    fn new() -> Self {
        Self { nodes: vec![Some(Node::Directory(BTreeMap::new()))] }
    }

    fn entries(&mut self, directory: usize) -> &mut BTreeMap<Vec<u8>, usize> {
        match self.nodes[directory].as_mut() {
            Some(Node::Directory(entries)) => entries,
            other => panic!("not a directory: {other:?}"),
        }
    }

    fn directories(&self) -> Vec<usize> {
        let is_directory = |node: &usize| matches!(self.nodes[*node], Some(Node::Directory(_)));
        (0..self.nodes.len()).filter(is_directory).collect()
    }

    fn names_of(&self, wanted: usize) -> usize {
        let entries = self.nodes.iter().flatten().map(|node| match node {
            Node::Directory(entries) => entries.values().filter(|node| **node == wanted).count(),
            _ => 0,
        });
        entries.sum()
    }

    fn is_below(&self, node: usize, above: usize) -> bool {
        if node == above {
            return true;
        }
        match &self.nodes[above] {
            Some(Node::Directory(entries)) => entries.values().any(|child| self.is_below(node, *child)),
            _ => false,
        }
    }

    fn drop_name(&mut self, node: usize) {
        if self.names_of(node) == 0 {
            self.nodes[node] = None;
        }
    }
}

struct Strict(Vec<String>);

impl Observer for Strict {
    fn finding(&mut self, finding: &Finding<'_>) {
        self.0.push(finding.to_string());
    }

    fn progress(&mut self, _: Progress) {}
}

struct World {
    disk: Rc<MemoryDisk>,
    clock: &'static HostClock,
    random: Random,
    memory_bytes: usize,
}

impl World {
    fn disks(&self, disk: &Rc<MemoryDisk>) -> HeapVec<Disk> {
        let mut disks = HeapVec::new_in(HEAP);
        let device = MemoryDevice::new(HEAP, Rc::clone(disk), "memory", 64).unwrap();
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    async fn mount(&self, label: &str) -> FileSystem {
        let options = MountOptions { memory_bytes: self.memory_bytes };
        let disks = self.disks(&self.disk);
        // A little more than the mount is given: what lives only a moment.
        let limit_bytes = self.memory_bytes + (1 << 20);
        let heap: Heap = Box::leak(Box::new(Budget::new(Global, limit_bytes)));
        let fs = FileSystem::mount(heap, disks, PfsSelector::Label(label.as_bytes()), options).await.unwrap();
        fs.make_writable(&Ticks).await.unwrap()
    }

    fn new_pfs<'l>(&mut self, label: &'l [u8]) -> NewPfs<'l> {
        let mut uuid = || Uuid::random(std::array::from_fn(|_| self.random.next() as u8));
        NewPfs { label, kind: PfsKind::Master, clid: uuid(), fsid: uuid(), time: Ticks.now() }
    }

    async fn check(&self) {
        let mut findings = Strict(Vec::new());
        let options = FsckOptions { strict: true, ..FsckOptions::default() };
        let summary = fsck::check(HEAP, self.disks(&self.disk), options, &mut findings).await.unwrap();
        assert_eq!(summary.problems, 0, "{:#?}", findings.0);
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let text = self.random.below(3);
        let mut byte = self.random.next();
        (0..len)
            .map(|_| {
                byte = byte.wrapping_mul(6364136223846793005).wrapping_add(1);
                match text {
                    0 => 0,
                    1 => b'a' + (byte >> 60) as u8,
                    _ => (byte >> 56) as u8,
                }
            })
            .collect()
    }

    fn name(&mut self) -> Vec<u8> {
        let number = self.random.below(40);
        match number {
            0..4 => vec![b'l'; 60 + number as usize * 40],
            _ => format!("n{number}").into_bytes(),
        }
    }

    fn size(&mut self) -> u64 {
        match self.random.below(6) {
            0 => self.random.below(513),
            1 | 2 => self.random.below(5_000),
            3 | 4 => self.random.below(200_000),
            _ => self.random.below(1_200_000),
        }
    }
}

/// Finds the inode of a node by walking to it.
async fn inum(fs: &FileSystem, model: &Model, node: usize) -> Inum {
    let mut pending = vec![(0usize, Inum::PFS_ROOT)];
    while let Some((at, inum)) = pending.pop() {
        if at == node {
            return inum;
        }
        if let Some(Node::Directory(entries)) = &model.nodes[at] {
            for (name, child) in entries {
                if *child == node || matches!(model.nodes[*child], Some(Node::Directory(_))) {
                    pending.push((*child, fs.lookup(inum, name).await.unwrap()));
                }
            }
        }
    }
    panic!("node {node} has no name");
}

async fn step(world: &mut World, fs: &FileSystem, model: &mut Model) {
    let directories = model.directories();
    let pick = |random: &mut Random| directories[random.below(directories.len() as u64) as usize];
    let directory = pick(&mut world.random);
    let name = world.name();
    let parent = inum(fs, model, directory).await;
    let there = model.entries(directory).get(&name).copied();
    match world.random.below(16) {
        0..4 => {
            let (node, kind) = match world.random.below(8) {
                0..2 => (Node::Directory(BTreeMap::new()), FileKind::Directory),
                2 => (Node::Symlink(b"t".repeat(1 + world.random.below(700) as usize)), FileKind::Symlink),
                _ => (Node::File(Vec::new()), FileKind::Regular),
            };
            let target = if let Node::Symlink(target) = &node { target.clone() } else { Vec::new() };
            let new = NewFile { target: &target, ..NewFile::new(kind, 0o644) };
            let made = fs.create(parent, &name, &new).await;
            assert_eq!(made.is_err(), there.is_some(), "{made:?}");
            if there.is_none() {
                model.nodes.push(Some(node));
                let index = model.nodes.len() - 1;
                model.entries(directory).insert(name, index);
            }
        }
        4..9 => {
            let Some(node) = there else { return };
            let (offset, len) = (world.size(), world.size() as usize);
            let data = world.bytes(len);
            let file = inum(fs, model, node).await;
            if let Some(Node::File(content)) = &mut model.nodes[node] {
                fs.write(file, offset, &data).await.unwrap();
                if !data.is_empty() {
                    let end = offset as usize + data.len();
                    content.resize(content.len().max(end), 0);
                    content[offset as usize..end].copy_from_slice(&data);
                }
            }
        }
        9 => {
            let Some(node) = there else { return };
            let size = world.size();
            let file = inum(fs, model, node).await;
            if let Some(Node::File(content)) = &mut model.nodes[node] {
                if world.random.below(2) == 0 {
                    fs.truncate(file, size).await.unwrap();
                    content.resize(size as usize, 0);
                } else {
                    let bytes = world.size();
                    fs.punch(file, size, bytes).await.unwrap();
                    let start = (size as usize).min(content.len());
                    let end = (size + bytes).min(content.len() as u64) as usize;
                    content[start..end.max(start)].fill(0);
                }
            }
        }
        10 => {
            let Some(node) = there else { return };
            let removed = match &model.nodes[node] {
                Some(Node::Directory(entries)) => {
                    let empty = entries.is_empty();
                    let removed = fs.remove_directory(parent, &name).await;
                    assert_eq!(removed.is_ok(), empty, "{removed:?}");
                    empty
                }
                _ => fs.unlink(parent, &name).await.is_ok(),
            };
            if removed {
                model.entries(directory).remove(&name);
                model.drop_name(node);
            }
        }
        11 => {
            let Some(node) = there else { return };
            let (to, new_name) = (pick(&mut world.random), world.name());
            let file = inum(fs, model, node).await;
            let target = inum(fs, model, to).await;
            let taken = model.entries(to).contains_key(&new_name);
            let is_directory = matches!(model.nodes[node], Some(Node::Directory(_)));
            let linked = fs.link(file, target, &new_name).await;
            assert_eq!(linked.is_err(), taken || is_directory, "{linked:?}");
            if linked.is_ok() {
                model.entries(to).insert(new_name, node);
            }
        }
        12 | 13 => {
            let Some(node) = there else { return };
            let (to, new_name) = (pick(&mut world.random), world.name());
            let target = inum(fs, model, to).await;
            let other = model.entries(to).get(&new_name).copied();
            let is_directory = |model: &Model, node: usize| matches!(model.nodes[node], Some(Node::Directory(_)));
            let allowed = !(is_directory(model, node) && model.is_below(to, node))
                && other.is_none_or(|other| {
                    other == node
                        || match (&model.nodes[node], &model.nodes[other]) {
                            (Some(Node::Directory(_)), Some(Node::Directory(entries))) => entries.is_empty(),
                            (Some(Node::Directory(_)), _) | (_, Some(Node::Directory(_))) => false,
                            _ => true,
                        }
                });
            let moved = fs.rename(parent, &name, target, &new_name).await;
            assert_eq!(moved.is_ok(), allowed, "{moved:?}");
            if moved.is_ok() && other != Some(node) {
                model.entries(directory).remove(&name);
                model.entries(to).insert(new_name, node);
                if let Some(other) = other {
                    model.drop_name(other);
                }
            }
        }
        14 => {
            let Some(node) = there else { return };
            let file = inum(fs, model, node).await;
            let comp_algo = Some([0, 1, 2, 0x63][world.random.below(4) as usize]);
            let check_algo = Some([0, 2, 3, 4][world.random.below(4) as usize]);
            fs.set_attributes(file, &NewAttributes { comp_algo, check_algo, ..NewAttributes::default() })
                .await
                .unwrap();
        }
        _ => fs.sync().await.unwrap(),
    }
}

async fn compare(fs: &FileSystem, model: &Model) {
    let mut pending = vec![(0usize, Inum::PFS_ROOT)];
    while let Some((node, inum)) = pending.pop() {
        match model.nodes[node].as_ref().unwrap() {
            Node::Directory(entries) => {
                let mut found = BTreeMap::new();
                let mut batch = EntryBatch::new(HEAP, 4096).unwrap();
                let mut from = Some(Cookie::START);
                while let Some(cookie) = from {
                    from = fs.read_directory(inum, cookie, &mut batch).await.unwrap().next;
                    found.extend(batch.iter().map(|entry| (entry.name.to_vec(), entry.inum)));
                }
                assert_eq!(found.keys().collect::<Vec<_>>(), entries.keys().collect::<Vec<_>>());
                pending.extend(entries.iter().map(|(name, child)| (*child, found[name])));
            }
            Node::File(content) => {
                let attributes = fs.attributes(inum).await.unwrap();
                assert_eq!((attributes.size, attributes.links), (content.len() as u64, model.names_of(node) as u64));
                let mut read = vec![0xee; content.len() + 10];
                assert_eq!(fs.read(inum, 0, &mut read).await.unwrap(), content.len());
                assert!(read[..content.len()] == content[..], "content of node {node} differs");
            }
            Node::Symlink(target) => {
                let mut read = vec![0; 1024];
                let length = fs.read_link(inum, &mut read).await.unwrap();
                assert_eq!(&read[..length], &target[..]);
            }
        }
    }
}

async fn format(world: &mut World) {
    let random = &mut Random(world.random.next());
    let mut fill = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
    let disks = world.disks(&world.disk);
    let references: Vec<&Disk> = disks.iter().collect();
    newfs(&references, &NewfsOptions::default(), HEAP, &mut fill, Ticks.now()).await.unwrap();
}

async fn sequence(world: &mut World, rounds: u64) {
    format(world).await;
    // Snapshots by label; the first is the PFS made by newfs. Any of them is changed, copied and removed.
    let mut models = BTreeMap::from([("DATA".to_owned(), Model::new())]);
    for round in 0..rounds {
        let chosen = world.random.below(models.len() as u64) as usize;
        let (label, mut model) =
            models.iter().nth(chosen).map(|(label, model)| (label.clone(), model.clone())).unwrap();
        let fs = world.mount(&label).await;
        compare(&fs, &model).await;
        for _ in 0..world.random.below(60) {
            step(world, &fs, &mut model).await;
        }
        if world.random.below(4) == 0 {
            // The power goes: what was not synced is lost, and only that.
            fs.sync().await.unwrap();
            let committed = model.clone();
            for _ in 0..world.random.below(30) {
                step_without_sync(world, &fs, &mut model).await;
            }
            drop(fs);
            model = committed;
        } else {
            if world.random.below(2) == 0 {
                let copy = format!("snap{round}");
                fs.snapshot(&world.new_pfs(copy.as_bytes())).await.unwrap();
                models.insert(copy, model.clone());
            }
            let cluster = fs.unmount().await.unwrap();
            if models.len() > 4 {
                let gone = models.keys().nth(world.random.below(models.len() as u64) as usize).unwrap().clone();
                if gone != label {
                    assert_eq!(cluster.delete_pfs(gone.as_bytes()).await, Ok(PfsOutcome::Done));
                    models.remove(&gone);
                }
            }
            for _ in 0..world.random.below(4) {
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

/// A step that is no sync: what it does is lost with the power.
async fn step_without_sync(world: &mut World, fs: &FileSystem, model: &mut Model) {
    let directories = model.directories();
    let directory = directories[world.random.below(directories.len() as u64) as usize];
    let parent = inum(fs, model, directory).await;
    let name = world.name();
    match model.entries(directory).get(&name).copied() {
        None => {
            let file = fs.create(parent, &name, &NewFile::new(FileKind::Regular, 0o600)).await.unwrap();
            let len = world.size() as usize;
            let data = world.bytes(len);
            fs.write(file, 0, &data).await.unwrap();
            model.nodes.push(Some(Node::File(data)));
            let index = model.nodes.len() - 1;
            model.entries(directory).insert(name, index);
        }
        Some(node) if !matches!(model.nodes[node], Some(Node::Directory(_))) => {
            fs.unlink(parent, &name).await.unwrap();
            model.entries(directory).remove(&name);
            model.drop_name(node);
        }
        Some(_) => assert_eq!(fs.unlink(parent, &name).await, Err(Error::IsADirectory)),
    }
}

#[test]
fn random_operations_behave_like_the_model() {
    let first: u64 = env::var("H2_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (sequences, rounds) = if env::var_os("HAMMER2_FULL").is_some() { (200, 20) } else { (12, 8) };
    for seed in first..first + sequences {
        println!("H2_SEED={seed}");
        let clock = HostClock::leaked();
        let memory_bytes = if seed % 2 == 0 { 2 << 20 } else { 16 << 20 };
        let disk = Rc::new(MemoryDisk::new(HEAP, VOLUME_BYTES));
        let mut world = World { disk, clock, random: Random(seed), memory_bytes };
        Executor::new(clock).block_on(sequence(&mut world, rounds));
    }
}

/// More is modified than memory holds: blocks are written and read again before any sync.
#[test]
fn many_files_with_little_memory() {
    let clock = HostClock::leaked();
    let disk = Rc::new(MemoryDisk::new(HEAP, VOLUME_BYTES));
    let mut world = World { disk, clock, random: Random(1), memory_bytes: 2 << 20 };
    Executor::new(clock).block_on(async {
        let world = &mut world;
        format(world).await;
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
