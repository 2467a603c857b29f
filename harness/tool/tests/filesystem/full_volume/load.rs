//! Users of a full volume, each with a directory of its own, and the expected content afterwards.

use std::cell::{Cell, RefCell};

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::random::Random;
use hammer2_host::virtual_time::{Task, run, run_all};
use hammer2_model::{Bytes, Model, Step, bytes};

use super::sparse::{Became, SparseFiles};
use super::volume::Volume;
use crate::difference::difference_below;
use crate::perform::perform;

const LABEL: &str = "DATA";
const SNAPSHOTS: [&str; 3] = ["S0", "S1", "S2"];
/// The directory of users whose files are in the model.
const USERS: &str = "users";
/// The longest file.
const FILE_BYTES: u64 = 3 << 20;

/// The state that users of the volume share.
struct Shared<'r> {
    fs: &'r FileSystem,
    model: RefCell<Model>,
    /// How many snapshots there are, which keep the space of removed files.
    snapshots: Cell<u32>,
    refusals: Cell<u64>,
    done: Cell<u64>,
}

pub(crate) fn run_seed(seed: u64) {
    let mut random = Random::new(seed);
    let (depth, memory_bytes) = (random.pick(&[1, 4, 32]), random.pick(&[4 << 20, 16 << 20, 64 << 20]));
    let volume_bytes = random.pick(&[64 << 20, 96 << 20, 128 << 20]);
    let compression = random.pick(&[0, 2, 2, 3]);
    let case = format!(
        "H2_SEED={seed} (depth {depth}, {memory_bytes} bytes of memory, {volume_bytes} of volume, compression {compression})"
    );
    println!("{case}");
    let volume = Volume::new(volume_bytes, depth, memory_bytes, random.next_u64());
    run(volume.clock, volume.format(&mut random));
    let mut model = Model::new();
    let mut sparse: Vec<SparseFiles> =
        (0..random.index(24)).map(|number| SparseFiles::new(format!("s{number}"))).collect();
    for round in 0..2 {
        let fs = run(volume.clock, volume.mount(LABEL));
        if round == 0 {
            run(volume.clock, prepare(&fs, &mut model, compression, &sparse));
        }
        model = use_volume(&volume, &fs, model, &mut sparse, &mut random);
        run(volume.clock, async { fs.sync().await.expect("a sync finds room for what was accepted") });
        if random.below(2) == 0 {
            // The power goes.
            drop(fs);
        } else {
            run(volume.clock, async { drop(fs.unmount().await.expect("an unmount finds room for what was accepted")) });
        }
        run(volume.clock, async {
            let problems = volume.problems().await;
            assert!(problems.is_empty(), "{problems:#?}");
            let fs = volume.mount(LABEL).await;
            assert_eq!(difference_below(&fs, &model, USERS).await, None);
            for files in &sparse {
                files.check(&fs).await;
            }
        });
    }
    run(volume.clock, async {
        let cluster = volume.mount(LABEL).await.unmount().await.expect("an unmount finds room");
        for label in SNAPSHOTS {
            // Only removing a snapshot frees what it holds.
            cluster.delete_pfs(label.as_bytes()).await.expect("there is room to remove a snapshot");
        }
        drop(cluster);
        let fs = volume.mount(LABEL).await;
        for files in &mut sparse {
            files.remove_all(&fs).await;
        }
        empty(&fs, &mut model).await;
        fs.unmount().await.expect("an unmount finds room for removals");
        let problems = volume.problems().await;
        assert!(problems.is_empty(), "{problems:#?}");
    });
}

/// Sets the methods that new files inherit, and makes the users' directories.
async fn prepare(fs: &FileSystem, model: &mut Model, compression: u8, sparse: &[SparseFiles]) {
    for step in [Step::Methods(String::new(), compression, 3), Step::Mkdir(USERS.into())] {
        perform(&step, fs, model).await.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        assert!(step.apply(model), "{step:?}");
    }
    for files in sparse {
        assert!(files.begin(fs).await == Became::Done, "an empty volume is full");
    }
}

