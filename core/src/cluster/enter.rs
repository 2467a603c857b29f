//! Entering a PFS: finding out which nodes have it, in which versions, and which nodes therefore take part (protocol 5.3,
//! "Mount").
//!
//! This module collects what the nodes say; [`assemble`](assemble()) decides what follows from it. A cluster that can't be
//! mounted by its quorum can still be read, as one version that some nodes hold; a caller that wants to change something is told
//! why it can't.

use super::member::{Debt, MemberState};
use super::members::unknown;
use super::pfs::find_pfs;
use super::vote::{
    Ask, Assembly, Condition, Electorate, Mount, NodeSet, Plan, Refusal, Role, Seen, State, Target, assemble,
};
use super::{Cluster, Command, Ejection, InodeRecord, MAX_NODES, NodeIndex, OpError, Pfs, PfsSelector, Reply, Slot};
use crate::io::DeviceError;
use crate::media::cluster_record::ClusterRecord;
use crate::media::{Corruption, ModifyTid, PfsKind, Uuid};
use crate::memory::{Box, Vec, aside, boxed, push};
use crate::node::{NodeError, NodeFault, OpenError};

/// What a node has of a PFS.
struct OnNode {
    fsid: Uuid,
    role: Role,
    masters: u8,
    record: Result<Option<ClusterRecord>, Corruption>,
    condition: Condition,
}

impl OnNode {
    /// Describes a node that has nothing of the PFS.
    fn nothing(index: NodeIndex) -> Self {
        Self { fsid: unknown(index), role: Role::Cache, masters: 0, record: Ok(None), condition: Condition::default() }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            fsid: self.fsid,
            role: self.role,
            masters: self.masters,
            record: self.record.as_ref().map(Option::as_ref).map_err(|corruption| *corruption),
            condition: self.condition,
        }
    }
}

impl Cluster {
    /// Opens the root of a PFS on every node that has it, and decides which nodes take part.
    pub(crate) async fn enter(&self, pfs: &Pfs) -> Result<(Slot, Box<InodeRecord>), OpError> {
        let Some((slot, root)) = self.open_pfs(&pfs.label).await? else { return Err(self.no_quorum()) };
        if let Some(Mount::AsOf(Some(node)) | Mount::Forced(node) | Mount::Soft(node)) = self.mounting.choice()
            && usize::from(node.0) >= self.members.len()
        {
            return Err(OpError::Refused(Refusal::NoSuchNode { node }));
        }
        if self.is_plain(pfs) {
            return Ok((slot, root));
        }
        let found = self.look_at_all(pfs.clid, slot, None).await?;
        self.decide(&seen(&found))?;
        aside(self.heap, || self.note_snapshot())?.await;
        let Some(index) = self.in_sync().first() else { return Err(self.no_quorum()) };
        self.focus.set(index);
        Ok((slot, boxed(self.heap, self.member(index).node.record(slot).await?)?))
    }

    /// True for a PFS of a single node that never was in a cluster: there is nothing to decide.
    fn is_plain(&self, pfs: &Pfs) -> bool {
        let has_no_record = || self.focus().header().cluster_records.find(pfs.clid) == Ok(None);
        self.members.len() == 1 && pfs.kind == PfsKind::Master && pfs.masters <= 1 && has_no_record()
    }

    /// Starts a node afresh that left or is no part of the mount: resets its devices and reads its headers and the blocks that
    /// lead to the PFS, so that [looking again](Self::look_again) needn't wait for a device. Other work may go on meanwhile.
    pub(crate) async fn reopen(&self, index: NodeIndex) -> Result<(), OpenError> {
        let node = &self.member(index).node;
        if !matches!(self.member(index).state(), MemberState::Ejected(_) | MemberState::Aside(_)) {
            return Ok(());
        }
        node.reopen().await?;
        let Some(clid) = self.line.clid() else { return Ok(()) };
        match self.look_inside(index, clid, self.slots.root()).await {
            Err(NodeError::Fault(NodeFault::Device { device, error: error @ DeviceError::Timeout, .. })) => {
                Err(OpenError::Device { device, error })
            }
            // Any other failure shows again, and is judged, when the node is looked at.
            _ => Ok(()),
        }
    }

