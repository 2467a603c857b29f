//! Judging how each member stands to the version that is mounted (protocol 5.3, M3 and M4).

use super::{
    Alarm, ClusterRecord, CommitId, Configuration, Distrust, Electorate, MAX_ACCEPTED, MAX_NODES, MemberState,
    NodeIndex, NodeSet, Refusal, Role, Seen, Standing, State, Stop, indexed, member,
};
use crate::cluster::vote::electorate::Voters;
use crate::cluster::vote::lineage::{Fork, Relation, first_beyond, is_forced_beyond, proves_acked, relation};

/// The members, and the one whose version was chosen.
pub(super) struct Judge<'m, 'a> {
    pub(super) members: &'m [Seen<'a>],
    pub(super) reference: NodeIndex,
    /// Its record.
    pub(super) record: &'m ClusterRecord,
    /// The record that lists the members.
    pub(super) list: &'m ClusterRecord,
    pub(super) twins: NodeSet,
    pub(super) electorate: Electorate,
    /// True when contradicting histories are given up instead of stopping the mount.
    pub(super) forced: bool,
}

/// The result of judging.
pub(super) struct Judgement {
    pub(super) states: [State; MAX_NODES],
    pub(super) given_up: heapless::Vec<CommitId, MAX_ACCEPTED>,
}

/// How a master or slave with a record stands, before its own condition is looked at.
enum Finding {
    Same,
    Behind,
    Undo(Fork),
    Ancient,
    /// It contradicts, and the operator has accepted to lose its history.
    Accepted,
    /// It contradicts.
    Contradiction(Alarm),
}

impl Judgement {
    /// True when a node has the version, whole and trusted.
    pub(super) fn has_current(&self) -> bool {
        self.states.contains(&State::Current)
    }
}

