//! Records the requests of a workload, and checks the states after every possible power cut.
//! A device keeps all writes before a flush that ended; any of the later writes may be there, wholly or in part, in any order. A
//! cut is *clean* when all writes before it are there and none after; *torn* when only some sectors of the last write are there;
//! *shuffled* when only some of the writes that no flush covered are there, in another order.

use std::rc::Rc;

use hammer2_core::io::wrap::{Content, Detail, Log, Logged};
use hammer2_core::io::{MemoryDisk, Operation};
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use hammer2_core::random::Random;
use hammer2_model::{Model, Step};

use super::pfss::Pfss;
use super::volume::{HEAP, Headers, Host, copy, device};
use crate::perform::perform;

const SECTOR: usize = 512;
/// Requests a log has room for.
const LOG_LIMIT: usize = 100_000;

/// A state that a step commits while the requests from `first` up to `end` are made.
struct Commit {
    first: usize,
    end: usize,
    model: Model,
}

struct Write {
    offset: u64,
    data: Vec<u8>,
    /// The first request that was made after a flush that covers it had ended.
    durable_at: usize,
}

/// The requests of a workload.
pub(crate) struct Recording {
    name: String,
    base: Rc<MemoryDisk>,
    /// The write of each request, if it is one.
    writes: Vec<Option<Write>>,
    commits: Vec<Commit>,
    /// Capacity at the beginning and at the end.
    capacities: [u64; 2],
}

/// How much is tried.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Ways to tear a write.
    pub(crate) tears: usize,
    /// Ways to tear a header write.
    pub(crate) header_tears: usize,
    /// A sector at which header writes are also torn: once everything lands except it, and once nothing but it.
    pub(crate) header_sector: Option<usize>,
    /// Ways to shuffle the writes behind the last flush.
    pub(crate) shuffles: usize,
    /// One of so many images is also checked by fsck. Images cut in or right after a header write always are.
    pub(crate) check_every: u64,
    /// How many times the volume is used and cut again after cuts in header writes.
    pub(crate) depth: u32,
}

/// Which sectors of a write land.
#[derive(Clone, Copy, Debug)]
enum Tear {
    /// The first ones.
    Begin,
    /// The last ones.
    End,
    Only(usize),
    Without(usize),
    Any,
}

impl Tear {
    fn of(index: usize) -> Self {
        match index {
            0 => Self::Begin,
            1 => Self::End,
            2 => Self::Only(0),
            3 => Self::Without(0),
            _ => Self::Any,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) cuts: u64,
    pub(crate) checks: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.checks += other.checks;
    }
}

impl Recording {
    /// Does a workload on a copy of a volume that is in the state of `model`.
    pub(crate) fn new(
        host: &Host,
        name: impl Into<String>,
        base: Rc<MemoryDisk>,
        model: Model,
        steps: &[Step],
    ) -> Self {
        let name = name.into();
        let log = Rc::new(Log::new(HEAP, LOG_LIMIT, Detail::Data));
        let logged = Logged::new(HEAP, device(&copy(&base)), 0, Rc::clone(&log)).unwrap();
        let mut commits = vec![Commit { first: 0, end: 0, model: model.clone() }];
        let has_grown = model.has_grown;
        let capacities = host.run(async {
            let mut model = model;
            let fs = host.mount_writable(HEAP, logged).await.unwrap();
            let before = fs.statistics().total_bytes;
            for (index, step) in steps.iter().enumerate() {
                let first = log.entries().len();
                let outcome = perform(step, &fs, &model).await;
                let before = model.clone();
                let possible = step.apply(&mut model);
                assert_eq!(outcome.is_ok(), possible, "{name}: step {index}, {step:?}: {outcome:?}");
                let end = log.entries().len();
                if matches!(step, Step::Snapshot(_)) && possible {
                    // The origin of a snapshot is made durable first.
                    commits.push(Commit { first, end, model: before });
                }
                if step.commits() && possible {
                    commits.push(Commit { first, end, model: model.clone() });
                }
            }
            // A volume that has grown before doesn't grow here.
            if has_grown { [fs.statistics().total_bytes; 2] } else { [before, fs.statistics().total_bytes] }
        });
        assert_eq!(log.missed(), 0, "{name}: the log is complete");
        Self { name, base, writes: writes(&log), commits, capacities }
    }