    /// Looks again at a node that has been [reopened](Self::reopen). The node then is behind, or stays away, as at a mount.
    /// Nothing may be changed meanwhile.
    pub(crate) async fn look_again(&self, index: NodeIndex) -> Result<MemberState, ReturnError> {
        let Some(clid) = self.line.clid() else {
            return Ok(self.member(index).state());
        };
        // A tree left broken by a failed write can't be looked at, nor can anything that depends on it be judged.
        for broken in self.in_sync().iter() {
            if let Some(fault) = self.member(broken).node.fault().filter(|fault| !fault.is_timeout()) {
                self.eject(broken, Ejection::Fault(fault));
            }
        }
        let mut found = self.look_at_all(clid, self.slots.root(), Some(index)).await?;
        for (found, member) in found.iter_mut().zip(self.members.iter()) {
            // What was done since its last header is this mount's own work.
            found.condition.foreign_write &= !member.is_in_sync();
        }
        let seen = seen(&found);
        let plan = match assemble(&seen, &Ask::of(Mount::Quorum)) {
            Assembly::Serve(plan) | Assembly::RollForward { plan, .. } => plan,
            Assembly::Refuse(refusal) => return Err(OpError::Refused(refusal).into()),
            Assembly::Alarm(alarm) => return Err(OpError::Alarm(alarm).into()),
            Assembly::ReadOnlyAsOf { .. } => return Ok(self.member(index).state()),
        };
        let (state, seen) = (plan.states[usize::from(index.0)], &seen[usize::from(index.0)]);
        if self.is_overtaken(state, seen) {
            return Err(OpError::Refused(Refusal::Overtaken { node: index }).into());
        }
        // Nodes that can't be read at the moment keep their roles.
        let unreadable = |(index, _): &(NodeIndex, _)| found[usize::from(index.0)].condition.unreadable;
        self.take_roles(&plan, self.members().filter(unreadable).map(|(index, _)| index).collect());
        self.count_in(index);
        let is_wrong = matches!(self.member(index).state(), MemberState::Ejected(why) if why.is_about_content());
        let state = match (member_state(state, seen), seen.record) {
            // Perhaps no commit has recorded this yet.
            (MemberState::InSync | MemberState::Behind(_), _) if is_wrong => MemberState::Behind(Debt::EVERYTHING),
            // It holds the last commit, but not what was done after it.
            (MemberState::InSync, Ok(Some(record))) => MemberState::Behind(Debt::since(record.tid)),
            (state, _) => state,
        };
        if let MemberState::Behind(_) = state {
            self.hold_another(index).await?;
        }
        self.member(index).set_state(state);
        Ok(state)
    }

    /// Gives its vote to a member that wasn't among the opened nodes before.
    fn count_in(&self, index: NodeIndex) {
        let record = self.line.record();
        let listed = record.as_ref().and_then(|record| record.member(self.member(index).fsid.get()));
        let Some(listed) = listed.filter(|listed| self.place_of(listed.fsid) == Some(index)) else { return };
        let mut electorate = self.assent.electorate();
        if listed.voter {
            electorate.current.nodes.insert(index);
        }
        if let Some(previous) = electorate.previous.as_mut().filter(|_| listed.previous_voter) {
            previous.nodes.insert(index);
        }
        self.assent.elect(electorate);
    }

    /// True when a node's version is the newest and another mount's: too few nodes were left here and enough were there, or an
    /// operator decided so. (An epoch with this mount's own counter and without commits comes from a mount that lost its power
    /// before it had a quorum.)
    fn is_overtaken(&self, state: State, seen: &Seen<'_>) -> bool {
        let (own, theirs) = (self.line.record(), seen.record.ok().flatten());
        let (Some(own), Some(theirs)) = (own.as_ref(), theirs) else { return false };
        let (own, theirs) = (own.version.commit.epoch, theirs.version.commit);
        let is_anothers = theirs.epoch != own && theirs.epoch.ctr == own.ctr && theirs.seq.0 > 0;
        state == State::Current && (theirs.epoch.ctr > own.ctr || is_anothers)
    }

