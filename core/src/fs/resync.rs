//! Looking after the nodes of the cluster while the filesystem is mounted.

use core::cell::RefCell;

use super::gate::{Changing, Still};
use super::{Error, FileSystem};
use crate::cluster::resync::{ResyncCounts, ResyncError, Room};
use crate::cluster::{
    Answers, Called, Change, ClusterStatus, Holder, MAX_NODES, MemberState, MemberStatus, MembershipError, NewPfs,
    NodeFault, NodeIndex, OpenError, ReturnError, Rule, Scrub, ScrubCounts, join_all, vote::NodeSet,
};
use crate::io::{Disk, Duration, Instant};
use crate::media::Uuid;
use crate::media::cluster_record::Member;
use crate::memory::{Vec, aside};

/// The most rounds of a resynchronization during which changes go on.
const MOST_ROUNDS_AHEAD: usize = 4;
/// A round that copied at most this many elements leaves little to the last round.
const FEW_ELEMENTS: u64 = 100;

/// The progress of bringing a node in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Bytes of content looked at so far.
    pub seen_bytes: u64,
    /// Bytes of content that there were to look at when it began, without snapshots.
    pub expected_bytes: u64,
    /// The time since it began.
    pub took: Duration,
}

impl CatchUp {
    /// The time it will still take at the speed so far; none if nothing is known of that.
    pub fn time_left(&self) -> Option<Duration> {
        let left_bytes = self.expected_bytes.saturating_sub(self.seen_bytes);
        let nanoseconds = (self.took.as_nanos() * u128::from(left_bytes)).checked_div(self.seen_bytes.into())?;
        Some(Duration::from_nanos(nanoseconds.try_into().unwrap_or(u64::MAX)))
    }
}

impl FileSystem {
    /// The state of the cluster; none for a filesystem that never was in a cluster.
    pub fn cluster_status(&self) -> Option<ClusterStatus> {
        self.cluster.status()
    }

    /// Waits until no node lags behind: each has everything that was done, or has left.
    pub async fn level(&self) -> Result<(), Error> {
        Ok(self.cluster.level().await?)
    }

    /// Asks the nodes' devices whether they are still there, so that [`member_statuses`](Self::member_statuses) afterwards shows
    /// the present state.
    pub async fn probe(&self) -> Result<(), Error> {
        let _reading = self.gate.read().await;
        Ok(self.cluster.probe().await?)
    }

    /// The mount that holds a node which other machines can reach, if there is one. A mount that died holds its nodes until
    /// another takes over.
    pub async fn holder(&self, node: NodeIndex) -> Option<Holder> {
        self.cluster.holder(node).await
    }

    /// The state of each node.
    pub fn member_statuses(&self) -> impl Iterator<Item = MemberStatus> {
        self.cluster.member_statuses()
    }

