//! Which state is the cluster's, which nodes have it, and which must be brought to it: the decision of a mount (protocol 5.3, M1
//! to M4).
//!
//! Members are judged by their records. The newest version that a voter has is the cluster's, even if it is on a single disk: it
//! may have been acknowledged, and if it wasn't, it does no harm. It is copied to a quorum before anything is served. A history
//! that contradicts it was either provably never acknowledged, and is then undone, or it is an alarm.
//!
//! A node's index is its place among the members given; they may be given in any order.

mod configuration;
mod judge;

use super::lineage::Fork;
use super::refusal::{Alarm, Refusal};
use super::succession::TID_GAP;
use super::version::{EpochCounter, Standing, Version};
use super::{CommitId, Electorate, MAX_NODES, NodeSet, Role};
use crate::media::cluster_record::{ClusterRecord, ConfigId, MAX_ACCEPTED, MemberState};
use crate::media::{Corruption, ModifyTid, Uuid};
use crate::node::NodeIndex;
use configuration::Configuration;
use judge::{Judge, Judgement};

/// A member as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The id of its PFS.
    pub fsid: Uuid,
    /// Its role, according to its PFS root.
    pub role: Role,
    /// The number of masters according to its PFS root; 0 if it says none. It counts only where there is no record.
    pub masters: u8,
    /// The cluster's record in its volume's record table.
    pub record: Result<Option<&'a ClusterRecord>, Corruption>,
    /// What else was found.
    pub condition: Condition,
}

impl<'a> Seen<'a> {
    fn good_record(&self) -> Option<&'a ClusterRecord> {
        self.record.ok().flatten()
    }
}

/// What is known of a member beyond its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its PFS root can't be read: it has its version, but its content can't be reached.
    pub unreadable: bool,
    /// The record's bind isn't that of the PFS root: another system wrote there. Its version still counts, its content doesn't.
    pub foreign_write: bool,
    /// A header newer than the one in use is damaged: it may have had a newer version.
    pub torn_header: bool,
}

/// What is to be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The cluster, by its quorum.
    Quorum,
    /// This soft node by itself.
    Soft(NodeIndex),
    /// One version read-only: that of this node, or the newest there is.
    AsOf(Option<NodeIndex>),
    /// What this node has, on the operator's orders: histories that contradict it are given up.
    Forced(NodeIndex),
}

/// A mount and the decisions the operator made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is to be mounted.
    pub mount: Mount,
    /// The nodes to use of members that are there twice.
    pub named: NodeSet,
}

impl Ask {
    /// A mount without further decisions.
    pub fn of(mount: Mount) -> Self {
        Self { mount, named: NodeSet::EMPTY }
    }
}

/// How a node stands to the version that is mounted, and what it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is no such node.
    #[default]
    Unused,
    /// It has the version, whole and trusted.
    Current,
    /// It has an earlier state: later changes are to be copied.
    Behind,
    /// It has changes that were never acknowledged: they are undone back to the fork, and later changes are copied.
    Undo(Fork),
    /// Numbers don't tell what it has: everything is to be compared.
    Compare(Distrust),
    /// It has no record, nothing of the cluster: everything is to be copied.
    Blank,
    /// Its record can't be believed: nothing is done to it until it is replaced.
    Damaged(Corruption),
    /// It is there twice, and the operator hasn't named one: nothing is done to it.
    Twin,
    /// A master or slave that the configuration doesn't list: removed, or not yet added. Nothing is done to it.
    Outside,
    /// A soft node or a cache: no part of this mount.
    Apart,
}

/// Why a node's content isn't believed, though its version counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// Its PFS root can't be read.
    Unreadable,
    /// Another system wrote there.
    ForeignWrite,
    /// The others recorded that its content is wrong.
    Recorded,
    /// Its headers went back: the others know that it was further.
    WentBack,
    /// A resynchronization wasn't finished.
    Incomplete,
    /// Its history is older than what is remembered.
    Ancient,
    /// Its history contradicts the cluster's, and the operator gave it up.
    GivenUp,
}