    /// Opens the root of the PFS on every node and returns what each has. When only `one` is judged, nodes that are no part of
    /// the mount aren't read, but `one` may be the same member as one of them. It can't be the same member as a node that already
    /// took part: then it is a copy.
    async fn look_at_all(&self, clid: Uuid, slot: Slot, one: Option<NodeIndex>) -> Result<Vec<OnNode>, OpError> {
        let mut found = Vec::new_in(self.heap);
        let is_aside = |index: NodeIndex| matches!(self.member(index).state(), MemberState::Aside(_));
        for (index, member) in self.members() {
            let this = match one {
                Some(one) if one != index && is_aside(index) => {
                    let fsid = if is_aside(one) { member.fsid.get() } else { unknown(index) };
                    OnNode { fsid, ..OnNode::nothing(index) }
                }
                _ => aside(self.heap, || self.look_at(index, clid, slot))?.await?,
            };
            push(&mut found, this)?;
        }
        Ok(found)
    }

    /// Opens the root of the PFS on a node and returns what the node has.
    async fn look_at(&self, index: NodeIndex, clid: Uuid, slot: Slot) -> Result<OnNode, OpError> {
        let member = self.member(index);
        let looked = self.look_inside(index, clid, slot).await;
        member.unreadable.set(looked.as_ref().err().map(|error| Ejection::of(*error)));
        let found = match looked {
            Ok(Some(found)) => found,
            Ok(None) => OnNode::nothing(index),
            Err(NodeError::NoMemory) => return Err(OpError::NoMemory),
            Err(error) if self.members.len() == 1 => return Err(error.into()),
            Err(error) => {
                log::warn!("{}: {}", self.called(index), Ejection::of(error));
                let condition = Condition { unreadable: true, ..Condition::default() };
                // It stays the member that it is: a copy of it doesn't take its place, and if it takes part, it has its vote.
                return Ok(OnNode { condition, fsid: member.fsid.get(), ..OnNode::nothing(index) });
            }
        };
        member.fsid.set(found.fsid);
        member.role.set(found.role);
        Ok(found)
    }

    async fn look_inside(&self, index: NodeIndex, clid: Uuid, slot: Slot) -> Result<Option<OnNode>, NodeError> {
        let node = &self.member(index).node;
        let Some(own) = find_pfs(node, PfsSelector::Cluster(clid)).await? else { return Ok(None) };
        let Reply::Inode(_) = node.execute(Command::OpenPfs { label: &own.label, into: slot }).await? else {
            return Ok(None);
        };
        let record = node.header().cluster_records.find(clid);
        let bind = node.bind(slot).await?;
        let foreign_write = matches!(&record, Ok(Some(record)) if record.bind != bind);
        Ok(Some(OnNode {
            fsid: own.fsid,
            role: Role::of(own.kind).unwrap_or(Role::Cache),
            masters: own.masters,
            record,
            condition: Condition {
                foreign_write: foreign_write || node.newest_header_lost().is_some(),
                torn_header: node.may_lack_a_header(),
                unreadable: false,
            },
        }))
    }

