//! A resynchronization from beginning to end.

use super::{Copying, ResyncCounts, ResyncError};
use crate::cluster::member::MemberState;
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, Command, Debt, Ejection, MAX_NODES, Modification, NodeFault, NodeIndex, OpError, Rule};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Inode, ModifyTid};
use crate::memory::aside;
use crate::node::NodeError;

impl Cluster {
    /// The nodes that have another version of the PFS than the cluster's.
    pub(crate) fn behind(&self) -> impl Iterator<Item = NodeIndex> {
        let behind = |state| matches!(state, MemberState::Behind(_));
        self.members().filter(move |(_, member)| behind(member.state())).map(|(index, _)| index)
    }

    /// Brings a node in step with the others and commits that: from then on it takes part. Nothing may change meanwhile, but
    /// reading may go on; `pause` is called between steps.
    pub(crate) async fn resync(
        &self,
        target: NodeIndex,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        aside(self.heap, || self.flush())?.await?;
        let counts = aside(self.heap, || self.catch_up(target, pause))?.await?;
        aside(self.heap, || self.set_roots())?.await?;
        aside(self.heap, || self.commit_next())?.await?;
        // The node is in step when its own header says so.
        self.level_with(NodeSet::only(target)).await?;
        match self.member(target).state() {
            MemberState::Ejected(why) => Err(ResyncError::Target(why)),
            _ => Ok(counts),
        }
    }

    /// Brings a node in step when too few are left to commit anything: it gets what those have executed, and counts again.
    pub(crate) async fn rejoin(
        &self,
        target: NodeIndex,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        self.stage_left().await?;
        self.catch_up(target, pause).await
    }

    /// Makes all blocks durable on the nodes that are left when they are too few to commit. Everything done is then in their
    /// trees.
    pub(crate) async fn stage_left(&self) -> Result<(), OpError> {
        self.stage_all().await?;
        if self.is_lost() { Err(OpError::Lost) } else { Ok(()) }
    }

    /// Makes a node's content equal to that of the others. It takes part from then on, and in the next commit.
    pub(in crate::cluster) async fn catch_up(
        &self,
        target: NodeIndex,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let member = self.member(target);
        let MemberState::Behind(debt) = member.state() else { return Ok(ResyncCounts::default()) };
        let mut unreadable: heapless::Vec<(NodeIndex, Ejection), MAX_NODES> = heapless::Vec::new();
        let counts = self.copy_from_any(target, debt, None, &mut unreadable, pause).await?;
        self.name_all(target).await.map_err(|error| ResyncError::Target(Ejection::of(error)))?;
        member.set_state(MemberState::InSync);
        // They aren't ejected earlier, because the target may be needed in their place.
        unreadable.iter().for_each(|(source, why)| self.eject(*source, *why));
        Ok(counts)
    }

    /// The last operation on the PFS. Makes everything done so far durable.
    pub(crate) async fn newest_change(&self) -> Result<ModifyTid, OpError> {
        for index in self.read_order() {
            match self.member(index).node.record(self.slots.root()).await {
                Ok(root) => return Ok(root.modify_tid),
                Err(error) => self.failed(index, error)?,
            }
        }
        Err(self.no_quorum())
    }

    /// Copies to a node that is behind what changed up to operation `until`, which [`newest_change`] returned when all of it was
    /// durable. Changes may go on whenever `pause` is called, and only then.
    ///
    /// [`newest_change`]: Self::newest_change
    pub(crate) async fn copy_ahead(
        &self,
        target: NodeIndex,
        until: ModifyTid,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let member = self.member(target);
        let MemberState::Behind(debt) = member.state() else { return Ok(ResyncCounts::default()) };
        // The last round finds out which sources can't be read.
        let counts = self.copy_from_any(target, debt, Some(until), &mut heapless::Vec::new(), pause).await?;
        member.set_state(MemberState::Behind(Debt { ahead: until, ..debt }));
        if !self.has(Rule::Workroot) {
            self.commit_copy(target).await.map_err(ResyncError::Target)?;
        }
        Ok(counts)
    }

    /// Commits what was copied so far as if it were complete, which the rule `workroot` forbids.
    async fn commit_copy(&self, target: NodeIndex) -> Result<(), Ejection> {
        self.member(target).node.stage().await.map_err(Ejection::of)?;
        {
            let record = self.line.record().clone();
            self.write_header_of(target, record.as_ref()).await
        }
    }