impl<'m, 'a> Judge<'m, 'a> {
    /// Judges by the version of `reference`.
    pub(super) fn new(
        members: &'m [Seen<'a>],
        reference: NodeIndex,
        configuration: &Configuration<'m>,
        forced: bool,
    ) -> Result<Self, Stop> {
        let record = member(members, reference)?.good_record().ok_or(Refusal::NoSuchNode { node: reference })?;
        let &Configuration { record: list, twins, electorate, .. } = configuration;
        Ok(Self { members, reference, record, list, twins, electorate, forced })
    }

    /// The state of every member. The first contradiction that isn't accepted stops the mount.
    pub(super) fn judgement(&self) -> Result<Judgement, Stop> {
        let mut states = [State::Unused; MAX_NODES];
        let mut given_up = heapless::Vec::new();
        let mut losers = NodeSet::EMPTY;
        for ((node, seen), state) in indexed(self.members).zip(&mut states) {
            *state = match (seen.role, seen.record) {
                (Role::SoftMaster | Role::SoftSlave | Role::Cache | Role::SupRoot, _) => State::Apart,
                (_, Err(corruption)) => State::Damaged(corruption),
                (_, Ok(None)) if self.is_outside(seen) => State::Outside,
                (_, Ok(None)) => State::Blank,
                (Role::Master | Role::Slave, Ok(Some(record))) => match self.finding(node, seen.role, record) {
                    Finding::Contradiction(_) if self.forced => {
                        losers.insert(node);
                        let commit = record.version.commit;
                        if !given_up.contains(&commit) && given_up.push(commit).is_err() {
                            return Err(Refusal::TooManyForks { nodes: losers }.into());
                        }
                        if self.is_outside(seen) { State::Outside } else { State::Compare(Distrust::GivenUp) }
                    }
                    Finding::Contradiction(alarm) => return Err(alarm.into()),
                    finding => self.state(node, seen, record, finding),
                },
            };
        }
        Ok(Judgement { states, given_up })
    }

    fn finding(&self, node: NodeIndex, role: Role, record: &ClusterRecord) -> Finding {
        let reference = self.record;
        let (version, current) = (record.version, reference.version);
        let accepted = is_accepted(reference, record);
        match relation(record, reference) {
            Relation::Same if self.has_version(record) => Finding::Same,
            // The member has the content but not the epoch. Without it, a mount that doesn't see the others would choose a lower
            // counter.
            Relation::Same => Finding::Behind,
            Relation::Ancestor => Finding::Behind,
            Relation::Ancient => Finding::Ancient,
            Relation::Foreign(_) | Relation::Descendant(_) | Relation::Divergent(_) if accepted => Finding::Accepted,
            // Slaves are only given what was acknowledged: if one has more than the masters, the masters have lost it.
            Relation::Descendant(_) | Relation::Divergent(_) if role == Role::Slave => {
                Finding::Contradiction(Alarm::SlaveAhead { node, version, current })
            }
            Relation::Foreign(_) => {
                Finding::Contradiction(Alarm::SplitBrain { node, version, reference: self.reference, current })
            }
            Relation::Descendant(fork) | Relation::Divergent(fork) => {
                let proven = first_beyond(record, fork).is_some_and(|first| self.is_acked(first));
                let acked = proven || is_forced_beyond(record, fork);
                let alarm = Alarm::AckedTail { node, version, current };
                if acked { Finding::Contradiction(alarm) } else { Finding::Undo(fork) }
            }
        }
    }

    /// True for a member that the configuration doesn't list.
    fn is_outside(&self, seen: &Seen<'_>) -> bool {
        self.list.member(seen.fsid).is_none()
    }

    /// True for a record of the version that was chosen.
    fn has_version(&self, record: &ClusterRecord) -> bool {
        matches!(record.version.compare(&self.record.version), Standing::Same | Standing::SameContent)
    }

    /// True when any record shows that the commit was acknowledged.
    fn is_acked(&self, commit: CommitId) -> bool {
        self.members.iter().filter_map(Seen::good_record).any(|witness| proves_acked(witness, commit))
    }

    fn state(&self, node: NodeIndex, seen: &Seen<'_>, record: &ClusterRecord, finding: Finding) -> State {
        if self.twins.contains(node) {
            return State::Twin;
        }
        let has_no_vote = seen.role == Role::Master && !self.electorate.nodes().contains(node);
        if has_no_vote || self.is_outside(seen) {
            return State::Outside;
        }
        if let Some(distrust) = self.distrust(seen, record) {
            return State::Compare(distrust);
        }
        match finding {
            Finding::Same => State::Current,
            Finding::Behind => State::Behind,
            Finding::Undo(fork) => State::Undo(fork),
            Finding::Ancient => State::Compare(Distrust::Ancient),
            Finding::Accepted | Finding::Contradiction(_) => State::Compare(Distrust::GivenUp),
        }
    }

    /// Why a member's content isn't believed.
    fn distrust(&self, seen: &Seen<'_>, record: &ClusterRecord) -> Option<Distrust> {
        let others = || self.others(seen);
        let listed = |other: &ClusterRecord| other.member(seen.fsid).is_some_and(|m| m.distrusted_from.is_some());
        // Only records of this version count: an older one may list damage that was repaired since.
        let recorded = || others().any(|other| self.has_version(other) && listed(other));
        Some(match seen.condition {
            condition if condition.unreadable => Distrust::Unreadable,
            condition if condition.foreign_write => Distrust::ForeignWrite,
            _ if recorded() => Distrust::Recorded,
            _ if self.went_back(seen, record) => Distrust::WentBack,
            _ if !is_complete(record) => Distrust::Incomplete,
            _ => return None,
        })
    }

    /// True when the others know that a member was further than it is now.
    fn went_back(&self, seen: &Seen<'_>, record: &ClusterRecord) -> bool {
        let mut witnesses = self.others(seen).filter_map(|other| Some((other, other.member(seen.fsid)?)));
        witnesses.any(|(witness, listed)| is_far_beyond(listed.last_known, witness, record))
    }

    /// The records of other members.
    fn others(&self, seen: &Seen<'_>) -> impl Iterator<Item = &'m ClusterRecord> {
        let fsid = seen.fsid;
        self.members.iter().filter(move |other| other.fsid != fsid).filter_map(Seen::good_record)
    }

    /// The voters whose records say that they have the version, trusted or not.
    pub(super) fn holders(&self) -> NodeSet {
        self.voters_that(|seen| seen.good_record().is_some_and(|record| self.has_version(record)))
    }

    /// True when the version can't have been acknowledged, because too few nodes remain besides those that certainly don't have
    /// it. The `discarded` nodes had a newer one.
    pub(super) fn was_never_acked(&self, discarded: NodeSet) -> bool {
        let is_certain = |seen: &Seen<'_>| {
            let went_back = seen.good_record().is_none_or(|record| self.went_back(seen, record));
            !seen.condition.torn_header && !seen.condition.foreign_write && !went_back
        };
        let without = self.voters_that(is_certain).difference(self.holders()).difference(discarded);
        let may_have_it =
            |voters: &Voters| voters.count.saturating_sub(voters.nodes.intersection(without).len()) >= voters.quorum();
        !may_have_it(&self.electorate.current) || self.electorate.previous.as_ref().is_some_and(|v| !may_have_it(v))
    }

    fn voters_that(&self, wanted: impl Fn(&Seen<'_>) -> bool) -> NodeSet {
        let voters = self.electorate.nodes();
        indexed(self.members)
            .filter(|(node, seen)| voters.contains(*node) && wanted(seen))
            .map(|(node, _)| node)
            .collect()
    }

    /// The nodes to copy the version to, those that need least first.
    pub(super) fn nearest_first(&self, states: &[State; MAX_NODES]) -> impl Iterator<Item = NodeIndex> {
        let rank = |state: &State| match state {
            State::Behind => Some(0),
            State::Undo(_) => Some(1),
            State::Compare(_) => Some(2),
            _ => None,
        };
        let position = |node: NodeIndex| super::version(self.members, node).commit.position();
        let mut nodes: heapless::Vec<(u8, NodeIndex), MAX_NODES> =
            (0..).map(NodeIndex).zip(states).filter_map(|(node, state)| Some((rank(state)?, node))).collect();
        nodes.sort_unstable_by_key(|(rank, node)| (*rank, core::cmp::Reverse(position(*node)), *node));
        nodes.into_iter().map(|(_, node)| node)
    }
}

/// True when a member has the whole content of its version.
pub(super) fn is_complete(record: &ClusterRecord) -> bool {
    let whole = record.trusted == record.version.content() && record.distrusted.is_empty();
    record.state != MemberState::Resyncing || whole
}

/// True when the operator gave up a member's history up to its end.
fn is_accepted(reference: &ClusterRecord, member: &ClusterRecord) -> bool {
    let commit = member.version.commit;
    reference.accepted.iter().any(|end| end.epoch == commit.epoch && commit.seq <= end.seq)
}

/// True when a member is known to have had at least two headers more than it shows. A witness records a header before any node
/// has written it.
fn is_far_beyond(known: CommitId, witness: &ClusterRecord, record: &ClusterRecord) -> bool {
    let commit = record.version.commit;
    let two_more = known.epoch == commit.epoch && known.seq.0 >= commit.seq.0.saturating_add(2);
    let opened = witness.version;
    let is_next_epoch = known == opened.commit && known.seq.0 == 0 && opened.base == record.version.content();
    two_more || (known.epoch.ctr > commit.epoch.ctr && !is_next_epoch)
}
