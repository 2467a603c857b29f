//! Snapshots that a node lacks because they were taken while it was away, or before its disk was put in.
//!
//! A snapshot never changes, so it is copied while changes go on, to a node that is behind. The node's current content of the PFS
//! is turned into the snapshot by comparison, and shares with it what is the same. The snapshot is committed with everything else
//! that is copied, by the commit that makes the node a member of the sync set.
//!
//! Such a copy has no vote when the snapshot becomes a cluster of its own: with more voters than the snapshot was taken on, two
//! of its quorums could be mounted independently.

use super::{Copying, Debt, ResyncCounts, ResyncError};
use crate::cluster::administration::{add_root, remove_root};
use crate::cluster::member::Member;
use crate::cluster::pfs::{find_pfs, next_pfs};
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, Command, Ejection, MemberState, NodeIndex, OpError, Pfs, PfsSelector, Slot, Taken};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Inode, KeyRange, PfsKind, PfsSubkind, Uuid};
use crate::memory::{Box, boxed};
use crate::node::{Node, NodeError};

/// The part of a node's space that snapshots copied to it leave free, for current writing comes first: one in this many.
const FREE_PART: u64 = 10;

impl Cluster {
    /// The newest snapshot older than `than` that a quorum has and this node lacks; none if the node can't be asked.
    pub(crate) async fn lacking_snapshot(&self, target: NodeIndex, than: Option<Taken>) -> Option<Box<Pfs>> {
        let mut newest: Option<Box<Pfs>> = None;
        for source in self.up_to_date().difference(NodeSet::only(target)).iter() {
            let mut rest = Some(KeyRange::ALL);
            while let Some(range) = rest {
                // Another node may be able to read what this one can't.
                let Ok(Some((pfs, after))) = next_pfs(&self.member(source).node, range).await else { break };
                rest = after;
                let is_next = than.is_none_or(|than| pfs.taken() < than)
                    && newest.as_ref().is_none_or(|newest| pfs.taken() > newest.taken());
                if !is_next || !self.is_snapshot(source, &pfs) {
                    continue;
                }
                match self.is_lacking(target, &pfs).await {
                    Ok(true) => newest = Some(pfs),
                    Ok(false) => {}
                    // Nothing can be copied to it now. Changes wait, and asking it again might take as long each time.
                    Err(_) => return None,
                }
            }
        }
        newest
    }

    /// True for a snapshot that was never written to: one with a record has become a cluster.
    pub(super) fn is_snapshot(&self, on: NodeIndex, pfs: &Pfs) -> bool {
        let has_record = || self.member(on).node.header().cluster_records.find(pfs.clid) != Ok(None);
        let is_own = self.line.clid() == Some(pfs.clid);
        pfs.subkind == PfsSubkind::Snapshot && !is_own && !has_record()
    }

    async fn is_lacking(&self, target: NodeIndex, snapshot: &Pfs) -> Result<bool, NodeError> {
        // Another PFS may have the label.
        let label = PfsSelector::Label(&snapshot.label);
        let lacks = find_pfs(&self.member(target).node, label).await?.is_none();
        Ok(lacks && self.assent.has_quorum(self.holders(snapshot).await))
    }

    /// The nodes in sync that have this very snapshot.
    pub(super) async fn holders(&self, snapshot: &Pfs) -> NodeSet {
        let mut holders = NodeSet::EMPTY;
        for index in self.in_sync().iter() {
            let found = find_pfs(&self.member(index).node, PfsSelector::Cluster(snapshot.clid)).await;
            let is_same =
                |found: &Pfs| (found.taken(), found.root.modify_tid) == (snapshot.taken(), snapshot.root.modify_tid);
            if found.ok().flatten().is_some_and(|found| is_same(&found)) {
                holders.insert(index);
            }
        }
        holders
    }

    /// True for a node in sync.
    pub(crate) fn is_in_sync(&self, node: NodeIndex) -> bool {
        self.member(node).is_in_sync()
    }

    /// Makes a node that lacks a snapshot one that is behind, as if it had just come in. Everything done so far must be durable.
    /// Returns false if too few nodes would be left.
    pub(crate) async fn step_aside(&self, node: NodeIndex) -> Result<bool, OpError> {
        self.level_with(NodeSet::only(node)).await?;
        let others = self.voters().difference(NodeSet::only(node));
        let can = self.is_in_sync(node) && self.assent.has_quorum(others);
        if can {
            self.member(node).set_state(MemberState::Behind(Debt::since(self.line.last_tid())));
        }
        Ok(can)
    }

