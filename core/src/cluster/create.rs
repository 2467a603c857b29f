//! Making a cluster of nodes: a PFS on each, and the record that makes them one.

use super::administration::{add_root, blank_root};
use super::member::MemberState;
use super::pfs::find_pfs;
use super::vote::{Electorate, EpochId, NodeSet, Nonce, Refusal, Role, Version};
use super::{Cluster, Command, NewPfs, NodeIndex, OpError, PfsOutcome, PfsSelector, Slot};
use crate::media::cluster_record::{self, Bind, ClusterRecord, ConfigId, Epoch};
use crate::media::cluster_version::{CommitId, CommitSeq, EpochCounter};
use crate::media::{ModifyTid, PfsKind, Uuid};

impl Cluster {
    /// Makes all opened nodes masters of a new cluster with an empty PFS. It either becomes durable on all of them or fails.
    /// `nonce` is a random number.
    pub async fn create(&self, new: &NewPfs<'_>, nonce: u64) -> Result<PfsOutcome, OpError> {
        self.create_as(new, &[], nonce).await
    }

    /// Makes a cluster like [`create`](Self::create), with a kind for each node in order. Nodes beyond the end of `kinds` become
    /// masters.
    pub async fn create_as(&self, new: &NewPfs<'_>, kinds: &[PfsKind], nonce: u64) -> Result<PfsOutcome, OpError> {
        let kind_of = |index: NodeIndex| kinds.get(usize::from(index.0)).copied().unwrap_or(PfsKind::Master);
        let masters: NodeSet =
            self.members().map(|(index, _)| index).filter(|index| kind_of(*index) == PfsKind::Master).collect();
        if masters.is_empty() {
            return Err(OpError::Refused(Refusal::NoMaster));
        }
        for (_, member) in self.members() {
            member.node.recover().await?;
            if find_pfs(&member.node, PfsSelector::Label(new.label)).await?.is_some() {
                return Ok(PfsOutcome::Exists);
            }
        }
        let tid = self.members().map(|(_, member)| member.node.next_super_tid()).max().unwrap_or_default();
        for (index, member) in self.members() {
            let mut root = blank_root(new);
            root.meta.pfs_fsid = new.fsid_on(index);
            root.meta.pfs_nmasters = masters.len() as u8;
            root.meta.set_pfs_kind(kind_of(index));
            add_root(&member.node, tid, new.label, root, None).await?;
            member.fsid.set(root.meta.pfs_fsid);
            member.role.set(Role::of(kind_of(index)).unwrap_or(Role::Cache));
            member.set_state(MemberState::InSync);
        }
        self.assent.elect(Electorate::of(masters, masters.len()));
        self.line.follow(Some(self.first_record(new.clid, tid, nonce)));
        let (slot, _) = self.open_pfs(new.label).await?.ok_or_else(|| self.no_quorum())?;
        let made = self.commit_first(new.label, slot).await;
        self.close(slot);
        made.map(|()| PfsOutcome::Done)
    }

    /// Turns the open PFS of a single node that never was in a cluster into a cluster whose only master is that node. `nonce` is
    /// a random number.
    pub(crate) async fn found(&self, nonce: u64) -> Result<(), OpError> {
        let Some(node) = self.single() else { return Ok(()) };
        node.flush().await?;
        let root = node.record(self.slots.root()).await?;
        let only = self.member(NodeIndex(0));
        only.fsid.set(root.meta.pfs_fsid);
        only.role.set(Role::Master);
        let tid = self.line.last_tid().max(root.modify_tid);
        let record = self.first_record(root.meta.pfs_clid, tid, nonce);
        self.assent.elect(Electorate::of(NodeSet::only(NodeIndex(0)), 1));
        self.line.begin(Some(record), tid);
        self.set_roots().await?;
        self.commit_next().await
    }

    async fn commit_first(&self, label: &[u8], slot: Slot) -> Result<(), OpError> {
        for (_, member) in self.members() {
            member.node.execute(Command::OpenPfs { label, into: slot }).await?;
        }
        self.commit_next().await?;
        self.level().await?;
        // Unless every node has it, it isn't the cluster that was ordered.
        if self.in_sync().len() == self.members.len() { Ok(()) } else { Err(self.no_quorum()) }
    }

    /// The record of a cluster whose members are the opened nodes, with the roles that they have.
    pub(super) fn first_record(&self, clid: Uuid, tid: ModifyTid, nonce: u64) -> ClusterRecord {
        let epoch = EpochId { ctr: EpochCounter(1), nonce: Nonce(nonce) };
        let version = Version::NONE.open_epoch(epoch);
        let members = self.members().map(|(_, member)| cluster_record::Member {
            fsid: member.fsid.get(),
            role: member.role.get().kind(),
            state: cluster_record::MemberState::InSync,
            voter: member.role.get() == Role::Master,
            previous_voter: false,
            last_known: CommitId::NONE,
            distrusted_from: None,
        });
        let first =
            Epoch { id: epoch, base: version.base, end_seq: CommitSeq(0), end_tid: tid, forced: false, soft: false };
        ClusterRecord {
            clid,
            fsid: self.member(NodeIndex(0)).fsid.get(),
            state: cluster_record::MemberState::InSync,
            config: ConfigId { ctr: epoch.ctr, change: 0 },
            members: members.collect(),
            version,
            tid,
            acked: CommitId::NONE,
            tid_floor: tid,
            history: [first].into_iter().collect(),
            trusted: CommitId::NONE,
            trusted_tid: ModifyTid(0),
            distrusted: heapless::Vec::new(),
            accepted: heapless::Vec::new(),
            bind: Bind::default(),
        }
    }
}