/// What is mounted on which nodes, and what the other nodes need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The version; [`Version::NONE`] for a PFS without a record.
    pub version: Version,
    /// The node to read from first, whose record is continued.
    pub source: NodeIndex,
    /// The state of each node.
    pub states: [State; MAX_NODES],
    /// The role of each node in the configuration; none for an index without a node.
    pub roles: [Option<Role>; MAX_NODES],
    /// The nodes that vote.
    pub electorate: Electorate,
    /// The configuration's number.
    pub config: ConfigId,
    /// The node whose record lists the members.
    pub configured: NodeIndex,
    /// The counter for the epoch to open.
    pub next_epoch: EpochCounter,
    /// Where its transaction ids begin.
    pub tid_floor: ModifyTid,
    /// True when the operator mounts it without a quorum: the voters that are there become all the voters.
    pub forced: bool,
    /// Histories that are given up, to be listed as accepted in the record.
    pub given_up: heapless::Vec<CommitId, MAX_ACCEPTED>,
}

impl Plan {
    /// The nodes in a state that `wanted` accepts.
    pub fn nodes(&self, wanted: impl Fn(State) -> bool) -> NodeSet {
        let is_wanted = |node: &NodeIndex| self.states.get(usize::from(node.0)).is_some_and(|state| wanted(*state));
        (0..MAX_NODES as u8).map(NodeIndex).filter(is_wanted).collect()
    }

    /// The nodes that can serve: the first sync set.
    pub fn current(&self) -> NodeSet {
        self.nodes(|state| state == State::Current)
    }

