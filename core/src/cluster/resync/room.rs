//! Making room on a node that is too full for what it lacks (protocol 3.1, "Making room").
//!
//! Blocks that nothing leads to are freed first. If that isn't enough, the oldest snapshot that can be spared is removed: a
//! quorum of its nodes, all in step, must have it too, it must never have been written to, and a newer one must remain.

use super::{Debt, ResyncError};
use crate::cluster::member::MemberState;
use crate::cluster::pfs::{find_pfs, next_pfs};
use crate::cluster::{Cluster, Command, Ejection, Modification, NodeIndex, Pfs, PfsSelector, Taken};
use crate::media::{KeyRange, PfsKind, Uuid};
use crate::memory::Box;
use crate::node::NodeError;

/// What was done to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Nothing can be done.
    None,
    /// Blocks that nothing led to were freed.
    Freed,
    /// A snapshot was removed.
    Snapshot,
}

impl Cluster {
    /// True for a node that left because it is full.
    pub(crate) fn is_full(&self, node: NodeIndex) -> bool {
        self.member(node).state() == MemberState::Ejected(Ejection::NoSpace)
    }

    /// Makes room on a full node, which then is behind: the first time without removing anything, if that helps. While the caller
    /// holds the guard that `reading` gives, the PFSs of the other nodes don't change.
    pub(crate) async fn make_room<G>(
        &self,
        target: NodeIndex,
        is_first: bool,
        reading: impl AsyncFnOnce() -> G,
    ) -> Result<Room, ResyncError> {
        let Some(clid) = self.line.clid() else { return Ok(Room::None) };
        // The work it had begun is thrown away.
        if let Err(error) = self.reopen(target).await {
            log::warn!("{}: {error}", self.called(target));
            return Ok(Room::None);
        }
        let room = self.free_something(target, clid, is_first, reading).await.map_err(ResyncError::target)?;
        if room != Room::None {
            self.member(target).set_state(MemberState::Behind(Debt::EVERYTHING));
        }
        Ok(room)
    }

    async fn free_something<G>(
        &self,
        target: NodeIndex,
        clid: Uuid,
        is_first: bool,
        reading: impl AsyncFnOnce() -> G,
    ) -> Result<Room, NodeError> {
        let node = &self.member(target).node;
        node.recover().await?;
        let has_freed = node.free_unused().await? > 0;
        let room = if is_first && has_freed {
            Room::Freed
        } else {
            let unchanged = reading().await;
            let Some(oldest) = self.oldest_to_spare(target).await? else { return Ok(Room::None) };
            log::warn!("{} is full: its snapshot {} is removed", self.called(target), oldest.label.escape_ascii());
            node.modify(node.next_super_tid(), Modification::RemovePfs { key: oldest.root.key }).await?;
            drop(unchanged);
            node.free_unused().await?;
            Room::Snapshot
        };
        let Some(own) = find_pfs(node, PfsSelector::Cluster(clid)).await? else { return Ok(Room::None) };
        node.execute(Command::OpenPfs { label: &own.label, into: self.slots.root() }).await?;
        Ok(room)
    }

    /// The oldest snapshot that the node can spare.
    async fn oldest_to_spare(&self, target: NodeIndex) -> Result<Option<Box<Pfs>>, NodeError> {
        let node = &self.member(target).node;
        let mut oldest: Option<Box<Pfs>> = None;
        let mut newest: Option<(Taken, Uuid)> = None;
        let mut rest = Some(KeyRange::ALL);
        while let Some(range) = rest {
            let Some((pfs, after)) = next_pfs(node, range).await? else { break };
            rest = after;
            if !self.is_snapshot(target, &pfs) {
                continue;
            }
            if newest.is_none_or(|(taken, _)| pfs.taken() > taken) {
                newest = Some((pfs.taken(), pfs.clid));
            }
            let is_older = oldest.as_ref().is_none_or(|oldest| pfs.taken() < oldest.taken());
            if is_older && self.can_be_spared(&pfs).await {
                oldest = Some(pfs);
            }
        }
        Ok(oldest.filter(|oldest| newest.is_none_or(|(_, clid)| clid != oldest.clid)))
    }

    /// True when nodes in sync that are a quorum have the same snapshot; if this copy is a master, a quorum of its own masters.
    async fn can_be_spared(&self, own: &Pfs) -> bool {
        let holders = self.holders(own).await;
        if own.kind != PfsKind::Master {
            return self.assent.has_quorum(holders);
        }
        let mut masters = 0;
        for index in holders.iter() {
            let found = find_pfs(&self.member(index).node, PfsSelector::Cluster(own.clid)).await;
            masters += usize::from(matches!(found, Ok(Some(found)) if found.kind == PfsKind::Master));
        }
        masters > usize::from(own.masters) / 2
    }
}
