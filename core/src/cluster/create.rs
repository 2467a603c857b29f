//! Making a cluster of nodes: a PFS on each, and the record that says that they are one.

use super::administration::{add_root, blank_root};
use super::member::MemberState;
use super::pfs::find_pfs;
use super::vote::{Electorate, EpochId, Nonce, Role, Version};
use super::{Cluster, Command, NewPfs, OpError, PfsOutcome, PfsSelector, Slot};
use crate::media::cluster_record::{self, Bind, ClusterRecord, ConfigId, Epoch};
use crate::media::cluster_version::{CommitId, CommitSeq, EpochCounter};
use crate::media::{ModifyTid, PfsKind};

impl Cluster {
    /// Makes all opened nodes masters of a new cluster with an empty PFS. Durable on all of them, or an error. `nonce` is a
    /// random number.
    pub async fn create(&self, new: &NewPfs<'_>, nonce: u64) -> Result<PfsOutcome, OpError> {
        for (_, member) in self.members() {
            member.node.recover().await?;
            if find_pfs(&member.node, PfsSelector::Label(new.label)).await?.is_some() {
                return Ok(PfsOutcome::Exists);
            }
        }
        let tid = self.members().map(|(_, member)| member.node.next_super_tid()).max().unwrap_or_default();
        let count = self.members.len();
        for (index, member) in self.members() {
            let mut root = blank_root(new);
            root.meta.pfs_fsid = new.fsid_on(index);
            root.meta.pfs_nmasters = count as u8;
            add_root(&member.node, tid, new.label, root, None).await?;
            member.fsid.set(root.meta.pfs_fsid);
            member.role.set(Role::Master);
            member.state.set(MemberState::InSync);
        }
        self.electorate.set(Electorate::of(self.in_sync(), count));
        *self.record.borrow_mut() = Some(self.first_record(new, tid, nonce));
        let (slot, _) = self.open_pfs(new.label).await?.ok_or_else(|| self.no_quorum())?;
        let made = self.commit_first(new.label, slot).await;
        self.close(slot).await?;
        made.map(|()| PfsOutcome::Done)
    }

    async fn commit_first(&self, label: &[u8], slot: Slot) -> Result<(), OpError> {
        for (_, member) in self.members() {
            member.node.execute(Command::OpenPfs { label, into: slot }).await?;
        }
        self.stage().await?;
        self.commit_next().await?;
        // Every node has it, or the cluster isn't what was ordered.
        if self.in_sync().len() == self.members.len() { Ok(()) } else { Err(self.no_quorum()) }
    }

    fn first_record(&self, new: &NewPfs<'_>, tid: ModifyTid, nonce: u64) -> ClusterRecord {
        let epoch = EpochId { ctr: EpochCounter(1), nonce: Nonce(nonce) };
        let version = Version::NONE.open_epoch(epoch);
        let members = self.members().map(|(index, _)| cluster_record::Member {
            fsid: new.fsid_on(index),
            role: PfsKind::Master,
            state: cluster_record::MemberState::InSync,
            voter: true,
            previous_voter: false,
            last_known: CommitId::NONE,
            distrusted_from: None,
        });
        let first =
            Epoch { id: epoch, base: version.base, end_seq: CommitSeq(0), end_tid: tid, forced: false, soft: false };
        ClusterRecord {
            clid: new.clid,
            fsid: new.fsid,
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