/// Lets users work on the volume at the same time; returns the model afterwards.
fn use_volume(
    volume: &Volume,
    fs: &FileSystem,
    model: Model,
    sparse: &mut [SparseFiles],
    random: &mut Random,
) -> Model {
    let snapshots = Cell::new(model.snapshots().count() as u32);
    let shared = Shared { fs, model: RefCell::new(model), snapshots, refusals: Cell::new(0), done: Cell::new(0) };
    let mut tasks: Vec<Task<'_>> =
        (0..random.index(12)).map(|number| shared.user(number, Random::new(random.next_u64()))).collect();
    for (number, files) in sparse.iter_mut().enumerate() {
        let (shared, mut random) = (&shared, Random::new(random.next_u64()));
        let work = async move { shared.use_sparse(files, &mut random).await };
        tasks.push((format!("sparse user {number}"), Box::pin(work)));
    }
    tasks.push(shared.filler(random.below(6) << 20, Random::new(random.next_u64())));
    let mut order = Random::new(random.next_u64());
    run_all(volume.clock, tasks, &mut order);
    println!("    {} changes, {} refused", shared.done.get(), shared.refusals.get());
    shared.model.into_inner()
}

/// Removes everything.
async fn empty(fs: &FileSystem, model: &mut Model) {
    for path in model.paths() {
        let is_directory = model.directories().contains(&path);
        let step = if is_directory { Step::Rmdir(path) } else { Step::Unlink(path) };
        perform(&step, fs, model).await.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        assert!(step.apply(model), "{step:?}");
    }
}

impl Shared<'_> {
    async fn use_sparse(&self, files: &mut SparseFiles, random: &mut Random) {
        for _ in 0..100 + random.below(300) {
            let became = files.change(self.fs, random).await;
            let count = if became == Became::Done { &self.done } else { &self.refusals };
            count.set(count.get() + 1);
            if became == Became::Refused && random.below(8) == 0 {
                self.fs.give_space_back().await.unwrap_or_else(|error| panic!("giving space back: {error}"));
            }
        }
    }

    /// Does a step; if there is no room, frees space and tries once more. False if there is still no room.
    async fn attempt(&self, step: &Step, random: &mut Random) -> bool {
        for again in [false, true] {
            match perform(step, self.fs, &Model::new()).await {
                Ok(()) => {
                    assert!(step.apply(&mut self.model.borrow_mut()), "{step:?} was done");
                    self.done.set(self.done.get() + 1);
                    return true;
                }
                Err(Error::NoSpace) => self.adopt(step).await,
                Err(error) => {
                    assert!(!step.apply(&mut self.model.borrow_mut()), "{step:?}: {error}");
                    return true;
                }
            }
            if again || random.below(4) > 0 {
                break;
            }
            self.fs.give_space_back().await.unwrap_or_else(|error| panic!("giving space back: {error}"));
        }
        self.refusals.set(self.refusals.get() + 1);
        false
    }

    /// Takes a refused step's effect on a file into the model: any part of a write, but nothing of other steps.
    async fn adopt(&self, step: &Step) {
        let (path, offset, new) = match step {
            Step::Write(path, offset, len, kind) => (path, *offset, bytes(*offset, *len, *kind)),
            Step::Punch(path, offset, len) => (path, *offset, vec![0; *len as usize]),
            Step::Unlink(_) | Step::Rmdir(_) if self.snapshots.get() == 0 => {
                panic!("{step:?}: no room to remove: {:?}", self.fs.statistics())
            }
            _ => return,
        };
        let old = self.model.borrow().content(path).cloned();
        let Some(old) = old else { return };
        let inum = self.fs.resolve(path.as_bytes()).await.expect("a file of the model");
        let end = old.len().max(offset as usize + new.len());
        let mut read = vec![0xee; end + 1];
        let count = self.fs.read(inum, 0, &mut read).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        read.truncate(count);
        assert!((old.len()..=end).contains(&count), "{step:?}: {} bytes became {count}", old.len());
        for (at, byte) in read.iter().enumerate() {
            let before = old.get(at).copied().unwrap_or(0);
            let after = at.checked_sub(offset as usize).and_then(|within| new.get(within)).copied();
            assert!(*byte == before || after == Some(*byte), "{step:?} was refused: byte {at} is {byte:#x}");
        }
        *self.model.borrow_mut().content_mut(path).expect("a file of the model") = read;
    }

    /// Fills the volume until so many bytes are left, and goes on as space becomes free.
    fn filler(&self, free_bytes: u64, mut random: Random) -> Task<'_> {
        let work = async move {
            self.attempt(&Step::Mkdir(format!("{USERS}/filler")), &mut random).await;
            for number in 0..600u64 {
                if self.fs.statistics().free_bytes <= free_bytes {
                    let one = Step::Unlink(format!("{USERS}/filler/{}", random.below(number.max(1))));
                    if random.below(3) == 0 && self.model.borrow().find(one_path(&one)).is_some() {
                        self.attempt(&one, &mut random).await;
                    }
                    continue;
                }
                let path = format!("{USERS}/filler/{number}");
                if self.attempt(&Step::Create(path.clone()), &mut random).await {
                    self.attempt(&Step::Write(path, 0, 256 << 10, Bytes::Noise), &mut random).await;
                }
            }
        };
        ("the filler".into(), Box::pin(work))
    }

    fn user(&self, number: usize, mut random: Random) -> Task<'_> {
        let work = async move {
            let home = format!("{USERS}/u{number}");
            self.attempt(&Step::Mkdir(home.clone()), &mut random).await;
            for _ in 0..40 + random.below(160) {
                let step = step(&home, &mut random);
                if let Step::Snapshot(_) = step {
                    self.snapshots.set(self.snapshots.get() + 1);
                    self.snapshot(&step).await;
                    continue;
                }
                if step.commits() {
                    let done = perform(&step, self.fs, &Model::new()).await;
                    assert!(matches!(done, Ok(()) | Err(Error::NotFound)), "{step:?}: {done:?}");
                    continue;
                }
                self.attempt(&step, &mut random).await;
            }
        };
        (format!("user {number}"), Box::pin(work))
    }

    /// Takes a snapshot. Only its success is checked, as other users may change something meanwhile.
    async fn snapshot(&self, step: &Step) {
        match perform(step, self.fs, &Model::new()).await {
            Ok(()) | Err(Error::NoSpace | Error::Exists) => {}
            Err(error) => panic!("{step:?}: {error}"),
        }
    }
}