    /// How many writes there were.
    pub(crate) fn write_count(&self) -> usize {
        self.writes.iter().flatten().count()
    }

    /// Cuts the power everywhere.
    pub(crate) fn cut_everywhere(&self, host: &Host, effort: Effort, seed: u64) -> Tally {
        let mut cutter = Cutter {
            recording: self,
            host,
            effort,
            random: Random::new(seed),
            image: copy(&self.base),
            tally: Tally::default(),
        };
        cutter.run();
        cutter.tally
    }

    /// The states that may be found after the requests before `at`, the older first.
    fn candidates(&self, at: usize) -> impl Iterator<Item = &Commit> {
        let complete = self.commits.iter().rposition(|commit| commit.end <= at).unwrap_or(0);
        self.commits[complete..].iter().take_while(move |commit| commit.end <= at || commit.first < at)
    }
}

fn writes(log: &Log) -> Vec<Option<Write>> {
    let entries = log.entries();
    let submitted_after = |event: u64| entries.iter().position(|entry| entry.submitted > event);
    let flushes: Vec<(u64, u64)> = entries
        .iter()
        .filter(|entry| entry.operation == Operation::Flush)
        .filter_map(|entry| Some((entry.submitted, entry.completed?.0)))
        .collect();
    let write_of = |entry: &hammer2_core::io::wrap::Entry| {
        let (Operation::Write(offset), Content::Data(data)) = (entry.operation, &entry.content) else { return None };
        let flushed = entry.completed.and_then(|(completed, _)| {
            flushes.iter().find(|(submitted, _)| *submitted > completed).map(|(_, ended)| *ended)
        });
        let durable_at = flushed.map_or(usize::MAX, |ended| submitted_after(ended).unwrap_or(entries.len()));
        Some(Write { offset: offset.0, data: data.to_vec(), durable_at })
    };
    entries.iter().map(write_of).collect()
}

fn is_header(write: &Write) -> bool {
    (0..HEADER_COPIES).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset)).any(|place| place == write.offset)
}

/// The old bytes of the range of a write.
type Undo = (u64, Vec<u8>);

struct Cutter<'r> {
    recording: &'r Recording,
    host: &'r Host,
    effort: Effort,
    random: Random,
    image: Rc<MemoryDisk>,
    tally: Tally,
}