    /// Decides what is mounted.
    fn decide(&self, seen: &[Seen<'_>]) -> Result<(), OpError> {
        let soft = match seen {
            [only] if only.role.is_soft() => Some(NodeIndex(0)),
            _ => None,
        };
        let mount = self.mounting.choice().unwrap_or(soft.map_or(Mount::Quorum, Mount::Soft));
        self.mounting.open_as(mount);
        let refusal = match assemble(seen, &Ask::of(mount)) {
            Assembly::Serve(plan) => {
                self.follow(seen, &plan, mount, NodeSet::EMPTY);
                return Ok(());
            }
            Assembly::RollForward { plan, onto } => {
                self.follow(seen, &plan, mount, onto);
                return Ok(());
            }
            Assembly::Refuse(refusal) => OpError::Refused(refusal),
            Assembly::Alarm(alarm) => OpError::Alarm(alarm),
            Assembly::ReadOnlyAsOf { nodes, .. } => {
                self.look_only(seen, nodes);
                // The state of the cluster is still reported.
                let refusal = match assemble(seen, &Ask::of(Mount::Quorum)) {
                    Assembly::Refuse(refusal) => OpError::Refused(refusal),
                    Assembly::Alarm(alarm) => OpError::Alarm(alarm),
                    _ => OpError::Refused(Refusal::AsOf),
                };
                self.mounting.refuse(refusal);
                return Ok(());
            }
        };
        if let Mount::AsOf(Some(_)) = mount {
            // The version that was asked for must not be replaced by another.
            return Err(refusal);
        }
        self.mounting.refuse(refusal);
        match assemble(seen, &Ask::of(Mount::AsOf(None))) {
            Assembly::ReadOnlyAsOf { nodes, .. } => {
                self.look_only(seen, nodes);
                Ok(())
            }
            _ => Err(refusal),
        }
    }

    /// Adopts a plan. Until its version is copied to a quorum, it can be read.
    fn follow(&self, seen: &[Seen<'_>], plan: &Plan, mount: Mount, onto: NodeSet) {
        for ((index, member), (state, seen)) in self.members().zip(plan.states.iter().zip(seen)) {
            member.set_state(member_state(*state, seen));
            log::debug!("{}: {:?}", self.called(index), state);
        }
        self.take_roles(plan, NodeSet::EMPTY);
        self.assent.elect(plan.electorate);
        self.assent.aim_at(match mount {
            Mount::Soft(node) => Target::Soft(node),
            _ if onto.is_empty() => Target::Quorum,
            _ => Target::AsOf,
        });
        self.mounting.roll_forward(onto, plan.next_epoch, plan.tid_floor);
        let record_of = |node: NodeIndex| seen.get(usize::from(node.0)).and_then(|seen| seen.record.ok().flatten());
        let mut record = record_of(plan.source).cloned();
        if let (Some(record), Some(list)) = (&mut record, record_of(plan.configured)) {
            if list.config != record.config || list.is_pending() != record.is_pending() {
                (record.config, record.members) = (list.config, list.members.clone());
            }
            if plan.forced {
                self.settle(record, plan);
            }
        }
        self.line.begin(record, plan.tid_floor);
    }

    /// Writes the operator's decision into a record: which nodes vote, and which histories were given up. A voter that isn't
    /// there is a slave from now on.
    fn settle(&self, record: &mut ClusterRecord, plan: &Plan) {
        let voters = plan.electorate.current.nodes;
        for listed in &mut record.members {
            let place = self.members().find(|(_, member)| member.fsid.get() == listed.fsid);
            let votes = place.is_some_and(|(index, _)| voters.contains(index));
            (listed.voter, listed.previous_voter) = (votes, false);
            if matches!(listed.role, PfsKind::Master | PfsKind::Slave) {
                listed.role = if votes { PfsKind::Master } else { PfsKind::Slave };
            }
        }
        for commit in &plan.given_up {
            if record.accepted.is_full() {
                record.accepted.remove(0);
            }
            let _ = record.accepted.push(*commit);
        }
    }

    /// Gives every node the role in the configuration, except those in `but`.
    fn take_roles(&self, plan: &Plan, but: NodeSet) {
        for ((_, member), role) in self.members().zip(plan.roles).filter(|((index, _), _)| !but.contains(*index)) {
            member.role.set(role.unwrap_or(Role::Cache));
        }
    }

    /// Mounts some nodes as a version that can only be read.
    fn look_only(&self, seen: &[Seen<'_>], nodes: NodeSet) {
        for (index, member) in self.members() {
            let state = if nodes.contains(index) { MemberState::InSync } else { MemberState::Aside(State::Apart) };
            member.set_state(state);
        }
        self.assent.aim_at(Target::AsOf);
        let record = nodes.first().and_then(|index| seen.get(usize::from(index.0))?.record.ok().flatten());
        let recorded = seen.iter().map(|seen| usize::from(seen.masters)).max().unwrap_or(0);
        let voters = record.map_or(nodes.len().max(recorded), ClusterRecord::voter_count);
        self.assent.elect(Electorate::of(nodes, voters));
        self.line.follow(record.cloned());
    }
}

fn seen(found: &[OnNode]) -> heapless::Vec<Seen<'_>, MAX_NODES> {
    found.iter().map(OnNode::seen).collect()
}

/// A node's state as a member, from the state in which it was found.
fn member_state(state: State, seen: &Seen<'_>) -> MemberState {
    let tid = seen.record.ok().flatten().map_or(ModifyTid(0), |record| record.tid);
    match state {
        State::Current => MemberState::InSync,
        State::Behind => MemberState::Behind(Debt::since(tid)),
        State::Undo(_) | State::Compare(_) | State::Blank => MemberState::Behind(Debt::EVERYTHING),
        other => MemberState::Aside(other),
    }
}

/// Why a node that left can't come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReturnError {
    /// The disks no longer make a filesystem, or make another one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The cluster can't take it back.
    #[error("{0}")]
    Cluster(#[from] OpError),
}