    /// The nodes to be resynchronized.
    pub fn behind(&self) -> NodeSet {
        self.nodes(|state| matches!(state, State::Behind | State::Undo(_) | State::Compare(_) | State::Blank))
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Assembly {
    /// A quorum has the version: open the epoch, then serve.
    Serve(Plan),
    /// Less than a quorum has the version: copy it to these nodes first.
    RollForward {
        /// What to mount.
        plan: Plan,
        /// The nodes to copy it to: as many as are missing, those that need least first.
        onto: NodeSet,
    },
    /// One version, read-only, on these nodes.
    ReadOnlyAsOf {
        /// The version.
        version: Version,
        /// The nodes that have it.
        nodes: NodeSet,
    },
    /// The PFS can't be mounted.
    Refuse(Refusal),
    /// The PFS must not be mounted.
    Alarm(Alarm),
}

/// Why nothing is mounted.
enum Stop {
    Refusal(Refusal),
    Alarm(Alarm),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Alarm> for Stop {
    fn from(alarm: Alarm) -> Self {
        Self::Alarm(alarm)
    }
}

/// Decides on a mount. Members beyond the number that a cluster can have are ignored.
pub fn assemble(members: &[Seen<'_>], ask: &Ask) -> Assembly {
    let members = members.get(..MAX_NODES).unwrap_or(members);
    let decided = match ask.mount {
        Mount::Quorum => quorum(members, ask),
        Mount::Soft(node) => soft(members, node),
        Mount::AsOf(node) => as_of(members, node),
        Mount::Forced(node) => forced(members, ask, node),
    };
    decided.unwrap_or_else(|stop| match stop {
        Stop::Refusal(refusal) => Assembly::Refuse(refusal),
        Stop::Alarm(alarm) => Assembly::Alarm(alarm),
    })
}

/// The members with their indices.
fn indexed<'m, 'a>(members: &'m [Seen<'a>]) -> impl Iterator<Item = (NodeIndex, &'m Seen<'a>)> {
    (0..).map(NodeIndex).zip(members)
}

fn member<'m, 'a>(members: &'m [Seen<'a>], node: NodeIndex) -> Result<&'m Seen<'a>, Refusal> {
    members.get(usize::from(node.0)).ok_or(Refusal::NoSuchNode { node })
}

/// Decides on a mount by quorum.
fn quorum(members: &[Seen<'_>], ask: &Ask) -> Result<Assembly, Stop> {
    if members.is_empty() {
        return Err(Refusal::NoMembers.into());
    }
    let is_master = |seen: &Seen<'_>| seen.role == Role::Master;
    if members.iter().any(|seen| seen.role == Role::SupRoot) || !members.iter().any(|seen| seen.good_record().is_some())
    {
        return unrecorded(members);
    }
    if !members.iter().any(is_master) {
        return Err(Refusal::NoMaster.into());
    }
    let configuration = Configuration::of(members, ask.named)?;
    let members = &configuration.listed(members);
    configuration.check_quorum(members)?;
    let voters = configuration.electorate.nodes();
    let mut discarded = NodeSet::EMPTY;
    loop {
        let reference = newest_of(members, voters.difference(discarded))?;
        let judge = Judge::new(members, reference, &configuration, false)?;
        let judgement = judge.judgement()?;
        // A commit known only to one bad disk must not stop the others, if it can't have been acknowledged.
        if !judgement.has_current() && judge.was_never_acked(discarded) {
            discarded = discarded.union(judge.holders());
            continue;
        }
        return plan(&judge, judgement, &configuration);
    }
}

/// Decides on a mount of what one node has; the others give in.
fn forced(members: &[Seen<'_>], ask: &Ask, node: NodeIndex) -> Result<Assembly, Stop> {
    let seen = member(members, node)?;
    if seen.condition.unreadable {
        return Err(Refusal::Unreadable { node }.into());
    }
    match seen.record {
        Ok(Some(record)) if matches!(seen.role, Role::Master | Role::Slave) => {
            let configuration = Configuration::forced(members, ask.named, node, record);
            let members = &configuration.listed(members);
            let judge = Judge::new(members, node, &configuration, true)?;
            plan(&judge, judge.judgement()?, &configuration)
        }
        Ok(_) => Err(Refusal::NoSuchNode { node }.into()),
        Err(corruption) => Err(Refusal::DamagedRecord { node, corruption }.into()),
    }
}

fn version(members: &[Seen<'_>], node: NodeIndex) -> Version {
    let record = member(members, node).ok().and_then(Seen::good_record);
    record.map_or(Version::NONE, |record| record.version)
}

/// The node of a set with the newest version; among equals, the first that is sound.
fn newest_of(members: &[Seen<'_>], nodes: NodeSet) -> Result<NodeIndex, Stop> {
    let mut best: Option<(NodeIndex, Version)> = None;
    for node in nodes.iter() {
        let version = version(members, node);
        let Some((other, newest)) = best else {
            best = Some((node, version));
            continue;
        };
        match version.compare(&newest) {
            Standing::Newer => best = Some((node, version)),
            Standing::Conflict => {
                return Err(Alarm::SplitBrain { node, version, reference: other, current: newest }.into());
            }
            Standing::Older | Standing::Same | Standing::SameContent => {}
        }
    }
    best.map(|(node, _)| node).ok_or(Refusal::NoMaster.into())
}

/// The plan for mounting the version of the reference.
fn plan(judge: &Judge<'_, '_>, judgement: Judgement, configuration: &Configuration<'_>) -> Result<Assembly, Stop> {
    let &Judge { members, reference, record, electorate, forced, .. } = judge;
    let &Configuration { id, node: configured, .. } = configuration;
    let records = || members.iter().filter_map(Seen::good_record);
    // Nodes without a vote don't count: a quorum need not know of a soft member's epoch, and counters that leap lose commits (see
    // the model).
    let counts = |node: &NodeIndex| forced || electorate.nodes().contains(*node);
    let voters = || indexed(members).filter(|(node, _)| counts(node)).filter_map(|(_, seen)| seen.good_record());
    let highest = voters().map(|record| record.version.commit.epoch.ctr).max().unwrap_or_default();
    let next_epoch = highest.next().ok_or(Refusal::NoMoreEpochs)?;
    let floor = records().map(|record| record.tid_floor).chain([record.tid]).max().unwrap_or_default();
    let mut plan = Plan {
        version: record.version,
        source: reference,
        states: judgement.states,
        roles: roles_of(members),
        electorate,
        config: id,
        configured,
        next_epoch,
        tid_floor: ModifyTid(floor.0.saturating_add(TID_GAP)),
        forced,
        given_up: judgement.given_up,
    };
    let current = plan.current();
    let voting = current.intersection(electorate.nodes());
    let reference = Some(reference).filter(|node| current.contains(*node));
    let Some(source) = reference.or_else(|| voting.first()).or_else(|| current.first()) else {
        return Err(Refusal::NoTrustedHolder { version: record.version, holders: judge.holders() }.into());
    };
    plan.source = source;
    if electorate.has_quorum(voting) {
        return Ok(Assembly::Serve(plan));
    }
    let mut onto = NodeSet::EMPTY;
    for node in judge.nearest_first(&plan.states) {
        if electorate.nodes().contains(node) && !electorate.has_quorum(voting.union(onto)) {
            onto.insert(node);
        }
    }
    Ok(Assembly::RollForward { plan, onto })
}

fn roles_of(members: &[Seen<'_>]) -> [Option<Role>; MAX_NODES] {
    let mut roles = [None; MAX_NODES];
    roles.iter_mut().zip(members).for_each(|(role, seen)| *role = Some(seen.role));
    roles
}

/// Decides on a mount of one soft node.
fn soft(members: &[Seen<'_>], node: NodeIndex) -> Result<Assembly, Stop> {
    let seen = member(members, node)?;
    if !seen.role.is_soft() {
        return Err(Refusal::NotSoft { node, role: seen.role }.into());
    }
    alone(members, node)
}

/// Decides on members without any record, or a super-root: a single one is served, several must be joined first.
fn unrecorded(members: &[Seen<'_>]) -> Result<Assembly, Stop> {
    let mut masters = indexed(members).filter(|(_, seen)| seen.role.votes());
    let Some((node, seen)) = masters.next() else { return Err(Refusal::NoMaster.into()) };
    let others = masters.count();
    if others > 0 {
        return Err(Refusal::NoRecord { masters: others + 1 }.into());
    }
    let of = usize::from(seen.masters.max(1));
    if of > 1 && seen.role != Role::SupRoot {
        return Err(Refusal::NoQuorum { have: 1, of, need: of / 2 + 1 }.into());
    }
    alone(members, node)
}

/// A plan for one node that needs no other.
fn alone(members: &[Seen<'_>], node: NodeIndex) -> Result<Assembly, Stop> {
    let seen = member(members, node)?;
    if seen.condition.unreadable {
        return Err(Refusal::Unreadable { node }.into());
    }
    let record = match seen.record {
        Ok(record) => record,
        Err(corruption) => return Err(Refusal::DamagedRecord { node, corruption }.into()),
    };
    let mut states = [State::Unused; MAX_NODES];
    for ((other, seen), state) in indexed(members).zip(&mut states) {
        *state = match seen.role {
            _ if other == node => State::Current,
            Role::Slave if !member(members, node)?.role.is_soft() => State::Blank,
            _ => State::Apart,
        };
    }
    let counter = record.map_or(EpochCounter(0), |record| record.version.commit.epoch.ctr);
    let floor = record.map_or(ModifyTid(0), |record| record.tid_floor.max(record.tid));
    Ok(Assembly::Serve(Plan {
        version: record.map_or(Version::NONE, |record| record.version),
        source: node,
        states,
        roles: roles_of(members),
        electorate: Electorate::of(NodeSet::only(node), 1),
        config: record.map_or(ConfigId::default(), |record| record.config),
        configured: node,
        next_epoch: counter.next().ok_or(Refusal::NoMoreEpochs)?,
        tid_floor: ModifyTid(floor.0.saturating_add(TID_GAP)),
        forced: false,
        given_up: heapless::Vec::new(),
    }))
}

/// Decides on a read-only mount of one version.
fn as_of(members: &[Seen<'_>], node: Option<NodeIndex>) -> Result<Assembly, Stop> {
    let readable = |seen: &Seen<'_>| seen.record.is_ok() && !seen.condition.unreadable;
    if let Some(node) = node {
        let seen = member(members, node)?;
        if !readable(seen) {
            return Err(Refusal::Unreadable { node }.into());
        }
        return Ok(Assembly::ReadOnlyAsOf { version: version(members, node), nodes: NodeSet::only(node) });
    }
    let of_role = |role: Role| -> NodeSet {
        indexed(members).filter(|(_, seen)| seen.role == role && readable(seen)).map(|(node, _)| node).collect()
    };
    let (masters, slaves) = (of_role(Role::Master), of_role(Role::Slave));
    let best = newest_of(members, if masters.is_empty() { slaves } else { masters })?;
    let newest = version(members, best);
    let has_it = |node: &NodeIndex| {
        let complete = member(members, *node).ok().and_then(Seen::good_record).is_some_and(judge::is_complete);
        complete && version(members, *node).compare(&newest) == Standing::Same
    };
    let nodes = masters.union(slaves).iter().filter(has_it).collect::<NodeSet>().with(best);
    Ok(Assembly::ReadOnlyAsOf { version: newest, nodes })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
