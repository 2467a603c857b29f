//! Changing the members and their roles (protocol 5.3, "Membership").
//!
//! A change is two commits. The first carries the new list of members, *pending*: until the second, every decision at any mount
//! needs a quorum of the old voters and a quorum of the new ones. So wherever a crash cuts it, two quorums that don't meet can't
//! both decide. The second commit ends the change. A mount that finds a pending change finishes it.
//!
//! A new member is a slave first: it votes once it has everything. A member's role is in the list; the PFS roots follow it.

use super::administration::{add_root, blank_root, remove_root};
use super::member::{Debt, MemberState};
use super::pfs::find_pfs;
use super::vote::electorate::Voters;
use super::vote::{CommitId, Electorate, Role};
use super::{Cluster, Command, Modification, NewPfs, NodeIndex, OpError, PfsSelector, Rule};
use crate::media::cluster_record::{self, ClusterRecord, ConfigId, MAX_MEMBERS, Member};
use crate::media::{PfsKind, Uuid};
use crate::node::{Node, NodeError};

/// A change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a slave, which gets its content as soon as it is resynchronized.
    Add(Uuid),
    /// Removes a member.
    Remove(Uuid),
    /// Makes a slave in step a master.
    Promote(Uuid),
    /// Puts a slave in step in the place of a member, which is removed.
    Replace {
        /// The member to be removed.
        old: Uuid,
        /// The slave that takes its place.
        new: Uuid,
    },
}

/// Why the members can't be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// The PFS never was in a cluster.
    #[error("this PFS is no cluster's: `cluster add` makes it one")]
    NoCluster,
    /// The record doesn't list this member.
    #[error("{0} is no member: `cluster status` lists them")]
    NoMember(Uuid),
    /// The node is a member already.
    #[error("node {0} is a member already")]
    IsMember(NodeIndex),
    /// Another PFS on the node has the label.
    #[error("node {0} has another PFS with the cluster's label: remove it there, or rename it")]
    LabelTaken(NodeIndex),
    /// Only a slave can be promoted or replace a member.
    #[error("{0} is no slave")]
    NoSlave(Uuid),
    /// The member would vote on content that it doesn't have.
    #[error("{0} isn't in step: `cluster resync` brings it there")]
    NotInSync(Uuid),
    /// No voter would be left.
    #[error("it is the last master: promote a slave first")]
    LastMaster,
    /// The masters in step couldn't keep the cluster going.
    #[error("{have} of {of} masters would be in step, {need} are needed: bring the others back, or remove them, first")]
    TooFew {
        /// Masters in step after the change.
        have: usize,
        /// Masters after the change.
        of: usize,
        /// Those needed.
        need: usize,
    },
    /// A record can't list more members.
    #[error("a cluster has at most {MAX_MEMBERS} members: remove one first")]
    Full,
    /// The change couldn't be committed.
    #[error("{0}")]
    Cluster(#[from] OpError),
}

impl Change {
    /// Changes the list of members. A member that goes stays listed as a former voter if it voted.
    fn apply(self, record: &mut ClusterRecord) -> Result<(), MembershipError> {
        let place = |record: &ClusterRecord, fsid| {
            let found = record.members.iter().position(|member| member.fsid == fsid);
            found.ok_or(MembershipError::NoMember(fsid))
        };
        match self {
            Self::Add(fsid) => {
                let slave = Member {
                    fsid,
                    role: PfsKind::Slave,
                    state: cluster_record::MemberState::WriteDisabled,
                    voter: false,
                    previous_voter: false,
                    last_known: CommitId::NONE,
                    distrusted_from: None,
                };
                record.members.push(slave).map_err(|_| MembershipError::Full)?;
            }
            Self::Remove(fsid) => {
                let place = place(record, fsid)?;
                record.members[place].voter = false;
                if !record.members[place].previous_voter {
                    record.members.remove(place);
                }
            }
            Self::Promote(fsid) => {
                let place = place(record, fsid)?;
                if record.members[place].role != PfsKind::Slave {
                    return Err(MembershipError::NoSlave(fsid));
                }
                (record.members[place].role, record.members[place].voter) = (PfsKind::Master, true);
            }
            Self::Replace { old, new } => {
                if record.members[place(record, old)?].voter {
                    Self::Promote(new).apply(record)?;
                }
                Self::Remove(old).apply(record)?;
            }
        }
        Ok(())
    }

    /// The member that will vote, or do all that its predecessor did, only after the change.
    fn newcomer(self) -> Option<Uuid> {
        match self {
            Self::Promote(fsid) | Self::Replace { new: fsid, .. } => Some(fsid),
            Self::Add(_) | Self::Remove(_) => None,
        }
    }