impl Cutter<'_> {
    fn run(&mut self) {
        let recording = self.recording;
        self.look(0, false, "before all writes");
        // Writes that no flush covers yet, with what they replaced, in order.
        let mut pending: Vec<(usize, Undo)> = Vec::new();
        for (index, write) in recording.writes.iter().enumerate() {
            let Some(write) = write else { continue };
            pending.retain(|(earlier, _)| recording.write(*earlier).durable_at > index);
            let is_header = is_header(write);
            let tears = if is_header { self.effort.header_tears } else { self.effort.tears };
            let sector = self.effort.header_sector.filter(|_| is_header);
            let at_sector = sector.into_iter().flat_map(|sector| [Tear::Without(sector), Tear::Only(sector)]);
            for tear in (0..tears).map(Tear::of).chain(at_sector) {
                let undo = self.put_torn(write, tear);
                self.look(index + 1, is_header, &format!("write {index} torn ({tear:?})"));
                self.take_back(undo);
            }
            let undo = self.put(write.offset, &write.data);
            pending.push((index, undo));
            self.look(index + 1, is_header, &format!("clean behind write {index}"));
            for _ in 0..self.effort.shuffles {
                self.shuffle(index, is_header, &mut pending);
            }
        }
        let problems = self.host.run(self.host.problems(&self.image, Headers::AllWhole));
        assert!(problems.is_empty(), "{}: at the end: {problems:#?}", recording.name);
    }

    /// Undoes writes that aren't durable, and redoes some of them in another order.
    fn shuffle(&mut self, index: usize, is_header: bool, pending: &mut [(usize, Undo)]) {
        for (_, undo) in pending.iter().rev() {
            self.image.write_at(undo.0, &undo.1).unwrap();
        }
        let mut order: Vec<usize> = pending.iter().map(|(write, _)| *write).collect();
        self.random.shuffle(&mut order);
        order.truncate(self.random.index(order.len() + 1));
        let recording = self.recording;
        let mut undone = Vec::new();
        for write in order {
            let write = recording.write(write);
            let undo = match self.random.index(6) {
                0 => self.put_torn(write, Tear::Any),
                _ => vec![self.put(write.offset, &write.data)],
            };
            undone.extend(undo);
        }
        self.look(index + 1, is_header, &format!("shuffled behind write {index}"));
        self.take_back(undone);
        for (write, undo) in pending {
            let write = recording.write(*write);
            *undo = self.put(write.offset, &write.data);
        }
    }

    fn put(&self, offset: u64, data: &[u8]) -> Undo {
        let mut before = vec![0; data.len()];
        self.image.read_at(offset, &mut before).unwrap();
        self.image.write_at(offset, data).unwrap();
        (offset, before)
    }

    fn put_torn(&mut self, write: &Write, tear: Tear) -> Vec<Undo> {
        let sectors = write.data.len() / SECTOR;
        let bound = self.random.index(sectors.max(2));
        let mask = self.random.next_u64();
        let lands = |sector: usize| match tear {
            Tear::Begin => sector < bound,
            Tear::End => sector >= bound,
            Tear::Only(only) => sector == only,
            Tear::Without(missing) => sector != missing,
            Tear::Any => mask.rotate_left(sector as u32 * 7) & 1 == 0,
        };
        let pieces = (0..sectors).filter(|sector| lands(*sector)).map(|sector| sector * SECTOR);
        pieces.map(|start| self.put(write.offset + start as u64, &write.data[start..start + SECTOR])).collect()
    }

    fn take_back(&self, undo: Vec<Undo>) {
        for (offset, before) in undo.into_iter().rev() {
            self.image.write_at(offset, &before).unwrap();
        }
    }

    /// Mounts the result and compares.
    fn look(&mut self, at: usize, is_header: bool, how: &str) {
        self.tally.cuts += 1;
        let (host, recording) = (self.host, self.recording);
        let context = || format!("{}: {how}", recording.name);
        let found = host.run(async {
            let mounted = Pfss::mount(host, &self.image).await;
            let mounted = mounted.unwrap_or_else(|error| panic!("{}: {error}", context()));
            let mut differences = Vec::new();
            for commit in recording.candidates(at) {
                match mounted.difference(&commit.model).await {
                    None if mounted.total_bytes() == recording.capacity(&commit.model) => return &commit.model,
                    None => differences.push(format!("{} bytes", mounted.total_bytes())),
                    Some(what) => differences.push(what),
                }
            }
            panic!("{}: neither the last sync nor the one under way: {differences:#?}", context())
        });
        if is_header || self.tally.cuts.is_multiple_of(self.effort.check_every) {
            self.tally.checks += 1;
            let problems = host.run(host.problems(&self.image, Headers::MayBeTorn));
            assert!(problems.is_empty(), "{}: {problems:#?}", context());
        }
        if is_header && self.effort.depth > 0 {
            let steps = [Step::Create("after".into()), Step::Append("after".into(), 2000), Step::Sync, Step::Sync];
            let again = Recording::new(host, context(), copy(&self.image), found.clone(), &steps);
            let effort = Effort { depth: self.effort.depth - 1, ..self.effort };
            let seed = self.random.next_u64();
            let tally = again.cut_everywhere(host, effort, seed);
            self.tally.add(tally);
        }
    }
}

impl Recording {
    /// The capacity of a volume in this state.
    fn capacity(&self, model: &Model) -> u64 {
        self.capacities[usize::from(model.has_grown)]
    }

    fn write(&self, index: usize) -> &Write {
        self.writes[index].as_ref().expect("the request is a write")
    }
}
