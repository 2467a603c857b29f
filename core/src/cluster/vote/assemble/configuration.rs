//! Which members vote at a mount: the newest configuration in any record (protocol 5.3, M2). Slaves' records count, too: a former
//! master that knows it is no longer one must not be taken for one by a member that doesn't know.
//!
//! A member's role is in that configuration's list, not in the member's own root: a change of roles becomes durable with the
//! list, and the roots follow.

use super::{Alarm, Electorate, MAX_NODES, NodeIndex, NodeSet, Refusal, Role, Seen, Stop, indexed};
use crate::cluster::vote::electorate::Voters;
use crate::media::cluster_record::{ClusterRecord, ConfigId, Member};

/// Members, with the roles that a configuration gives them.
pub(super) type Listed<'a> = heapless::Vec<Seen<'a>, MAX_NODES>;

/// The configuration in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Configuration<'a> {
    pub(super) id: ConfigId,
    /// The node whose record has it.
    pub(super) node: NodeIndex,
    /// That record.
    pub(super) record: &'a ClusterRecord,
    pub(super) electorate: Electorate,
    /// Members that are there twice without the operator having named one. They don't vote.
    pub(super) twins: NodeSet,
}

impl<'a> Configuration<'a> {
    /// The newest visible configuration. Two with the same number and different voters are never both right.
    pub(super) fn of(members: &[Seen<'a>], named: NodeSet) -> Result<Self, Stop> {
        let twins = twins(members, named);
        let mut newest: Option<(NodeIndex, &'a ClusterRecord)> = None;
        for (node, seen) in indexed(members).filter(|(_, seen)| matches!(seen.role, Role::Master | Role::Slave)) {
            let Some(record) = seen.good_record() else { continue };
            let Some((first, other)) = newest else {
                newest = Some((node, record));
                continue;
            };
            if record.config == other.config && !same_voters(record, other) {
                return Err(Alarm::TwoConfigs { first, second: node }.into());
            }
            // The same change, once pending and once done, counts as done.
            let is_done = record.config == other.config && other.is_pending() && !record.is_pending();
            if record.config > other.config || is_done {
                newest = Some((node, record));
            }
        }
        let Some((node, record)) = newest else { return Err(Refusal::NoMaster.into()) };
        let listed = as_listed(members, record);
        let voters = |votes: fn(&Member) -> bool| Voters {
            nodes: nodes_of(&listed, record, twins, votes),
            count: record.members.iter().filter(|member| votes(member)).count(),
        };
        let previous = record.is_pending().then(|| voters(|member| member.previous_voter));
        let electorate = Electorate { current: voters(|member| member.voter), previous };
        Ok(Self { id: record.config, node, record, electorate, twins })
    }

    /// The operator's configuration: the voters of the node's `record` that are there are all the voters, together with the node
    /// itself.
    pub(super) fn forced(members: &[Seen<'a>], named: NodeSet, node: NodeIndex, record: &'a ClusterRecord) -> Self {
        let twins = twins(members, named.with(node));
        let voters = nodes_of(&as_listed(members, record), record, twins, |member| member.voter).with(node);
        Self { id: record.config, node, record, electorate: Electorate::of(voters, voters.len()), twins }
    }

    /// The members, with the roles that the configuration gives them.
    pub(super) fn listed(&self, members: &[Seen<'a>]) -> Listed<'a> {
        let mut listed = as_listed(members, self.record);
        // Every node that the operator lets vote is a master.
        for node in self.electorate.current.nodes.iter() {
            if let Some(seen) = listed.get_mut(usize::from(node.0)) {
                seen.role = Role::Master;
            }
        }
        listed
    }

    /// Refuses when too few voters are there.
    pub(super) fn check_quorum(&self, members: &[Seen<'_>]) -> Result<(), Refusal> {
        let missing = |voters: &Voters| !voters.has_quorum(voters.nodes);
        let Electorate { current, previous } = &self.electorate;
        let is_short = missing(current) || previous.as_ref().is_some_and(missing);
        if is_short
            && let Some(first) = self.twins.first()
            && let Some(seen) = members.get(usize::from(first.0))
        {
            let is_other = |node: &NodeIndex| members.get(usize::from(node.0)).is_some_and(|s| s.fsid == seen.fsid);
            let second = self.twins.iter().skip(1).find(is_other).unwrap_or(first);
            return Err(Refusal::SameMember { first, second, fsid: seen.fsid });
        }
        let numbers = |voters: &Voters| (voters.nodes.len(), voters.count, voters.quorum());
        if missing(current) {
            let (have, of, need) = numbers(current);
            return Err(Refusal::NoQuorum { have, of, need });
        }
        match previous {
            Some(previous) if missing(previous) => {
                let (have, of, need) = numbers(previous);
                Err(Refusal::NoPreviousQuorum { have, of, need })
            }
            _ => Ok(()),
        }
    }
}

/// The masters that are there and vote by a record. A member that lost its own record has forgotten what it knew, and doesn't
/// vote.
fn nodes_of(members: &[Seen<'_>], record: &ClusterRecord, twins: NodeSet, votes: fn(&Member) -> bool) -> NodeSet {
    let can_vote = |node: NodeIndex, seen: &Seen<'_>| {
        seen.role == Role::Master && seen.good_record().is_some() && !twins.contains(node)
    };
    let is_voter = |seen: &Seen<'_>| record.member(seen.fsid).is_some_and(votes);
    indexed(members).filter(|(node, seen)| can_vote(*node, seen) && is_voter(seen)).map(|(node, _)| node).collect()
}

/// Nodes that claim to be the same member, except the one that the operator named.
fn twins(members: &[Seen<'_>], named: NodeSet) -> NodeSet {
    let copies =
        |fsid| -> NodeSet { indexed(members).filter(|(_, seen)| seen.fsid == fsid).map(|(node, _)| node).collect() };
    let is_twin = |(node, seen): &(NodeIndex, &Seen<'_>)| {
        let copies = copies(seen.fsid);
        let chosen = copies.intersection(named);
        copies.len() > 1 && (chosen.len() != 1 || !chosen.contains(*node))
    };
    indexed(members).filter(is_twin).map(|(node, _)| node).collect()
}

/// Members with the roles that a record lists for them. A soft node's role is only in its own root.
fn as_listed<'a>(members: &[Seen<'a>], record: &ClusterRecord) -> Listed<'a> {
    let as_listed = |seen: &Seen<'a>| {
        let listed = record.member(seen.fsid).and_then(|member| Role::of(member.role));
        match (seen.role, listed) {
            (Role::Master | Role::Slave, Some(role @ (Role::Master | Role::Slave))) => Seen { role, ..*seen },
            _ => *seen,
        }
    };
    members.iter().map(as_listed).collect()
}

fn same_voters(a: &ClusterRecord, b: &ClusterRecord) -> bool {
    let covers = |a: &ClusterRecord, b: &ClusterRecord, votes: fn(&Member) -> bool| {
        a.members.iter().filter(|m| votes(m)).all(|m| b.member(m.fsid).is_some_and(votes))
    };
    let same = |votes: fn(&Member) -> bool| covers(a, b, votes) && covers(b, a, votes);
    let both_pending = a.is_pending() && b.is_pending();
    same(|member| member.voter) && (!both_pending || same(|member| member.previous_voter))
}
