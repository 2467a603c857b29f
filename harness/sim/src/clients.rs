//! Clients: what they do to a mounted filesystem, and what they expect of it.
//!
//! Several run beside each other. The filesystem makes one change after the other, and tells of each in the moment it is made,
//! so the model changes in the same order.

use std::cell::{Cell, RefCell};

use futures_util::future::join_all;
use hammer2_core::cluster::{Ejection, EntryBatch, NodeIndex, Scrub};
use hammer2_core::fs::{Cookie, Error, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};

use super::host::Host;
use super::model::{Change, Entries};
use super::nodes::HEAP;
use super::resuming::{Stopped, parts};
use super::world::World;
use hammer2_core::random::Random;

/// In virtual time, for any operation while a quorum is healthy: a few deadlines of devices.
const LIMIT_NANOSECONDS: u64 = 60_000_000_000;
/// The same for what users do while nobody administers and a quorum isn't slow: a few soft deadlines.
const SOFT_LIMIT_NANOSECONDS: u64 = 300_000_000;
const NAMES: u64 = 24;
const FILES: usize = 60;
const FILE_BYTES: u64 = 400_000;

/// What a client has to do instead of what it likes.
pub(super) enum Event {
    Sync,
    Resync,
    ChangeMembers,
    Insert,
}

/// What a client thinks of an error.
enum Class {
    /// The operation makes no sense.
    Nonsense,
    /// Memory ran out; the next call may work.
    Resource,
    /// The disks are full.
    Full,
    /// The cluster can't do it.
    Trouble,
}

fn class(error: &Error) -> Class {
    match error {
        Error::NoMemory | Error::TooManyOpen => Class::Resource,
        Error::NoSpace => Class::Full,
        Error::NoQuorum { .. }
        | Error::Lost
        | Error::Refused(_)
        | Error::Alarm(_)
        | Error::Resync(_)
        | Error::Membership(_)
        | Error::Io(_)
        | Error::Corrupt { .. }
        | Error::ReadOnly => Class::Trouble,
        _ => Class::Nonsense,
    }
}

/// What clients of one mount share.
pub(super) struct Session<'w> {
    pub(super) world: &'w World,
    pub(super) host: &'static Host,
    pub(super) fs: &'w FileSystem,
    pub(super) random: RefCell<Random>,
    pub(super) steps: u64,
    pub(super) steps_begun: Cell<u64>,
    /// Nothing can be done any more.
    pub(super) is_over: Cell<bool>,
    /// Too few nodes are left, until some come back.
    pub(super) is_stopped: Cell<bool>,
    pub(super) stopped: Stopped,
    /// Events and acts of administrators: how many are under way, and how many were begun.
    pub(super) administered: Cell<(u64, u64)>,
    /// What would be wrong with the step that just ended.
    pub(super) suspicion: RefCell<Option<String>>,
    pub(super) wrong: RefCell<Option<String>>,
}

/// Something that isn't what users do.
pub(super) struct Administering<'s>(&'s Cell<(u64, u64)>);

impl Drop for Administering<'_> {
    fn drop(&mut self) {
        let (under_way, begun) = self.0.get();
        self.0.set((under_way - 1, begun));
    }
}