    /// The name of a node in messages.
    pub fn called(&self, node: NodeIndex) -> Called<'_> {
        self.cluster.called(node)
    }

    /// A node that another machine has taken over, if there is one, and the fault that says so. Nothing more is written to it.
    pub fn fenced(&self) -> Option<(NodeIndex, NodeFault)> {
        self.cluster.fenced()
    }

    /// The nodes whose disks don't answer at the moment. Requests given to them aren't lost.
    pub fn late_nodes(&self) -> impl Iterator<Item = NodeIndex> {
        self.cluster.late().iter()
    }

    /// Members that aren't among the opened nodes.
    pub fn missing_members(&self) -> heapless::Vec<Member, MAX_NODES> {
        self.cluster.missing_members()
    }

    /// The nodes that have another version than the cluster's.
    pub fn nodes_behind(&self) -> impl Iterator<Item = NodeIndex> {
        self.cluster.behind()
    }

    /// Looks again at a node that left. Its state then says whether it can be brought in step.
    pub async fn look_again(&self, node: NodeIndex) -> Result<MemberState, ReturnError> {
        let _only = self.alone_on(node).await;
        // Callers that still wait for the node end first. Nobody asks the node anything after that, so it may take its time.
        drop(self.gate.change().await);
        self.cluster.reopen(node).await?;
        let _still = self.gate.still().await;
        let _turn = self.cluster.commit_turn().await;
        self.cluster.look_again(node).await
    }

    /// Prevents others from looking at a node, bringing it in step or taking it in.
    async fn alone_on(&self, node: NodeIndex) -> Option<Changing<'_>> {
        Some(self.resyncs.get(usize::from(node.0))?.change().await)
    }

    /// Opens one more node: a missing member that is back, or volumes that are to [become a member](Self::add_member). It takes
    /// part in nothing until it is [looked at](Self::look_again); its state then says which of the two it is.
    pub async fn open_node(&self, disks: Vec<Disk>) -> Result<NodeIndex, OpenError> {
        self.cluster.open_another(disks).await
    }

    /// Brings a node in step with the others. Changes go on except during the last round, which copies the latest changes.
    /// Without a quorum, the node executes what the others have, and if that isn't enough, the error is still that there is no
    /// quorum. A node that is too full gives up its oldest snapshots, if the others have them.
    pub async fn resync(&self, node: NodeIndex) -> Result<ResyncCounts, Error> {
        self.resync_showing(node, &mut |_| {}).await
    }

    /// The progress of bringing a node in step, while that is under way.
    pub fn catching_up(&self, node: NodeIndex) -> Option<CatchUp> {
        let (begun, expected_bytes) = self.catching_up.get().get(usize::from(node.0)).copied().flatten()?;
        let now = self.cluster.clock()?.now();
        let took = Duration::from_nanos(now.nanoseconds.saturating_sub(begun.nanoseconds));
        Some(CatchUp { seen_bytes: self.cluster.seen_bytes(node), expected_bytes, took })
    }

    fn note_catch_up(&self, node: NodeIndex, begun: Option<(Instant, u64)>) {
        let mut all = self.catching_up.get();
        if let Some(known) = all.get_mut(usize::from(node.0)) {
            *known = begun;
        }
        self.catching_up.set(all);
        self.cluster.count_seen_anew(node);
    }

    /// Does the same as [`resync`](Self::resync); `show` is called repeatedly with what was done so far.
    pub async fn resync_showing(
        &self,
        node: NodeIndex,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, Error> {
        let _members = self.membership.read().await;
        let Some(_only) = self.alone_on(node).await else { return Ok(ResyncCounts::default()) };
        let expected_bytes = aside(self.heap, || self.expected_bytes(node))?.await;
        let begun = self.cluster.clock().map(Disk::now);
        self.note_catch_up(node, begun.zip(expected_bytes));
        let copied = self.resync_alone(node, show).await;
        self.note_catch_up(node, None);
        copied
    }

    /// Bytes that changed since a node was in step.
    async fn expected_bytes(&self, node: NodeIndex) -> Option<u64> {
        let mut copying = Some(self.gate.copy().await);
        let mut pause = async || {
            drop(copying.take());
            copying = Some(self.gate.copy().await);
        };
        self.cluster.expected_bytes(node, &mut pause).await
    }

    /// Brings a node in step; no other task may do so at the same time.
    async fn resync_alone(&self, node: NodeIndex, show: &mut dyn FnMut(&ResyncCounts)) -> Result<ResyncCounts, Error> {
        // A node in any other state hasn't been judged.
        let was_behind = self.nodes_behind().any(|behind| behind == node);
        let (mut is_first, mut removed) = (true, 0);
        loop {
            let copied = aside(self.heap, || self.copy_all(node, is_first, show))?.await;
            if !was_behind || !self.cluster.is_full(node) {
                return copied.map(|counts| ResyncCounts { snapshots_removed: removed, ..counts });
            }
            let copying = async || self.gate.copy().await;
            match aside(self.heap, || self.cluster.make_room(node, is_first, copying))?.await? {
                Room::None => return copied,
                Room::Freed => {}
                Room::Snapshot => removed += 1,
            }
            is_first = false;
        }
    }

    /// Brings a node in step, if it has room for the content.
    async fn copy_all(
        &self,
        node: NodeIndex,
        mut with_snapshots: bool,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, Error> {
        let mut sum = ResyncCounts::default();
        for _ in 0..MOST_ROUNDS_AHEAD {
            let until = {
                let _still = self.nothing_left_behind().await?;
                self.cluster.newest_change().await?
            };
            let mut copying = Some(self.gate.copy().await);
            let mut pause = async |counts: &ResyncCounts| {
                show(&(sum + *counts));
                // Tasks that wait to change something come first.
                drop(copying.take());
                copying = Some(self.gate.copy().await);
            };
            let copied = aside(self.heap, || self.cluster.copy_ahead(node, until, &mut pause))?.await?;
            drop(copying);
            sum += copied;
            // Snapshots come when the node has nearly everything they may share with it. Copying them may take its time.
            if core::mem::take(&mut with_snapshots) {
                let mut show_more = |counts: &ResyncCounts| show(&(sum + *counts));
                let snapshots = aside(self.heap, || self.copy_snapshots(node, &mut show_more))?.await?;
                sum += snapshots;
                if snapshots.snapshots_copied > 0 {
                    continue;
                }
            }
            if copied.copied + copied.removed <= FEW_ELEMENTS {
                break;
            }
        }
        let mut still = Some(self.nothing_left_behind().await?);
        let mut pause = async |counts: &ResyncCounts| {
            show(&(sum + *counts));
            if !self.cluster.has(Rule::Pin) {
                drop(still.take());
                // This turn comes after those of tasks that wait to change something.
                still = Some(self.gate.still().await);
            }
        };
        let mut last = ResyncCounts::default();
        if !self.has_quorum() {
            last = aside(self.heap, || self.cluster.rejoin(node, &mut pause))?.await?;
            // What is only in memory belongs to the next commit, too. If there are still too few nodes, there is no commit.
            aside(self.heap, || self.sync_inside())?.await?;
        }
        last += aside(self.heap, || self.cluster.resync(node, &mut pause))?.await?;
        Ok(sum + last)
    }

    /// Copies missing snapshots to a node that is behind, the newest first, as a full node lacks the oldest.
    async fn copy_snapshots(
        &self,
        node: NodeIndex,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, Error> {
        let mut sum = ResyncCounts::default();
        let mut copying = Some(self.gate.copy().await);
        let mut next = self.cluster.lacking_snapshot(node, None).await;
        while let Some(snapshot) = next {
            let mut pause = async |counts: &ResyncCounts| {
                show(&(sum + *counts));
                drop(copying.take());
                copying = Some(self.gate.copy().await);
            };
            match self.cluster.copy_snapshot(node, &snapshot, &mut pause).await? {
                Some(counts) => sum += counts,
                None => sum.snapshots_lacking += 1,
            }
            next = self.cluster.lacking_snapshot(node, Some(snapshot.taken())).await;
        }
        Ok(sum)
    }

    /// Gives a node in step the snapshots that a quorum has and it lacks, if there are any. It is behind meanwhile, and goes
    /// without them if too few others would be left.
    pub async fn complete(&self, node: NodeIndex) -> Result<ResyncCounts, Error> {
        self.complete_showing(node, &mut |_| {}).await
    }

    async fn complete_showing(
        &self,
        node: NodeIndex,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, Error> {
        let lacks_one = {
            let _reading = self.gate.read().await;
            self.cluster.is_in_sync(node) && self.cluster.lacking_snapshot(node, None).await.is_some()
        };
        if !lacks_one {
            return Ok(ResyncCounts::default());
        }
        let is_aside = {
            let _members = self.membership.read().await;
            let _still = self.nothing_left_behind().await?;
            self.cluster.step_aside(node).await?
        };
        match is_aside {
            true => self.resync_showing(node, show).await,
            false => Ok(ResyncCounts { snapshots_lacking: 1, ..ResyncCounts::default() }),
        }
    }

    /// Brings all nodes in step that are behind, at the same time, and gives the others what they lack; returns the result for
    /// each node that something was done to.
    pub async fn resync_all(
        &self,
        show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
    ) -> Result<Answers<Result<ResyncCounts, Error>>, Error> {
        let show = &RefCell::new(show);
        let behind: NodeSet = self.nodes_behind().collect();
        let resync = |node: NodeIndex| async move {
            let mut show_one = |counts: &ResyncCounts| (show.borrow_mut())(node, counts);
            match behind.contains(node) {
                true => self.resync_showing(node, &mut show_one).await,
                false => self.complete_showing(node, &mut show_one).await,
            }
        };
        let mut answers = join_all(self.heap, self.member_statuses().map(|member| member.node), resync).await?;
        // While there were too few, the first node that came back wasn't enough: it came in step together with later ones.
        let is_in_sync =
            |node| self.member_statuses().any(|member| member.node == node && member.state == MemberState::InSync);
        for (_, answer) in answers.iter_mut().filter(|(node, answer)| answer.is_err() && is_in_sync(*node)) {
            *answer = Ok(ResyncCounts::default());
        }
        answers.retain(|(node, answer)| behind.contains(*node) || *answer != Ok(ResyncCounts::default()));
        Ok(answers)
    }

    /// Releases a member in step that has no vote, so that its disk can be taken away: everything done so far is on it, and its
    /// devices are closed. It stays away until it is [looked at](Self::look_again) again. Returns false if it isn't in step or
    /// has a vote.
    pub async fn detach(&self, node: NodeIndex) -> Result<bool, Error> {
        let _members = self.membership.read().await;
        let _only = self.alone_on(node).await;
        let _still = self.still().await?;
        self.sync_inside().await?;
        self.cluster.flush_all().await?;
        Ok(self.cluster.detach(node).await?)
    }

    /// A turn that begins when everything done so far is on the disks of the nodes in sync, and committed if enough nodes are
    /// left for that.
    async fn nothing_left_behind(&self) -> Result<Still<'_>, Error> {
        let still = self.resting().await?;
        if self.has_quorum() {
            self.sync_inside().await?;
        } else {
            let _turn = self.cluster.commit_turn().await;
            self.cluster.stage_left().await?;
        }
        Ok(still)
    }

    /// True unless too few nodes are left to change anything.
    pub fn has_quorum(&self) -> bool {
        self.cluster.require_quorum().is_ok()
    }

    /// Turns a filesystem of one node that never was in a cluster into a cluster whose only master is that node.
    pub async fn found_cluster(&self) -> Result<(), Error> {
        let _still = self.still().await?;
        self.sync_inside().await?;
        Ok(self.cluster.found(self.writing()?.random()).await?)
    }

    /// Adds a node that isn't a member yet, as a slave that has nothing: resynchronization brings it in step. Returns the id by
    /// which a [`Change`] names it.
    pub async fn add_member(&self, node: NodeIndex, new: &NewPfs<'_>) -> Result<Uuid, Error> {
        // Another look at the node would undo what is half done.
        let _only = self.alone_on(node).await;
        let _still = self.still().await?;
        self.sync_inside().await?;
        let fsid = self.cluster.prepare_member(node, new).await?;
        self.cluster.add_member(node).await?;
        Ok(fsid)
    }

    /// Changes the members or their roles. Changes of files wait meanwhile.
    pub async fn change_members(&self, change: Change) -> Result<(), Error> {
        let _alone = self.membership.change().await;
        let _still = self.still().await?;
        self.sync_inside().await?;
        Ok(self.cluster.change_members(change).await?)
    }

    /// Reads everything on every node, and repairs what another node has. Changes sometimes wait for the end of a part.
    pub async fn scrub(&self) -> Result<ScrubCounts, Error> {
        let mut scrub = Scrub::default();
        loop {
            if let Some(counts) = self.scrub_on(&mut scrub, &mut |_| true).await? {
                return Ok(counts);
            }
        }
    }

    /// Continues a scrub while `goes_on`, which is asked between two parts, allows it; the scrub can be resumed from there at any
    /// time. At its end, the result is returned.
    pub async fn scrub_on(
        &self,
        scrub: &mut Scrub,
        goes_on: &mut dyn FnMut(&Scrub) -> bool,
    ) -> Result<Option<ScrubCounts>, Error> {
        self.cluster.begin_scrub(scrub).await;
        loop {
            {
                let _still = self.still().await?;
                aside(self.heap, || self.sync_inside())?.await?;
                if !aside(self.heap, || self.cluster.scrub_part(scrub))?.await? {
                    return Ok(Some(aside(self.heap, || self.cluster.end_scrub(scrub))?.await?));
                }
            }
            if !goes_on(scrub) {
                return Ok(None);
            }
        }
    }
}

impl From<MembershipError> for Error {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Cluster(error) => error.into(),
            error => Self::Membership(error),
        }
    }
}

impl From<ResyncError> for Error {
    fn from(error: ResyncError) -> Self {
        match error {
            ResyncError::Cluster(error) => error.into(),
            ResyncError::Source(why) | ResyncError::Target(why) => Self::Resync(why),
        }
    }
}