    fn leaver(self) -> Option<Uuid> {
        match self {
            Self::Remove(fsid) | Self::Replace { old: fsid, .. } => Some(fsid),
            Self::Add(_) | Self::Promote(_) => None,
        }
    }
}

impl Cluster {
    /// Changes the members durably. Everything done before becomes durable, too.
    pub(crate) async fn change_members(&self, change: Change) -> Result<(), MembershipError> {
        self.flush().await?;
        let (next, electorate) = self.changed(change)?;
        let newcomer = change.newcomer().and_then(|fsid| self.place_of(fsid));
        if let Some(index) = newcomer
            && next.member(self.member(index).fsid.get()).is_some_and(|member| member.voter)
        {
            self.member(index).role.set(Role::Master);
        }
        let is_pending = next.is_pending();
        let leaver = change.leaver().and_then(|fsid| self.place_of(fsid));
        // A node that has failed isn't written to: its disk may have been replaced by something else.
        let is_there = leaver.is_some_and(|index| !matches!(self.member(index).state(), MemberState::Ejected(_)));
        if let (Some(index), false) = (leaver, is_pending) {
            self.set_outside(index);
        }
        self.assent.elect(electorate);
        self.line.follow(Some(next));
        self.set_roots().await?;
        self.commit_next().await?;
        self.end_pending().await?;
        // A member that is asked to go is removed from every disk that is there.
        self.level().await?;
        if let Some(index) = leaver {
            self.set_outside(index);
            if is_there && let Err(error) = self.wipe(index).await {
                let why = super::Ejection::of(error);
                log::warn!("{}: its PFS couldn't be removed: {why}", self.called(index));
            }
            // Its memory is for the next member.
            self.member(index).node.blocks().forget();
        }
        Ok(())
    }

    /// Ends a change of the members once both quorums have it.
    pub(super) async fn end_pending(&self) -> Result<(), OpError> {
        if !self.line.record().as_ref().is_some_and(ClusterRecord::is_pending) {
            return Ok(());
        }
        if let Some(record) = &mut *self.line.record_mut() {
            record.members.retain(|member| member.voter || !member.previous_voter);
            record.members.iter_mut().for_each(|member| member.previous_voter = false);
        }
        self.assent.elect(Electorate { previous: None, ..self.assent.electorate() });
        let gone = |fsid| self.line.record().as_ref().is_some_and(|record| record.member(fsid).is_none());
        for (index, member) in self.members() {
            if gone(member.fsid.get()) {
                self.set_outside(index);
            }
        }
        self.set_roots().await?;
        self.commit_next().await
    }

    /// The record after a change, and the electorate until the change is done.
    fn changed(&self, change: Change) -> Result<(ClusterRecord, Electorate), MembershipError> {
        let mut next = self.line.record().clone().ok_or(MembershipError::NoCluster)?;
        let former = self.assent.electorate().current;
        let voted = next.clone();
        next.members.iter_mut().for_each(|member| member.previous_voter = member.voter);
        change.apply(&mut next)?;
        let is_same = |member: &Member| voted.member(member.fsid).is_some_and(|former| former.voter) == member.voter;
        let keeps_voters = next.members.iter().all(is_same) && next.voter_count() == voted.voter_count();
        let is_joint = !keeps_voters && self.protocol.get().has(Rule::Joint);
        if !is_joint {
            next.members.retain(|member| member.voter || !member.previous_voter);
            next.members.iter_mut().for_each(|member| member.previous_voter = false);
        }
        let epoch = next.version.commit.epoch.ctr;
        next.config = match next.config {
            ConfigId { ctr, change } if ctr == epoch => ConfigId { ctr, change: change.saturating_add(1) },
            _ => ConfigId { ctr: epoch, change: 1 },
        };
        if next.voter_count() == 0 {
            return Err(MembershipError::LastMaster);
        }
        if let Some(fsid) = change.newcomer()
            && !self.place_of(fsid).is_some_and(|index| self.member(index).is_in_sync())
        {
            return Err(MembershipError::NotInSync(fsid));
        }
        let votes = |fsid: Uuid| next.member(fsid).is_some_and(|member| member.voter);
        let nodes = self.members().filter(|(_, member)| votes(member.fsid.get())).map(|(index, _)| index).collect();
        let current = Voters { nodes, count: next.voter_count() };
        if !current.has_quorum(self.in_sync()) {
            let have = nodes.intersection(self.in_sync()).len();
            return Err(MembershipError::TooFew { have, of: current.count, need: current.quorum() });
        }
        Ok((next, Electorate { current, previous: is_joint.then_some(former) }))
    }

