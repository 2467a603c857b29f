//! Committing on several nodes: all blocks on all of them, then the headers, then the answer (protocol 5.3).
//!
//! A commit cuts the stream of modifications at the same place on every node in sync, because they have all executed the same
//! ones, with answers that were compared one by one. Each header carries the cluster's record beside the topology, so the version
//! that a node claims and its content change in one write. A commit is acknowledged when it is durable on a quorum of the voters.
//! No later commit begins before that, but changes for the next one may be made.

use super::join::join_all;
use super::member;
use super::stream::{Awaited, Entry, Verdict};
use super::vote::succession::{Opening, open_epoch};
use super::vote::{CommitId, CommitSeq, EpochCounter, EpochId, Mount, NodeSet, Nonce, Refusal, Target};
use super::{Cluster, Ejection, MAX_NODES, NodeIndex, OpError, Rule};
use crate::io::{TimeSource, Turn};
use crate::media::ModifyTid;
use crate::media::cluster_record::{ClusterRecord, ConfigId, MemberState};
use crate::media::record_table::RecordTableFull;
use crate::memory::{aside, boxed};
use crate::node::{Node, NodeFault};

/// The turn to commit: no later commit begins before this one is acknowledged or given up.
pub(crate) struct CommitTurn<'c>(#[expect(dead_code, reason = "held for its drop")] Turn<'c>);

/// A commit that has begun: what it makes durable is fixed, and further changes may be made.
pub(crate) struct CommitUnderWay<'c> {
    cluster: &'c Cluster,
    next: Next<'c>,
    _turn: CommitTurn<'c>,
}

/// What a commit waits for.
enum Next<'c> {
    /// There is nothing to commit.
    Nothing,
    /// The header of a single node.
    Header(&'c Node),
    /// The entry of the stream.
    Entry(Awaited<'c>),
}

impl CommitUnderWay<'_> {
    /// Waits until the commit is durable. Returns false when it won't be, because members that are needed have passed it over:
    /// they take part in the next one.
    pub(crate) async fn end(self) -> Result<bool, OpError> {
        match self.next {
            Next::Nothing => Ok(true),
            Next::Header(node) => Ok(node.land().await?),
            Next::Entry(awaited) => self.cluster.await_headers(awaited).await,
        }
    }
}

/// The distance that keeps a header of an earlier session that lands late from being taken for a new one.
const EPOCH_MIRROR_TIDS: u64 = 16;

impl Cluster {
    /// Makes everything done so far durable, at least on a quorum.
    pub(crate) async fn flush(&self) -> Result<(), OpError> {
        loop {
            let turn = self.commit_turn().await;
            if self.begin_commit(turn).await?.end().await? {
                return Ok(());
            }
        }
    }

    /// Makes everything done so far durable on all nodes in sync. Nothing may be changed meanwhile.
    pub(crate) async fn flush_all(&self) -> Result<(), OpError> {
        self.flush().await?;
        self.level().await?;
        // Nodes that passed the commit over take part in another.
        for _ in 0..MAX_NODES {
            if !self.has_changes() {
                break;
            }
            self.commit_next().await?;
            self.level().await?;
        }
        Ok(())
    }

