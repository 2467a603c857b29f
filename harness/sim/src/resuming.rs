//! Too few nodes are left while a cluster is mounted: the failed disks are mended, and the mount must go on with all earlier
//! changes, as if nothing had happened.

use std::future::poll_fn;
use std::task::Poll;

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::{Attendant, Event};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_model::Change;

use crate::reading::inum;
use crate::session::Session;
use crate::states::states;

/// How long a client waits for another that brings nodes back, in virtual time.
const WAIT_NANOSECONDS: u64 = 100_000_000;

/// The nodes that come back in the first round may still be too few; a node that leaves meanwhile is tried in the second, and
/// only then may the others be enough.
const ROUNDS: usize = 3;

/// A receiver that ignores reports on nodes.
struct Nobody;

impl Attendant for Nobody {
    fn may_repair(&self) -> bool {
        true
    }

    fn trying(&self, _: NodeIndex, _: bool) {}

    fn syncing(&self, _: bool) {}

    fn tell(&self, _: Event<'_>) {}
}

/// Brings nodes back that left, unless another client is doing so.
pub(crate) async fn resume(session: &Session<'_>) {
    if session.is_resuming.replace(true) {
        let over = session.host.nanoseconds() + WAIT_NANOSECONDS;
        session.host.alarm(over);
        poll_fn(|_| if session.host.nanoseconds() < over { Poll::Pending } else { Poll::Ready(()) }).await;
        return;
    }
    let _administering = session.administering();
    log::info!("too few nodes are left: {:?}", states(session.fs).collect::<Vec<_>>());
    settle_writes(session).await;
    session.world.mend_disks();
    session.times_mended.set(session.times_mended.get() + 1);
    let had_enough = must_go_on(session);
    for _ in 0..ROUNDS {
        for (node, state) in (0..).map(NodeIndex).zip(states(session.fs).collect::<Vec<_>>()) {
            bring_back(session, node, state).await;
        }
    }
    // These writes failed while this was under way. Once others go on, nobody can tell how much of them was done.
    settle_writes(session).await;
    session.is_stopped.set(false);
    session.is_resuming.set(false);
    if session.fs.has_quorum() {
        session.world.verdict("resumed");
    } else if had_enough && must_go_on(session) {
        session.violation("I15: enough sound disks are back, and it doesn't go on".to_owned());
    } else {
        session.is_over.set(true);
    }
}

async fn bring_back(session: &Session<'_>, node: NodeIndex, state: MemberState) {
    if let MemberState::Ejected(_) | MemberState::Behind(_) = state {
        session.world.may_lose_snapshots(node);
        let copied = session.fs.bring_back(node, &Nobody).await;
        log::info!("node {}: {copied:?}", node.0);
    }
}

/// True when nothing stands in the way: the nodes that are left are sound, and so is a quorum.
fn must_go_on(session: &Session<'_>) -> bool {
    let is_sound = |seat: usize| session.world.disk_of(seat).is_some_and(|disk| session.world.is_sound(disk));
    let left = || states(session.fs).enumerate().filter(|(_, state)| *state == MemberState::InSync);
    let takes_part = |node: NodeIndex| {
        states(session.fs).nth(node.0.into()).is_some_and(|state| !matches!(state, MemberState::Aside(_)))
    };
    let is_there = |disk: usize| session.world.is_sound(disk) && session.world.node_of(disk).is_some_and(takes_part);
    left().count() > 0
        && left().all(|(seat, _)| is_sound(seat))
        && session.world.group().is_quorum(is_there)
        && !session.world.is_tight()
}

/// Finds out how many whole blocks of each write were done, from the beginning. Nothing changes meanwhile.
async fn settle_writes(session: &Session<'_>) {
    for write in session.partial_writes.take() {
        let Change::Write { file, offset, data } = &write else { continue };
        let before = session.world.group().model.borrow().clone();
        let Some(old) = before.content_of(*file) else { continue };
        let mut found = vec![0; old.len().max(*offset as usize + data.len()) + 1];
        let Ok(count) = session.fs.read(inum(*file), 0, &mut found).await else {
            session.is_over.set(true);
            return;
        };
        let part = write.parts(FILE_BLOCK_BYTES as u64).find(|part| {
            let mut after = before.clone();
            after.make(part.clone(), None);
            after.content_of(*file).is_some_and(|content| content[..] == found[..count])
        });
        match part {
            Some(part) => session.note_done(part, None),
            None => session.violation(format!("I12: a write to inode {file} was done in no part from its beginning")),
        }
    }
}