impl Session<'_> {
    /// One client, until all have done enough.
    pub(super) async fn client(&self) {
        while !self.is_over.get() && self.steps_begun.get() < self.steps {
            let number = self.steps_begun.get();
            self.steps_begun.set(number + 1);
            let event = self.world.before_step(number);
            self.world.tally.borrow_mut().operations += 1;
            let (started, mended) = (self.host.nanoseconds(), self.stopped.mended());
            log::info!("step {number}");
            let administered = self.administered.get();
            let administering = event.is_some().then(|| self.administering());
            let what = match event {
                Some(Event::Sync) => {
                    self.sync().await;
                    "sync"
                }
                Some(Event::Resync) => {
                    self.resync_all().await;
                    "resync"
                }
                Some(Event::ChangeMembers) => {
                    self.change_members().await;
                    "a change of members"
                }
                Some(Event::Insert) => {
                    self.insert().await;
                    "putting a disk in"
                }
                None => self.step().await,
            };
            drop(administering);
            let is_left_alone = administered.0 == 0 && self.administered.get() == administered;
            let took = self.host.nanoseconds() - started;
            log::info!("step {number}: {what} done");
            // What was under way while disks were put right may have met them as they were.
            if let (Some(what), true) = (self.suspicion.take(), mended == self.stopped.mended()) {
                self.is_over.set(true);
                self.wrong.borrow_mut().get_or_insert(what);
            }
            if self.is_stopped.get() && !self.is_over.get() {
                self.resume().await;
                continue;
            }
            self.host.note(took);
            let is_swift = is_left_alone && self.world.must_be_swift(self.fs);
            let limit = if is_swift { SOFT_LIMIT_NANOSECONDS } else { LIMIT_NANOSECONDS };
            if took > limit && self.world.must_work(self.fs) {
                self.violation(format!("I14: {what} took {} ms though a quorum is healthy", took / 1_000_000));
            }
        }
    }

    /// Something is wrong, unless the cluster is lost already: then nobody knows what has been done of the last operation.
    pub(super) fn violation(&self, what: String) {
        if !self.is_over.replace(true) {
            *self.wrong.borrow_mut() = Some(what);
        }
    }

    /// Judges an error; true if it is the cluster's, and nothing is known of what was done.
    pub(super) fn judge(&self, what: &str, error: &Error, is_allowed: bool) {
        match class(error) {
            Class::Nonsense if is_allowed => self.violation(format!("I13: {what}: \"{error}\" of what is there")),
            Class::Nonsense | Class::Resource => {}
            Class::Full if self.world.is_tight() => self.world.tally.borrow_mut().verdict("no-space"),
            Class::Full => self.violation(format!("I25: {what}: \"{error}\" though there is room")),
            Class::Trouble => {
                let wrong = || format!("I14: {what}: \"{error}\" though a quorum is healthy");
                match error {
                    _ if !self.world.must_work(self.fs) => {}
                    Error::NoQuorum { .. } if !self.is_over.get() => *self.suspicion.borrow_mut() = Some(wrong()),
                    _ => self.violation(wrong()),
                }
                self.stop(error);
            }
        }
    }

    /// Nothing can be changed any more: for now if only too few nodes are left, for good otherwise.
    fn stop(&self, error: &Error) {
        let is_stopped = if matches!(error, Error::NoQuorum { .. }) { &self.is_stopped } else { &self.is_over };
        is_stopped.set(true);
    }

    async fn step(&self) -> &'static str {
        let kind = self.random.borrow_mut().below(100);
        if self.random.borrow_mut().percent(1) {
            return self.administer().await;
        }
        match kind {
            0..7 => {
                self.sync().await;
                "sync"
            }
            7..20 => {
                self.read_file().await;
                "read"
            }
            20..24 => {
                self.list().await;
                "list"
            }
            24..28 => {
                self.look_up().await;
                "lookup"
            }
            _ => self.change().await,
        }
    }

    /// What an administrator does while others work.
    async fn administer(&self) -> &'static str {
        let kind = self.random.borrow_mut().below(3);
        let _administering = self.administering();
        match kind {
            0 => {
                self.snapshot().await;
                "snapshot"
            }
            1 => {
                if self.commit("bulkfree", self.fs.bulkfree()).await {
                    self.world.tally.borrow_mut().verdict("bulkfreed");
                }
                "bulkfree"
            }
            _ => {
                if self.commit("scrub", self.scrub_in_parts()).await {
                    self.world.tally.borrow_mut().verdict("scrubbed");
                }
                "scrub"
            }
        }
    }

    /// Scrubs in so small parts that others come in between.
    async fn scrub_in_parts(&self) -> Result<(), Error> {
        let mut scrub = Scrub { part_elements: 8, ..Scrub::default() };
        while self.fs.scrub_on(&mut scrub, &mut |scrub| scrub.counts.elements % 3 > 0).await?.is_none() {}
        Ok(())
    }

    /// Something begins that isn't what users do, and lasts as long as this lives.
    pub(super) fn administering(&self) -> Administering<'_> {
        let (under_way, begun) = self.administered.get();
        self.administered.set((under_way + 1, begun + 1));
        Administering(&self.administered)
    }

    /// A sync; true if it was acknowledged.
    pub(super) async fn sync(&self) -> bool {
        let synced = self.commit("sync", self.fs.sync()).await;
        if synced {
            self.world.tally.borrow_mut().acked_syncs += 1;
        }
        synced
    }

    /// Something that commits all there is; false if it wasn't acknowledged.
    pub(super) async fn commit<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> bool {
        let error = self.committed(work).await.err();
        if let Some(error) = &error {
            self.judge(what, error, true);
        }
        error.is_none()
    }

    pub(super) async fn committed<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let before = self.world.group().history.borrow().now();
        let done = work.await;
        if done.is_ok() {
            self.world.note_acked(self.fs, before);
        }
        self.host.note(2);
        log::info!("commit: {:?}", done.as_ref().err());
        done
    }

    /// Brings all nodes in step that are behind, at the same time.
    pub(super) async fn resync_all(&self) {
        let behind: Vec<NodeIndex> = self.fs.nodes_behind().collect();
        join_all(behind.into_iter().map(|node| self.resync(node))).await;
    }

    pub(super) async fn resync(&self, node: NodeIndex) {
        self.world.may_lose_snapshots(node);
        match self.committed(self.fs.resync(node)).await {
            Ok(_) => self.world.tally.borrow_mut().verdict("resynced"),
            Err(error) => {
                // Who is slow may be late with something else before it is its turn, and leaves then.
                let is_late = matches!(error, Error::Resync(Ejection::Fault(fault)) if fault.is_timeout())
                    && self.world.is_slow(node);
                let is_able = self.world.is_sound_node(node) && !is_late && !self.world.is_tight();
                if self.world.must_work(self.fs) && is_able {
                    self.violation(format!("I17: node {} isn't brought in step: {error}", node.0));
                }
                if !matches!(error, Error::Resync(_)) {
                    self.stop(&error);
                }
            }
        }
    }

    fn random_of(&self, from: &[Inum]) -> Option<Inum> {
        (!from.is_empty()).then(|| self.random.borrow_mut().pick(from))
    }

    fn name(&self) -> Vec<u8> {
        let number = self.random.borrow_mut().below(NAMES);
        if number < 2 { vec![b'l'; 80 + 60 * number as usize] } else { format!("n{number}").into_bytes() }
    }

    fn size(&self) -> u64 {
        let mut random = self.random.borrow_mut();
        let limit = random.pick(&[400, 400, 600, 3_000, 3_000, 20_000, 70_000, 200_000]);
        random.below(limit)
    }

    fn data(&self) -> Vec<u8> {
        let len = self.size() as usize;
        let mut random = self.random.borrow_mut();
        let mut data = vec![0; len];
        match random.below(4) {
            0 => {}
            1 => random.fill(&mut data),
            _ => {
                let text = random.next_u64().to_string();
                data.iter_mut().zip(text.bytes().cycle()).for_each(|(byte, letter)| *byte = letter);
            }
        }
        data
    }

    /// A change that may or may not be possible.
    fn some_change(&self) -> Option<Change> {
        let model = self.world.group().model.borrow();
        let (directories, files) = (model.directories(), model.files());
        let directory = self.random_of(&directories)?;
        let entry = |directory: Inum| -> Vec<u8> {
            let entries: Vec<Vec<u8>> = model.entries(directory).into_iter().flatten().map(|e| e.0.clone()).collect();
            let missing = entries.is_empty() || self.random.borrow_mut().percent(10);
            if missing { self.name() } else { entries[self.random.borrow_mut().index(entries.len())].clone() }
        };
        let kind = self.random.borrow_mut().below(if model.len() > FILES { 70 } else { 100 });
        Some(match kind {
            0..14 => Change::Unlink { directory, name: entry(directory) },
            14..18 => Change::RemoveDirectory { directory, name: entry(directory) },
            18..26 => {
                let to = self.random_of(&directories)?;
                Change::Rename { from: directory, name: entry(directory), to, new_name: self.name() }
            }
            26..30 => Change::Link { file: self.random_of(&files)?, directory, name: self.name() },
            30..36 => Change::Truncate { file: self.random_of(&files)?, size: self.size() },
            36..39 => Change::Punch { file: self.random_of(&files)?, offset: self.size(), bytes: self.size() },
            39..70 => {
                let file = self.random_of(&files)?;
                let end = model.content(file).map_or(0, |content| content.len() as u64);
                let at = self.random.borrow_mut().below(3);
                let offset = [0, end, self.size()][at as usize].min(FILE_BYTES);
                Change::Write { file, offset, data: self.data() }
            }
            70..76 => Change::Create { directory, name: self.name(), kind: FileKind::Directory },
            _ => Change::Create { directory, name: self.name(), kind: FileKind::Regular },
        })
    }

    async fn change(&self) -> &'static str {
        let Some(change) = self.some_change() else { return "nothing" };
        let (what, result) = self.carry_out(&change).await;
        let is_allowed = self.world.group().model.borrow().allows(&change);
        self.host.note(3 + u64::from(result.is_ok()));
        log::info!("{change:?}: {result:?}");
        match result {
            Ok(made) if is_allowed => {
                self.note_done(change, made);
            }
            Ok(_) => self.violation(format!("{what} was done though it is impossible")),
            Err(error) => {
                self.judge(what, &error, is_allowed);
                match (error, change) {
                    (Error::NoQuorum { .. }, change) => self.stopped.note(change),
                    (Error::Io(_), Change::Write { file, offset, data }) => self.note_in_part(file, offset, &data),
                    _ => {}
                }
            }
        }
        what
    }

    /// A change was made.
    pub(super) fn note_done(&self, change: Change, made: Option<Inum>) {
        let group = self.world.group();
        group.model.borrow_mut().apply(change, made);
        group.history.borrow_mut().changed(&group.model.borrow());
        group.snapshots.changed(&group.model.borrow());
    }

    /// A write failed, and may have been done in part.
    fn note_in_part(&self, file: Inum, offset: u64, data: &[u8]) {
        let group = self.world.group();
        for part in parts(file, offset, data) {
            let mut state = group.model.borrow().clone();
            state.apply(part, None);
            group.history.borrow_mut().changed_in_part(state);
        }
    }

    async fn carry_out(&self, change: &Change) -> (&'static str, Result<Option<Inum>, Error>) {
        let fs = self.fs;
        let none = |result: Result<(), Error>| result.map(|()| None);
        match change {
            Change::Create { directory, name, kind } => {
                ("create", fs.create(*directory, name, &NewFile::new(*kind, 0o644)).await.map(Some))
            }
            Change::Write { file, offset, data } => ("write", none(fs.write(*file, *offset, data).await)),
            Change::Truncate { file, size } => ("truncate", none(fs.truncate(*file, *size).await)),
            Change::Punch { file, offset, bytes } => ("punch", none(fs.punch(*file, *offset, *bytes).await)),
            Change::Link { file, directory, name } => ("link", none(fs.link(*file, *directory, name).await)),
            Change::Unlink { directory, name } => ("unlink", none(fs.unlink(*directory, name).await)),
            Change::RemoveDirectory { directory, name } => ("rmdir", none(fs.remove_directory(*directory, name).await)),
            Change::Rename { from, name, to, new_name } => {
                ("rename", none(fs.rename(*from, name, *to, new_name).await))
            }
        }
    }

    async fn read_file(&self) {
        let files = self.world.group().model.borrow().files();
        let Some(file) = self.random_of(&files) else { return };
        let expected = self.world.group().model.borrow().content(file).map_or(0, |content| content.len());
        let mut bytes = vec![0; expected + 1];
        let read = self.fs.read(file, 0, &mut bytes).await;
        let model = self.world.group().model.borrow();
        let content = model.content(file);
        match (read, content) {
            (Ok(count), Some(content)) if bytes[..count] == content[..content.len().min(bytes.len())] => {}
            (Ok(_), Some(_)) => self.violation(format!("I12: inode {file} reads otherwise than it was written")),
            (Ok(_), None) => self.violation(format!("inode {file} is removed and was read")),
            (Err(error), content) => self.judge("read", &error, content.is_some()),
        }
    }

    async fn list(&self) {
        let directories = self.world.group().model.borrow().directories();
        let Some(directory) = self.random_of(&directories) else { return };
        let Ok(mut batch) = EntryBatch::new(HEAP, 16 << 10) else { return };
        let listed = self.fs.read_directory(directory, Cookie::START, &mut batch).await;
        let model = self.world.group().model.borrow();
        let entries = model.entries(directory);
        match (listed, entries) {
            (Ok(listing), Some(entries)) if listing.next.is_none() && listing.damaged.is_none() => {
                let found: Entries = batch.iter().map(|entry| (entry.name.to_vec(), entry.inum)).collect();
                if found != *entries {
                    let extra: Vec<_> = found.iter().filter(|(name, _)| !entries.contains_key(*name)).collect();
                    let missing: Vec<_> = entries.iter().filter(|(name, _)| !found.contains_key(*name)).collect();
                    self.violation(format!("I13: directory {directory} lacks {missing:?} and has {extra:?}"));
                }
            }
            (Ok(listing), _) => {
                if let Some(fault) = listing.damaged {
                    self.judge("list", &Error::Io(fault), true);
                }
            }
            (Err(error), entries) => self.judge("list", &error, entries.is_some()),
        }
    }

    async fn look_up(&self) {
        let directories = self.world.group().model.borrow().directories();
        let Some(directory) = self.random_of(&directories) else { return };
        let name = self.name();
        let found = self.fs.lookup(directory, &name).await;
        let model = self.world.group().model.borrow();
        let there = model.entries(directory).and_then(|entries| entries.get(&name)).copied();
        match (found, there) {
            (Ok(found), there) if Some(found) == there => {}
            (Ok(found), _) => self.violation(format!("lookup found inode {found}, should be {there:?}")),
            (Err(error), there) => self.judge("lookup", &error, there.is_some()),
        }
    }
}