    /// Makes the roots of the nodes in sync say what the list says. Those of lagging nodes follow when they are next mounted.
    pub(super) async fn set_roots(&self) -> Result<(), OpError> {
        let Some(record) = self.line.record().clone() else { return Ok(()) };
        let (slot, masters) = (self.slots.root(), record.voter_count() as u8);
        for index in self.abreast().iter() {
            let member = self.member(index);
            let Some(kind) = record.member(member.fsid.get()).map(|listed| listed.role) else { continue };
            if let Err(error) = set_root(&member.node, slot, kind, masters).await {
                self.eject_for(index, error);
            }
        }
        Ok(())
    }

    /// Prepares a node to become a member: it gets an empty PFS of the cluster, unless an earlier attempt to add it has left one.
    /// Returns the id by which a [`Change`] names it. A former member that was away when it was removed loses its content here:
    /// what it has committed since would be held against the masters.
    pub(crate) async fn prepare_member(&self, index: NodeIndex, new: &NewPfs<'_>) -> Result<Uuid, MembershipError> {
        let record = self.line.record().clone().ok_or(MembershipError::NoCluster)?;
        self.hold_another(index).await?;
        let member = self.member(index);
        if record.member(member.fsid.get()).is_some() {
            return Err(MembershipError::IsMember(index));
        }
        if record.members.is_full() {
            return Err(MembershipError::Full);
        }
        let was_member = member.node.header().cluster_records.find(record.clid) != Ok(None);
        if was_member {
            self.wipe(index).await.map_err(OpError::from)?;
        }
        // It is a slave: until it is listed, it must not be mounted by itself like a filesystem of its own.
        let new = NewPfs { clid: record.clid, kind: PfsKind::Slave, ..*new };
        let made = self.make_root(&member.node, &new).await.map_err(OpError::from)?;
        let Some((fsid, label)) = made else { return Err(MembershipError::LabelTaken(index)) };
        if record.member(fsid).is_some() {
            return Err(MembershipError::IsMember(index));
        }
        let open = Command::OpenPfs { label: &label, into: self.slots.root() };
        member.node.execute(open).await.map_err(OpError::from)?;
        member.fsid.set(fsid);
        member.role.set(Role::Slave);
        Ok(fsid)
    }

    /// Adds a node that was [prepared](Self::prepare_member), as a slave that has nothing yet.
    pub(crate) async fn add_member(&self, index: NodeIndex) -> Result<(), MembershipError> {
        self.change_members(Change::Add(self.member(index).fsid.get())).await?;
        self.member(index).set_state(MemberState::Behind(Debt::EVERYTHING));
        Ok(())
    }

    /// The PFS of the cluster on a node, made if there is none; none if another PFS has its label.
    async fn make_root(
        &self,
        node: &Node,
        new: &NewPfs<'_>,
    ) -> Result<Option<(Uuid, heapless::Vec<u8, { crate::media::inode::INODE_NAME_BYTES }>)>, NodeError> {
        node.recover().await?;
        if let Some(own) = find_pfs(node, PfsSelector::Cluster(new.clid)).await? {
            return Ok(Some((own.fsid, own.label.clone())));
        }
        if find_pfs(node, PfsSelector::Label(new.label)).await?.is_some() {
            return Ok(None);
        }
        add_root(node, node.next_super_tid(), new.label, blank_root(new), None).await?;
        node.flush().await?;
        Ok(heapless::Vec::from_slice(new.label).ok().map(|label| (new.fsid, label)))
    }

    /// Removes the PFS and the record of a node that was a member.
    async fn wipe(&self, index: NodeIndex) -> Result<(), NodeError> {
        let Some(clid) = self.line.clid() else { return Ok(()) };
        let node = &self.member(index).node;
        if node.fault().is_some() {
            return Ok(());
        }
        let Some(pfs) = find_pfs(node, PfsSelector::Cluster(clid)).await? else { return Ok(()) };
        node.recover().await?;
        remove_root(node, &pfs.label).await?;
        node.stage().await?;
        node.commit(&mut |header| {
            header.cluster_records.remove(clid);
        })
        .await
    }

    fn set_outside(&self, index: NodeIndex) {
        self.member(index).set_state(MemberState::Aside(super::vote::State::Outside));
        self.stream.forget(index);
    }

    /// The place of the member with this id among the opened nodes.
    pub(super) fn place_of(&self, fsid: Uuid) -> Option<NodeIndex> {
        self.members().find(|(_, member)| member.fsid.get() == fsid).map(|(index, _)| index)
    }
}

/// Writes a role and the number of masters into a PFS root.
async fn set_root(node: &Node, slot: super::Slot, kind: PfsKind, masters: u8) -> Result<(), NodeError> {
    let root = node.record(slot).await?;
    if (root.meta.pfs_kind(), root.meta.pfs_nmasters) == (kind, masters) {
        return Ok(());
    }
    node.modify(root.modify_tid, Modification::SetPfsRole { slot, kind, masters }).await.map(drop)
}