fn one_path(step: &Step) -> &str {
    match step {
        Step::Unlink(path) => path,
        _ => "",
    }
}

/// A user's next step, in a home directory.
fn step(home: &str, random: &mut Random) -> Step {
    let mut path = || format!("{home}/{}", random.below(8));
    let (one, other) = (path(), path());
    let offset = match random.below(3) {
        0 => random.below(70_000),
        _ => random.below(FILE_BYTES) / 4096 * 4096,
    };
    let len = match random.below(4) {
        0 => 1 + random.index(600),
        1 => 4096,
        2 => 1 + random.index(70_000),
        _ => 65536 * (1 + random.index(4)),
    };
    let kind = random.pick(&[Bytes::Noise, Bytes::Noise, Bytes::Text, Bytes::Zeros, Bytes::Seeded(offset)]);
    match random.below(100) {
        0..15 => Step::Create(one),
        15..18 => Step::Mkdir(one),
        18..20 => Step::Symlink(one, "target".repeat(1 + random.index(100))),
        20..60 => Step::Write(one, offset, len, kind),
        60..68 => Step::Truncate(one, random.below(FILE_BYTES)),
        68..73 => Step::Punch(one, offset, len as u64),
        73..80 => Step::Unlink(one),
        80..82 => Step::Rmdir(one),
        82..86 => Step::Link(one, other),
        86..90 => Step::Rename(one, other),
        90..92 => Step::Exchange(one, other),
        92..96 => Step::Fsync(one),
        96..99 => Step::Sync,
        _ => Step::Snapshot(random.pick(&SNAPSHOTS).into()),
    }
}