    /// Copies from the first node that can be read; the nodes tried before it are added to `unreadable`.
    async fn copy_from_any(
        &self,
        target: NodeIndex,
        mut debt: Debt,
        until: Option<ModifyTid>,
        unreadable: &mut heapless::Vec<(NodeIndex, Ejection), MAX_NODES>,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let member = self.member(target);
        let mut copied = Err(self.no_quorum().into());
        // If the copy ends early, it is unknown what the target has. None of it is in a commit.
        member.set_state(MemberState::Behind(Debt::EVERYTHING));
        let mut tried = NodeSet::EMPTY;
        while let Some(source) = self.source_but(tried).await? {
            let (departures, pfs) = (self.member(source).departures(), self.slots.root());
            let copying = Copying { pfs, source, departures, target, debt, until, keep_free: 0 };
            copied = self.copy_from(copying, pause).await;
            match copied {
                // Other nodes are asked, and this one again if it is back.
                Err(ResyncError::Source(_)) if self.member(source).departures() != departures => {}
                Err(ResyncError::Source(why @ Ejection::Fault(_))) => {
                    // There are no more sources than nodes.
                    let _ = unreadable.push((source, why));
                    tried.insert(source);
                }
                _ => break,
            }
            debt = Debt::EVERYTHING;
        }
        if let Err(ResyncError::Target(why)) = copied {
            member.set_state(MemberState::Ejected(why));
        }
        copied
    }

    /// A member to copy from that isn't in `tried`; none if there is none. A node that still has a commit to make doesn't serve:
    /// what it holds is what was agreed, but the blocks above don't say yet that something below them changed.
    async fn source_but(&self, tried: NodeSet) -> Result<Option<NodeIndex>, OpError> {
        if !self.has(Rule::Abreast) {
            return Ok(self.up_to_date().difference(tried).first());
        }
        self.await_laggards(|| {
            let lagging = self.stream.lagging();
            let is_hopeless = || self.in_sync().difference(tried).intersection(lagging).is_empty();
            let source = self.source_order().find(|index| !lagging.contains(*index) && !tried.contains(*index));
            source.map(Some).or_else(|| is_hopeless().then_some(None))
        })
        .await
    }

    /// Waits until a source has executed everything that was agreed, or has left. Its content then stays the same as long as
    /// nothing may be changed: what is listed and what is read a moment later belong together.
    pub(super) async fn caught_up(&self, source: NodeIndex) -> Result<(), OpError> {
        let has_caught_up = || !self.has(Rule::Abreast) || !self.stream.lagging().contains(source);
        if has_caught_up() {
            return Ok(());
        }
        self.await_laggards(|| has_caught_up().then_some(())).await
    }

    async fn copy_from(
        &self,
        copying: Copying,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let node = &self.member(copying.target).node;
        // The other nodes have what it lost.
        node.accept_older_header();
        node.recover().await.map_err(ResyncError::target)?;
        let copied = aside(self.heap, || self.copy_pfs(copying, pause))?.await;
        let Err(ResyncError::Target(Ejection::Fault(NodeFault::Corrupt { .. }))) = copied else { return copied };
        // Its content can't be compared with anything, so all of it is copied.
        self.start_over(copying.target).await.map_err(ResyncError::target)?;
        let everything = Copying { debt: Debt::EVERYTHING, ..copying };
        aside(self.heap, || self.copy_pfs(everything, pause))?.await
    }

    /// Replaces the PFS of a node by an empty one that is still the same member.
    async fn start_over(&self, target: NodeIndex) -> Result<(), NodeError> {
        let node = &self.member(target).node;
        let record = node.record(self.slots.root()).await?;
        let root = Inode { meta: record.meta, body: [0; EMBEDDED_BYTES] };
        node.modify(node.next_super_tid(), Modification::RemovePfs { key: record.key }).await?;
        let create = Modification::CreatePfs { inode: &root, key: record.key, origin: None };
        node.modify(node.next_super_tid(), create).await.map(drop)
    }

    /// Opens on a node the inodes that are open.
    async fn name_all(&self, target: NodeIndex) -> Result<(), NodeError> {
        let pfs = self.slots.root();
        for (into, inum) in self.slots.open() {
            self.member(target).node.execute(Command::Name { pfs, inum, into }).await?;
        }
        Ok(())
    }
}
