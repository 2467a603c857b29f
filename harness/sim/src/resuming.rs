//! Too few nodes are left while a cluster is mounted: disks that failed are put right, and it must go on as if nothing had been,
//! with all that was done before.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Poll;

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::{Attendant, Event};
use hammer2_core::media::Inum;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;

use super::clients::Session;
use super::model::Change;
use super::mounting::states;

/// How long a client waits for another that brings nodes back, in virtual time.
const WAIT_NANOSECONDS: u64 = 100_000_000;

/// A node that comes back first may be too few still; one that leaves while the first is looked at is tried in the second, and
/// only then can those before it be enough.
const ROUNDS: usize = 3;

/// What a session that stopped has to settle before it goes on.
#[derive(Default)]
pub(super) struct Stopped {
    /// Writes that may have been done in part, as nothing could be changed any more in the middle of them.
    writes: RefCell<Vec<Change>>,
    is_resuming: Cell<bool>,
    /// How often disks were put right.
    mended: Cell<u64>,
}

impl Stopped {
    pub(super) fn mended(&self) -> u64 {
        self.mended.get()
    }

    /// A change failed for want of a quorum. Of all kinds only a write may be done in part then.
    pub(super) fn note(&self, change: Change) {
        if matches!(change, Change::Write { .. }) {
            self.writes.borrow_mut().push(change);
        }
    }
}

/// Tells nobody what becomes of nodes.
struct Silent;

impl Attendant for Silent {
    fn may_repair(&self) -> bool {
        true
    }

    fn trying(&self, _: NodeIndex, _: bool) {}

    fn syncing(&self, _: bool) {}

    fn tell(&self, _: Event<'_>) {}
}

impl Session<'_> {
    /// Brings back who left, unless another client is at it.
    pub(super) async fn resume(&self) {
        if self.stopped.is_resuming.replace(true) {
            let over = self.host.nanoseconds() + WAIT_NANOSECONDS;
            self.host.alarm(over);
            poll_fn(|_| if self.host.nanoseconds() < over { Poll::Pending } else { Poll::Ready(()) }).await;
            return;
        }
        let _administering = self.administering();
        log::info!("too few nodes are left: {:?}", states(self.fs).collect::<Vec<_>>());
        self.settle_writes().await;
        self.world.mend_disks();
        self.stopped.mended.set(self.stopped.mended.get() + 1);
        let must_go_on = self.must_go_on();
        for _ in 0..ROUNDS {
            for (node, state) in (0..).map(NodeIndex).zip(states(self.fs).collect::<Vec<_>>()) {
                self.bring_back(node, state).await;
            }
        }
        // Those that failed while this was under way. Once others go on, nobody can tell what was done of them.
        self.settle_writes().await;
        self.is_stopped.set(false);
        self.stopped.is_resuming.set(false);
        if self.fs.has_quorum() {
            self.world.tally.borrow_mut().verdict("resumed");
        } else if must_go_on && self.must_go_on() {
            self.violation("I15: enough sound disks are back, and it doesn't go on".to_owned());
        } else {
            self.is_over.set(true);
        }
    }

    async fn bring_back(&self, node: NodeIndex, state: MemberState) {
        if let MemberState::Ejected(_) | MemberState::Behind(_) = state {
            self.world.may_lose_snapshots(node);
            let copied = self.fs.bring_back(node, &Silent).await;
            log::info!("node {}: {copied:?}", node.0);
        }
    }

    /// True when nothing stands in the way: who is left is sound, and a quorum is.
    fn must_go_on(&self) -> bool {
        let is_sound = |seat: usize| self.world.disk_of(seat).is_some_and(|disk| self.world.is_sound(disk));
        let left = || states(self.fs).enumerate().filter(|(_, state)| *state == MemberState::InSync);
        let takes_part = |node: NodeIndex| {
            states(self.fs).nth(node.0.into()).is_some_and(|state| !matches!(state, MemberState::Aside(_)))
        };
        let is_there = |disk: usize| self.world.is_sound(disk) && self.world.node_of(disk).is_some_and(takes_part);
        left().count() > 0
            && left().all(|(seat, _)| is_sound(seat))
            && self.world.group().is_quorum(is_there)
            && !self.world.is_tight()
    }

    /// Finds out how much of each write was done: whole blocks of it from the beginning. Nothing changes meanwhile.
    async fn settle_writes(&self) {
        for change in self.stopped.writes.take() {
            let Change::Write { file, offset, data } = change else { continue };
            let before = self.world.group().model.borrow().clone();
            let Some(old) = before.content(file) else { continue };
            let mut found = vec![0; old.len().max(offset as usize + data.len()) + 1];
            let Ok(count) = self.fs.read(file, 0, &mut found).await else {
                self.is_over.set(true);
                return;
            };
            let part = parts(file, offset, &data).find(|part| {
                let mut after = before.clone();
                after.apply(part.clone(), None);
                after.content(file).is_some_and(|content| content[..] == found[..count])
            });
            match part {
                Some(part) => self.note_done(part, None),
                None => self.violation(format!("I12: a write to inode {file} was done in no part from its beginning")),
            }
        }
    }
}

/// What may have been done of a write that failed: whole blocks from the beginning, none of them, or all.
pub(super) fn parts(file: Inum, offset: u64, data: &[u8]) -> impl Iterator<Item = Change> {
    let is_end = move |end: &usize| (offset + *end as u64).is_multiple_of(FILE_BLOCK_BYTES as u64) || *end == 0;
    let ends = (0..data.len()).filter(is_end).chain([data.len()]);
    ends.map(move |end| Change::Write { file, offset, data: data[..end].to_vec() })
}
