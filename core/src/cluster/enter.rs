//! Entering a PFS: which nodes have it, in which version, and who therefore takes part (spec/cluster.md 5.3, "Mount").
//!
//! What the nodes say is collected here; what follows from it is decided by [`assemble`]. A cluster that can't be mounted by
//! its quorum can still be looked at, as one version that some nodes hold; why it can't is told to whoever wants to change
//! something.

use super::member::{Debt, MemberState};
use super::pfs::find_pfs;
use super::vote::succession::Opening;
use super::vote::{Ask, Assembly, Condition, Electorate, Mount, NodeSet, Plan, Role, Seen, State, Target, assemble};
use super::{Cluster, Command, InodeRecord, MAX_NODES, NodeIndex, OpError, Pfs, PfsSelector, Reply, Slot};
use crate::media::cluster_record::ClusterRecord;
use crate::media::{Corruption, ModifyTid, Uuid};
use crate::node::{NodeError, OpenError};

/// What a node has of a PFS.
struct Found {
    fsid: Uuid,
    role: Role,
    masters: u8,
    record: Result<Option<ClusterRecord>, Corruption>,
    condition: Condition,
}

impl Found {
    /// A node that has nothing of it.
    fn nothing(index: NodeIndex) -> Self {
        let fsid = Uuid([index.0; 16]);
        Self { fsid, role: Role::Cache, masters: 0, record: Ok(None), condition: Condition::default() }
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
    /// Opens the root of a PFS on every node that has it, and decides who takes part.
    pub async fn enter(&self, pfs: &Pfs) -> Result<(Slot, InodeRecord), OpError> {
        let Some((slot, root)) = self.open_pfs(&pfs.label).await? else { return Err(self.no_quorum()) };
        let mut found: heapless::Vec<Found, MAX_NODES> = heapless::Vec::new();
        for (index, _) in self.members() {
            // A cluster has no more nodes than fit.
            let _ = found.push(self.look_at(index, pfs.clid, slot).await?);
        }
        let seen: heapless::Vec<Seen<'_>, MAX_NODES> = found.iter().map(Found::seen).collect();
        let is_plain = |seen: &Seen<'_>| seen.record == Ok(None) && seen.masters <= 1;
        if let ([only], true) = (&seen[..], seen.iter().all(is_plain))
            && matches!(only.role, Role::Master | Role::Cache)
        {
            return Ok((slot, root));
        }
        self.decide(&seen)?;
        let Some(index) = self.in_sync().first() else { return Err(self.no_quorum()) };
        self.focus.set(index);
        Ok((slot, self.member(index).node.record(slot).await?))
    }

    /// Has a node that left begin anew: its devices are reset, its headers read. Others may be asked meanwhile.
    pub async fn reopen(&self, index: NodeIndex) -> Result<(), OpenError> {
        match self.member(index).state.get() {
            MemberState::Ejected(_) | MemberState::Aside(_) => self.member(index).node.reopen().await,
            MemberState::InSync | MemberState::Behind(_) => Ok(()),
        }
    }

    /// Looks again at a node that has begun anew. It then is behind, or stays away, as at a mount. Nothing else may be done
    /// meanwhile.
    pub async fn look_again(&self, index: NodeIndex) -> Result<MemberState, ReturnError> {
        let Some(clid) = self.record.borrow().as_ref().map(|record| record.clid) else {
            return Ok(self.member(index).state.get());
        };
        let mut found: heapless::Vec<Found, MAX_NODES> = heapless::Vec::new();
        for (index, _) in self.members() {
            // A cluster has no more nodes than fit.
            let _ = found.push(self.look_at(index, clid, self.slots.root()).await?);
        }
        let seen: heapless::Vec<Seen<'_>, MAX_NODES> = found.iter().map(Found::seen).collect();
        let state = match assemble(&seen, &Ask::of(Mount::Quorum)) {
            Assembly::Serve(plan) | Assembly::RollForward { plan, .. } => plan.states[usize::from(index.0)],
            Assembly::Refuse(refusal) => return Err(OpError::Refused(refusal).into()),
            Assembly::Alarm(alarm) => return Err(OpError::Alarm(alarm).into()),
            Assembly::ReadOnlyAsOf { .. } => State::Apart,
        };
        let state = match (member_state(state, &seen[usize::from(index.0)]), &found[usize::from(index.0)].record) {
            // It holds the last commit, but not what was done since.
            (MemberState::InSync, Ok(Some(record))) => MemberState::Behind(Debt::since(record.tid)),
            (state, _) => state,
        };
        self.member(index).state.set(state);
        Ok(state)
    }

    /// What a node has of the PFS; its root is opened.
    async fn look_at(&self, index: NodeIndex, clid: Uuid, slot: Slot) -> Result<Found, OpError> {
        let member = self.member(index);
        let looked = self.look_inside(index, clid, slot).await;
        let found = match looked {
            Ok(Some(found)) => found,
            Ok(None) => Found::nothing(index),
            Err(NodeError::NoMemory) => return Err(OpError::NoMemory),
            Err(error) if self.members.len() == 1 => return Err(error.into()),
            Err(error) => {
                log::warn!("node {}: {}", index.0, super::Ejection::of(error));
                let condition = Condition { unreadable: true, ..Condition::default() };
                Found { condition, ..Found::nothing(index) }
            }
        };
        member.fsid.set(found.fsid);
        member.role.set(found.role);
        Ok(found)
    }

    async fn look_inside(&self, index: NodeIndex, clid: Uuid, slot: Slot) -> Result<Option<Found>, NodeError> {
        let node = &self.member(index).node;
        let Some(own) = find_pfs(node, PfsSelector::Cluster(clid)).await? else { return Ok(None) };
        let Reply::Inode(_) = node.execute(Command::OpenPfs { label: &own.label, into: slot }).await? else {
            return Ok(None);
        };
        let record = node.header().cluster_records.find(clid);
        let bind = node.bind(slot).await?;
        let foreign_write = matches!(&record, Ok(Some(record)) if record.bind != bind);
        Ok(Some(Found {
            fsid: own.fsid,
            role: Role::of(own.kind).unwrap_or(Role::Cache),
            masters: own.masters,
            record,
            condition: Condition { foreign_write, ..Condition::default() },
        }))
    }

    /// Decides what is mounted.
    fn decide(&self, seen: &[Seen<'_>]) -> Result<(), OpError> {
        let soft = match seen {
            [only] if only.role.is_soft() => Some(NodeIndex(0)),
            _ => None,
        };
        self.opening.set(if soft.is_some() { Opening::Soft } else { Opening::Quorum });
        let refusal = match assemble(seen, &Ask::of(soft.map_or(Mount::Quorum, Mount::Soft))) {
            Assembly::Serve(plan) => {
                self.follow(seen, &plan, soft, NodeSet::EMPTY);
                return Ok(());
            }
            Assembly::RollForward { plan, onto } => {
                self.follow(seen, &plan, soft, onto);
                return Ok(());
            }
            Assembly::Refuse(refusal) => OpError::Refused(refusal),
            Assembly::Alarm(alarm) => OpError::Alarm(alarm),
            Assembly::ReadOnlyAsOf { .. } => self.no_quorum(),
        };
        self.refused.set(Some(refusal));
        match assemble(seen, &Ask::of(Mount::AsOf(None))) {
            Assembly::ReadOnlyAsOf { nodes, .. } => {
                self.look_only(seen, nodes);
                Ok(())
            }
            _ => Err(refusal),
        }
    }

    /// Takes over a plan. Until it is rolled forward to a quorum, its version can be looked at.
    fn follow(&self, seen: &[Seen<'_>], plan: &Plan, soft: Option<NodeIndex>, onto: NodeSet) {
        for ((index, member), (state, seen)) in self.members().zip(plan.states.iter().zip(seen)) {
            member.state.set(member_state(*state, seen));
            log::debug!("node {}: {:?}", index.0, state);
        }
        self.electorate.set(plan.electorate);
        self.onto.set(onto);
        let target = if onto.is_empty() { Target::Quorum } else { Target::AsOf };
        self.target.set(soft.map_or(target, Target::Soft));
        self.next_epoch.set(Some((plan.next_epoch, plan.tid_floor)));
        let source = seen.get(usize::from(plan.source.0)).and_then(|seen| seen.record.ok().flatten());
        *self.record.borrow_mut() = source.cloned();
        self.last_tid.set(plan.tid_floor);
    }

    /// Takes some nodes for what can be looked at.
    fn look_only(&self, seen: &[Seen<'_>], nodes: NodeSet) {
        for (index, member) in self.members() {
            let state = if nodes.contains(index) { MemberState::InSync } else { MemberState::Aside(State::Apart) };
            member.state.set(state);
        }
        self.target.set(Target::AsOf);
        let record = nodes.first().and_then(|index| seen.get(usize::from(index.0))?.record.ok().flatten());
        let voters = record.map_or(nodes.len(), ClusterRecord::voter_count);
        self.electorate.set(Electorate::of(nodes, voters));
        *self.record.borrow_mut() = record.cloned();
    }
}

/// What a node takes part with, by the state it was found in.
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
pub enum ReturnError {
    /// Its disks don't make a filesystem any more, or another one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The cluster can't have it back.
    #[error("{0}")]
    Cluster(#[from] OpError),
}
