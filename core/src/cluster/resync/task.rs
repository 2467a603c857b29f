//! A resynchronization from beginning to end.

use super::{Copying, ResyncCounts, ResyncError};
use crate::cluster::member::MemberState;
use crate::cluster::{Cluster, Command, Ejection, MAX_NODES, Modification, NodeFault, NodeIndex};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Inode, ModifyTid};
use crate::memory::{Box, boxed};
use crate::node::NodeError;

impl Cluster {
    /// The nodes that have the PFS in another version than the cluster's.
    pub fn behind(&self) -> impl Iterator<Item = NodeIndex> {
        let behind = |state| matches!(state, MemberState::Behind(_));
        self.members().filter(move |(_, member)| behind(member.state.get())).map(|(index, _)| index)
    }

    /// Brings a node in step with the others and commits that: from then on it takes part. Nothing may change meanwhile, but
    /// reading goes on; `pause` is called between steps.
    pub async fn resync(&self, target: NodeIndex, pause: &mut impl AsyncFnMut()) -> Result<ResyncCounts, ResyncError> {
        self.flush().await?;
        let counts = self.catch_up(target, pause).await?;
        self.set_roots().await?;
        self.stage().await?;
        self.commit_next().await?;
        Ok(counts)
    }

    /// Makes a node's content that of the others. It takes part from then on, and in the next commit.
    pub(in crate::cluster) async fn catch_up(
        &self,
        target: NodeIndex,
        pause: &mut impl AsyncFnMut(),
    ) -> Result<ResyncCounts, ResyncError> {
        let member = self.member(target);
        let MemberState::Behind(debt) = member.state.get() else { return Ok(ResyncCounts::default()) };
        let mut copied = Err(self.no_quorum().into());
        let mut unreadable: heapless::Vec<(NodeIndex, Ejection), MAX_NODES> = heapless::Vec::new();
        for source in self.in_sync().iter() {
            let copying = Copying { source, target, since: debt.since, thorough: debt.thorough };
            copied = self.copy_from(copying, pause).await;
            let Err(ResyncError::Source(why @ Ejection::Fault(_))) = copied else { break };
            // There are no more sources than nodes.
            let _ = unreadable.push((source, why));
        }
        let counts = match copied {
            Ok(counts) => counts,
            Err(error) => {
                // What was copied so far is committed by nothing.
                if let ResyncError::Target(why) = error {
                    member.state.set(MemberState::Ejected(why));
                }
                return Err(error);
            }
        };
        self.name_all(target).await.map_err(|error| ResyncError::Target(Ejection::of(error)))?;
        member.state.set(MemberState::InSync);
        // Not before: the target may be needed in their place.
        unreadable.iter().for_each(|(source, why)| self.eject(*source, *why));
        Ok(counts)
    }

    async fn copy_from(&self, copying: Copying, pause: &mut impl AsyncFnMut()) -> Result<ResyncCounts, ResyncError> {
        self.member(copying.target).node.recover().await.map_err(ResyncError::target)?;
        let copied = self.copy_boxed(copying, pause).await;
        let Err(ResyncError::Target(Ejection::Fault(NodeFault::Corrupt { .. }))) = copied else { return copied };
        // What is there can't be compared with anything: all of it is copied.
        self.start_over(copying.target).await.map_err(ResyncError::target)?;
        self.copy_boxed(Copying { since: ModifyTid(0), ..copying }, pause).await
    }

    async fn copy_boxed(&self, copying: Copying, pause: &mut impl AsyncFnMut()) -> Result<ResyncCounts, ResyncError> {
        // In a box: it is by far the largest of what may be waiting.
        match boxed(self.heap, self.copy_pfs(copying, pause)) {
            Ok(copy) => Box::into_pin(copy).await,
            Err(error) => Err(ResyncError::source(error.into())),
        }
    }

    /// Makes the PFS of a node an empty one that still is the same member.
    async fn start_over(&self, target: NodeIndex) -> Result<(), NodeError> {
        let node = &self.member(target).node;
        let record = node.record(self.slots.root()).await?;
        let root = Inode { meta: record.meta, body: [0; EMBEDDED_BYTES] };
        node.modify(node.next_super_tid(), Modification::RemovePfs { key: record.key }).await?;
        let create = Modification::CreatePfs { inode: &root, key: record.key, origin: None };
        node.modify(node.next_super_tid(), create).await.map(drop)
    }

    /// Tells a node what is open.
    async fn name_all(&self, target: NodeIndex) -> Result<(), NodeError> {
        let pfs = self.slots.root();
        for (into, inum) in self.slots.open() {
            self.member(target).node.execute(Command::Name { pfs, inum, into }).await?;
        }
        Ok(())
    }
}