    /// Copies a snapshot to a node that is behind; none if the node hasn't the room, or no node can read all of it. `pause` is
    /// called between steps.
    pub(crate) async fn copy_snapshot(
        &self,
        target: NodeIndex,
        snapshot: &Pfs,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<Option<ResyncCounts>, ResyncError> {
        let member = self.member(target);
        let MemberState::Behind(_) = member.state() else { return Ok(None) };
        let half_given = HalfGiven(member);
        let copied = match boxed(self.heap, self.give_snapshot(target, snapshot, pause)) {
            Ok(copy) => Box::into_pin(copy).await,
            Err(error) => Err(ResyncError::source(error.into())),
        };
        let Err(error) = copied else {
            half_given.settled();
            return copied.map(Some);
        };
        log::warn!("{}: no snapshot {}: {error}", self.called(target), snapshot.label.escape_ascii());
        let removed = remove_root(&member.node, &snapshot.label).await.map_err(ResyncError::target);
        let error = match (error, removed) {
            (ResyncError::Target(Ejection::NoSpace) | ResyncError::Source(_), Ok(_)) => {
                half_given.settled();
                return Ok(None);
            }
            (error @ ResyncError::Target(Ejection::Fault(_)), _) | (_, Err(error)) | (error, Ok(_)) => error,
        };
        if let ResyncError::Target(why) = error {
            member.set_state(MemberState::Ejected(why));
        }
        drop(half_given);
        Err(error)
    }

    async fn give_snapshot(
        &self,
        target: NodeIndex,
        snapshot: &Pfs,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let member = self.member(target);
        let node = &member.node;
        let mut meta = snapshot.root.meta;
        meta.set_pfs_kind(PfsKind::Slave);
        meta.pfs_fsid = fsid_of_copy(snapshot.fsid, member.fsid.get());
        let root = Inode { meta, body: [0; EMBEDDED_BYTES] };
        let keep_free = node.header().allocator_size() / FREE_PART;
        if node.free_bytes() < keep_free {
            return Err(ResyncError::Target(Ejection::NoSpace));
        }
        let slot = self.slots.snapshot_of(target);
        let create = async {
            node.keep_what_was_written().await?;
            add_root(node, node.next_super_tid(), &snapshot.label, root, Some(self.slots.root())).await?;
            open_snapshot(node, snapshot, slot).await
        };
        create.await.map_err(ResyncError::target)?;
        // Content that was copied ahead may be newer than its stamp says.
        let debt = Debt::EVERYTHING;
        let mut copied = Err(self.no_quorum().into());
        for source in self.holders(snapshot).await.difference(NodeSet::only(target)).iter() {
            let departures = self.member(source).departures();
            let copying = Copying { pfs: slot, source, departures, target, debt, until: None, keep_free };
            copied = match open_snapshot(&self.member(source).node, snapshot, slot).await {
                Ok(()) => self.copy_pfs(copying, pause).await,
                Err(error) => Err(ResyncError::source(error)),
            };
            if !matches!(copied, Err(ResyncError::Source(_))) {
                break;
            }
        }
        Ok(ResyncCounts { snapshots_copied: 1, ..copied? })
    }
}

/// A node that has part of a snapshot in memory. If it is dropped in this state, the node starts again with what is on its disk,
/// so that no commit includes the part.
struct HalfGiven<'m>(&'m Member);

impl HalfGiven<'_> {
    /// Ends this state: the node now has all of the snapshot, or nothing of it.
    fn settled(self) {
        core::mem::forget(self);
    }
}

impl Drop for HalfGiven<'_> {
    fn drop(&mut self) {
        if let MemberState::Behind(_) = self.0.state() {
            self.0.set_state(MemberState::Ejected(Ejection::Dissent));
        }
    }
}

async fn open_snapshot(node: &Node, snapshot: &Pfs, into: Slot) -> Result<(), NodeError> {
    node.execute(Command::OpenPfs { label: &snapshot.label, into }).await.map(drop)
}

/// The id of a copy, derived from the snapshot and the member that has the copy.
fn fsid_of_copy(snapshot: Uuid, member: Uuid) -> Uuid {
    let (Uuid(mut bytes), Uuid(other)) = (snapshot, member);
    // The bytes before tell what kind of id it is.
    bytes.iter_mut().zip(other).skip(9).for_each(|(byte, other)| *byte ^= other);
    Uuid(bytes)
}