    /// Waits for the turn to commit.
    pub(crate) async fn commit_turn(&self) -> CommitTurn<'_> {
        CommitTurn(self.line.turn().await)
    }

    /// Waits until no commit is under way.
    pub(crate) async fn committed(&self) {
        self.line.turns_ended().await;
    }

    /// Begins to commit everything done so far. Changes made from then on belong to the next commit.
    pub(crate) async fn begin_commit<'c>(&'c self, turn: CommitTurn<'c>) -> Result<CommitUnderWay<'c>, OpError> {
        if self.half_made.borrow().is_some() {
            aside(self.heap, || self.take_back())?.await?;
        }
        let next = if let Some(node) = self.single() {
            if node.fix().await? { Next::Header(node) } else { Next::Nothing }
        } else {
            aside(self.heap, || self.begin_entry())?.await?
        };
        Ok(CommitUnderWay { cluster: self, next, _turn: turn })
    }

    async fn begin_entry(&self) -> Result<Next<'_>, OpError> {
        self.require_quorum()?;
        self.mend().await?;
        self.press().await;
        Ok(if self.has_changes() { Next::Entry(self.put_commit()?) } else { Next::Nothing })
    }

    /// True when something was changed since the last commit. Lagging nodes may not have written the change yet.
    pub(crate) fn has_changes(&self) -> bool {
        let abreast = self.abreast();
        abreast.is_empty() || abreast.iter().any(|index| self.member(index).node.has_changes())
    }

    /// Makes all blocks durable on the nodes in sync. A node where that fails leaves, however few remain.
    pub(super) async fn stage_all(&self) -> Result<(), OpError> {
        self.level().await?;
        let order = |index| self.member(index).node.stage();
        for (index, staged) in join_all(self.heap, self.in_sync().iter(), order).await? {
            if let Err(error) = staged {
                self.eject_for(index, error);
            }
        }
        Ok(())
    }

    /// Commits what was done as the next version. Its number is used up here, whether or not a header with it ever lands.
    pub(super) async fn commit_next(&self) -> Result<(), OpError> {
        while !self.await_headers(self.put_commit()?).await? {}
        Ok(())
    }

    fn put_commit(&self) -> Result<Awaited<'_>, OpError> {
        if !self.line.advance() {
            return Err(self.suspend());
        }
        self.put_headers()
    }

    /// Makes the cluster fit for modifications. `time` supplies a random number that no other mount has.
    pub(crate) async fn begin(&self, time: &'static dyn TimeSource) -> Result<(), OpError> {
        if let Some(Mount::AsOf(_)) = self.mounting.choice() {
            return Err(self.mounting.refused().unwrap_or(OpError::Refused(Refusal::AsOf)));
        }
        aside(self.heap, || self.take_hold(time))?.await?;
        aside(self.heap, || self.found_of_snapshot())?.await?;
        if let Some(refusal) = self.mounting.refused() {
            return Err(refusal);
        }
        aside(self.heap, || self.roll_forward())?.await?;
        if self.assent.target() == Target::AsOf {
            self.assent.aim_at(Target::Quorum);
        }
        aside(self.heap, || self.prepare())?.await?;
        aside(self.heap, || self.begin_epoch(time.random()))?.await
    }

    /// Copies the newest version to a quorum: it may have been acknowledged, so it is the cluster's (protocol 5.3, M5).
    ///
    /// It is durable there before an epoch is opened on it. Otherwise two mounts in a row whose epochs landed on only one disk
    /// could leave a counter there that no quorum has heard of, and a later, acknowledged epoch would be outranked by it.
    async fn roll_forward(&self) -> Result<(), OpError> {
        for index in self.mounting.onto().iter() {
            if !self.protocol.get().has(Rule::Rollforward) {
                self.member(index).set_state(member::MemberState::InSync);
            } else if let Err(error) = self.catch_up(index, &mut async |_| self.beat_on_the_way().await).await {
                log::warn!("{}: {error}", self.called(index));
            }
        }
        if self.has(Rule::Rollforward) {
            let onto = self.mounting.onto().intersection(self.in_sync());
            for index in onto.iter() {
                if let Err(error) = self.member(index).node.stage().await {
                    self.eject_for(index, error);
                }
            }
            self.write_headers_of(onto.intersection(self.in_sync())).await?;
        }
        self.require_quorum()
    }

    /// Opens an epoch: from here on, no header of an earlier mount can be taken for one of this mount.
    async fn begin_epoch(&self, nonce: u64) -> Result<(), OpError> {
        let protocol = self.protocol.get();
        let Some((next_epoch, tid_floor)) = self.mounting.next_epoch() else { return Ok(()) };
        for index in self.in_sync().iter() {
            self.member(index).node.skip_mirror_tids(EPOCH_MIRROR_TIDS);
        }
        self.set_roots().await?;
        if let Some(record) = &mut *self.line.record_mut() {
            let nonce = if protocol.has(Rule::Nonce) { Nonce(nonce) } else { Nonce(0) };
            if protocol.has(Rule::Epoch) {
                *record = open_epoch(record, EpochId { ctr: next_epoch, nonce }, self.mounting.opening());
            }
            if let (false, Some(newest)) = (protocol.has(Rule::Base), record.history.first_mut()) {
                (record.version.base, newest.base) = (CommitId::NONE, CommitId::NONE);
            }
            if record.is_pending() || self.mounting.opening() == Opening::Forced {
                record.config = ConfigId { ctr: record.version.commit.epoch.ctr, change: 0 };
            }
            record.tid_floor = tid_floor;
        }
        self.line.open(tid_floor);
        if !protocol.has(Rule::EarlyReads) {
            return Ok(());
        }
        // The headers are written twice, so that on each node two copies belong to this mount.
        self.write_headers().await?;
        self.write_headers().await?;
        self.end_pending().await
    }

    /// Makes everything durable on the nodes in sync and writes their headers. The commit is acknowledged when a quorum of the
    /// voters has done so; the others follow. Slaves are never ahead of what is acknowledged.
    async fn write_headers(&self) -> Result<(), OpError> {
        while !self.await_headers(self.put_headers()?).await? {}
        Ok(())
    }

    fn put_headers(&self) -> Result<Awaited<'_>, OpError> {
        self.note_members();
        let record = self.line.record().as_ref().map(|record| boxed(self.heap, record.clone())).transpose()?;
        Ok(self.put_behind(Entry::commit(record, self.late_at()), self.in_sync())?)
    }

    /// Waits until a quorum of the voters has its headers. Returns false when it won't although there is a quorum, because some
    /// voters have passed the commit over.
    async fn await_headers(&self, awaited: Awaited<'_>) -> Result<bool, OpError> {
        let verdict = self.decided(&awaited).await;
        if !matches!(verdict, Verdict::Agreed(_)) {
            self.require_quorum()?;
            return if self.line.pass_over() { Ok(false) } else { Err(self.suspend()) };
        }
        self.line.acknowledge();
        self.eject_dissenters();
        Ok(true)
    }

    async fn write_headers_of(&self, nodes: NodeSet) -> Result<NodeSet, OpError> {
        let record = self.line.record().clone();
        let order = |index| self.write_header_of(index, record.as_ref());
        let answers = join_all(self.heap, nodes.iter(), order).await?;
        let mut durable = NodeSet::EMPTY;
        for (index, written) in answers {
            match written {
                Ok(()) => durable.insert(index),
                Err(error) => self.eject(index, error),
            }
        }
        Ok(durable)
    }

    pub(super) async fn write_header_of(
        &self,
        index: NodeIndex,
        record: Option<&ClusterRecord>,
    ) -> Result<(), Ejection> {
        self.fix_header_of(index, record).await?;
        self.member(index).node.land().await.map(drop).map_err(Ejection::of)
    }

    /// Fixes the header of a node, for a commit of what the node has.
    pub(super) async fn fix_header_of(&self, index: NodeIndex, record: Option<&ClusterRecord>) -> Result<(), Ejection> {
        let member = self.member(index);
        member.node.alone().await.map_err(Ejection::of)?;
        member.node.gather().await.map_err(Ejection::of)?;
        let bind = member.node.bind(self.slots.root()).await.map_err(Ejection::of)?;
        let Some(template) = record.cloned() else {
            // The node belongs to no cluster: it was opened together with others that have nothing of the PFS.
            return member.node.fix_header(&mut |_| {}).map_err(Ejection::of);
        };
        let record = ClusterRecord { fsid: member.fsid.get(), state: MemberState::InSync, bind, ..template };
        let mut put: Result<(), RecordTableFull> = Ok(());
        let fixed = member.node.fix_header(&mut |header| put = header.cluster_records.put(&record));
        log::debug!("{}: header of {}: {fixed:?}", self.called(index), record.version);
        fixed.map_err(Ejection::of)?;
        put.map_err(|RecordTableFull| {
            member.node.discard_header();
            Ejection::Fault(NodeFault::RecordTableFull)
        })
    }

    /// Lists in the record which nodes take part in the version to be committed.
    fn note_members(&self) {
        if let Some(record) = &mut *self.line.record_mut() {
            let version = record.version.commit;
            for (_, member) in self.members() {
                let Some(listed) = record.members.iter_mut().find(|listed| listed.fsid == member.fsid.get()) else {
                    continue;
                };
                if member.is_in_sync() {
                    (listed.state, listed.last_known) = (MemberState::InSync, version);
                    listed.distrusted_from = None;
                } else if listed.state == MemberState::InSync {
                    listed.state = MemberState::WriteDisabled;
                }
                if matches!(member.state(), super::MemberState::Ejected(why) if why.is_about_content()) {
                    // Its content is wrong, and nothing says since when.
                    listed.distrusted_from = Some((EpochCounter(0), CommitSeq(0)));
                }
            }
        }
    }

    /// The transaction id up to which none may be given again.
    pub(crate) fn tid_floor(&self) -> ModifyTid {
        self.line.last_tid()
    }
}
