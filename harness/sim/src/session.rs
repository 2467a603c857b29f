//! The state that clients of one mount share, and their judgement of errors.

use std::cell::{Cell, RefCell};

use futures_util::future::join_all;
use hammer2_core::cluster::{Ejection, NodeIndex};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::random::Random;
use hammer2_model::{Change, Number};

use crate::chronicle::What;
use crate::host::Host;
use crate::world::World;

/// A client's judgement of an error.
enum Class {
    /// The operation makes no sense.
    Nonsense,
    /// Memory ran out; the next call may work.
    Resource,
    /// The disks are full.
    Full,
    /// The cluster is unable to do it.
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

/// The state that clients of one mount share.
pub(crate) struct Session<'w> {
    pub(crate) world: &'w World,
    pub(crate) host: &'static Host,
    pub(crate) fs: &'w FileSystem,
    pub(crate) random: RefCell<Random>,
    pub(crate) steps: u64,
    pub(crate) steps_begun: Cell<u64>,
    /// Nothing can be done any more.
    pub(crate) is_over: Cell<bool>,
    /// Too few nodes are left, until some come back.
    pub(crate) is_stopped: Cell<bool>,
    /// A client is bringing nodes back.
    pub(crate) is_resuming: Cell<bool>,
    /// How often disks were mended meanwhile.
    pub(crate) times_mended: Cell<u64>,
    /// Writes that may have been done in part, as nothing could be changed any more in the middle of them.
    pub(crate) partial_writes: RefCell<Vec<Change>>,
    /// Events and acts of administrators: how many are under way, and how many were begun.
    pub(crate) administered: Cell<(u64, u64)>,
    /// What looks wrong with the step that just ended.
    pub(crate) suspicion: RefCell<Option<String>>,
    pub(crate) wrong: RefCell<Option<String>>,
}

/// An act of administration, until it is dropped.
pub(crate) struct Administering<'s>(&'s Cell<(u64, u64)>);

impl Drop for Administering<'_> {
    fn drop(&mut self) {
        let (under_way, begun) = self.0.get();
        self.0.set((under_way - 1, begun));
    }
}

impl<'w> Session<'w> {
    /// A session on a mount in which clients take so many steps.
    pub(crate) fn new(world: &'w World, fs: &'w FileSystem, steps: u64) -> Self {
        Self {
            world,
            host: world.host,
            fs,
            random: RefCell::new(world.random.borrow_mut().fork()),
            steps,
            steps_begun: Cell::new(0),
            is_over: Cell::new(false),
            is_stopped: Cell::new(false),
            is_resuming: Cell::new(false),
            times_mended: Cell::new(0),
            partial_writes: RefCell::default(),
            administered: Cell::new((0, 0)),
            suspicion: RefCell::new(None),
            wrong: RefCell::new(None),
        }
    }

    /// Notes a violation, unless the cluster is lost already: then nobody knows how much of the last operation was done.
    pub(crate) fn violation(&self, what: String) {
        if !self.is_over.replace(true) {
            self.world.tell(|| What::Wrong { text: what.clone() });
            *self.wrong.borrow_mut() = Some(what);
        }
    }

    /// Judges an error.
    pub(crate) fn judge(&self, what: &str, error: &Error, is_allowed: bool) {
        match class(error) {
            Class::Nonsense if is_allowed => self.violation(format!("I13: {what}: \"{error}\" of what is there")),
            Class::Nonsense | Class::Resource => {}
            Class::Full if self.world.is_tight() => self.world.verdict("no-space"),
            Class::Full => self.violation(format!("I25: {what}: \"{error}\" though there is room")),
            Class::Trouble => {
                let wrong = || format!("I14: {what}: \"{error}\" though a quorum is healthy");
                match error {
                    _ if !self.world.must_work(self.fs) => {}
                    Error::NoQuorum { .. } if !self.is_over.get() => {
                        self.world.tell(|| What::Suspicion { text: wrong() });
                        *self.suspicion.borrow_mut() = Some(wrong());
                    }
                    _ => self.violation(wrong()),
                }
                self.stop(error);
            }
        }
    }

    /// Stops changes: for now if only too few nodes are left, otherwise for good.
    fn stop(&self, error: &Error) {
        let is_stopped = if matches!(error, Error::NoQuorum { .. }) { &self.is_stopped } else { &self.is_over };
        is_stopped.set(true);
    }

    /// Begins an act of administration, which lasts until the result is dropped.
    pub(crate) fn administering(&self) -> Administering<'_> {
        let (under_way, begun) = self.administered.get();
        self.administered.set((under_way + 1, begun + 1));
        Administering(&self.administered)
    }

    /// Syncs; true if that was acknowledged.
    pub(crate) async fn sync(&self) -> bool {
        let synced = self.commit("sync", self.fs.sync()).await;
        if synced {
            self.world.tally.borrow_mut().acked_syncs += 1;
        }
        synced
    }

    /// Runs an operation that commits everything; false if it wasn't acknowledged.
    pub(crate) async fn commit<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> bool {
        let error = self.committed(work).await.err();
        if let Some(error) = &error {
            self.judge(what, error, true);
        }
        error.is_none()
    }

    pub(crate) async fn committed<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let before = self.world.group().history.borrow().now();
        let done = work.await;
        if done.is_ok() {
            self.world.note_acked(self.fs, before);
        }
        self.host.note(2);
        log::info!("commit: {:?}", done.as_ref().err());
        self.world.tell(|| What::Durable { error: done.as_ref().err().map(Error::to_string) });
        done
    }

    /// Brings all nodes in step that are behind, at the same time.
    pub(crate) async fn resync_all(&self) {
        let behind: Vec<NodeIndex> = self.fs.nodes_behind().collect();
        join_all(behind.into_iter().map(|node| self.resync(node))).await;
    }

    pub(crate) async fn resync(&self, node: NodeIndex) {
        self.world.may_lose_snapshots(node);
        match self.committed(self.fs.resync(node)).await {
            Ok(_) => self.world.verdict("resynced"),
            Err(error) => {
                // A slow node may be late with another request before its turn comes, and then leaves.
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

    /// A change was made.
    pub(crate) fn note_done(&self, change: Change, made: Option<Number>) {
        let group = self.world.group();
        group.model.borrow_mut().make(change, made);
        group.history.borrow_mut().changed(&group.model.borrow());
        group.snapshots.changed(&group.model.borrow());
    }

    /// A change failed for want of a quorum. Of all kinds only a write may be done in part then.
    pub(crate) fn note_stopped(&self, change: Change) {
        if matches!(change, Change::Write { .. }) {
            self.partial_writes.borrow_mut().push(change);
        }
    }

    /// A write failed, and may have been done in part.
    pub(crate) fn note_in_part(&self, write: &Change) {
        let group = self.world.group();
        for part in write.parts(FILE_BLOCK_BYTES as u64) {
            let mut state = group.model.borrow().clone();
            state.make(part, None);
            group.history.borrow_mut().changed_in_part(state);
        }
    }
}
