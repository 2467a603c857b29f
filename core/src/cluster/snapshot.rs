//! A snapshot of a cluster becomes a cluster of its own when it is first to be written, and so does an empty PFS that was made on
//! all nodes at once while another was mounted.
//!
//! It was made at one commit on all nodes and nothing has changed it since, so its copies don't differ and no operator needs to
//! choose between them, as for masters that were made one by one, whose ids have nothing in common. Until it is written it needs
//! no record, of which a header has few (protocol 5.3, "Super-root objects"). Any mount that finds a quorum of the copies makes
//! the same record, so an interrupted attempt can be repeated.

use super::member::MemberState;
use super::vote::{CommitSeq, Electorate, EpochCounter, EpochId, NodeSet, Nonce, Refusal, Role, State, Target};
use super::{Cluster, MAX_NODES, NodeIndex, OpError};
use crate::media::cluster_record;
use crate::media::cluster_version::CommitId;
use crate::media::{PfsKind, PfsSubkind, Uuid};
use crate::node::InodeRecord;

/// The bits of the last byte of a PFS's id that give its number among the PFSs of its cluster when it was made.
const INDEX_BITS: u8 = MAX_NODES as u8 - 1;

/// The PFS's id on one of several nodes: every member has an id of its own.
pub(super) fn fsid_on(fsid: Uuid, node: NodeIndex) -> Uuid {
    let Uuid(mut bytes) = fsid;
    bytes[15] = bytes[15] & !INDEX_BITS | node.0 & INDEX_BITS;
    Uuid(bytes)
}

/// The epoch in which a snapshot becomes a cluster, which is the same at every mount.
fn founding(clid: Uuid) -> EpochId {
    let nonce = clid.0.iter().fold(0u64, |nonce, byte| nonce.rotate_left(8) ^ u64::from(*byte));
    EpochId { ctr: EpochCounter(1), nonce: Nonce(nonce) }
}

impl Cluster {
    /// Makes a cluster of the PFS that was entered, if it is a snapshot with a quorum of copies that were never changed except by
    /// this. After that an epoch must be opened, as at every mount.
    pub(super) async fn found_of_snapshot(&self) -> Result<(), OpError> {
        match self.snapshot_copies().await {
            Some((electorate, root)) => self.found_with(electorate, &root).await,
            None => Ok(()),
        }
    }

    /// Notes whether the PFS that was entered is such a snapshot: then its status is that all copies are in step.
    pub(super) async fn note_snapshot(&self) {
        // A mount of one chosen version looks at nothing else.
        if self.mounting.choice().is_some() {
            return;
        }
        if let Some((electorate, _)) = self.snapshot_copies().await {
            self.take_copies(electorate);
            self.mounting.expect_founding();
        }
    }

    /// The unchanged copies of the snapshot that was entered, if there is a quorum of them, and the root of one.
    async fn snapshot_copies(&self) -> Option<(Electorate, InodeRecord)> {
        if !matches!(
            self.mounting.refused(),
            Some(OpError::Refused(Refusal::NoRecord { .. } | Refusal::NoQuorum { .. }))
        ) {
            return None;
        }
        let mut copies: heapless::Vec<(NodeIndex, InodeRecord), MAX_NODES> = heapless::Vec::new();
        for (index, member) in self.members().filter(|(_, member)| member.role.get() == Role::Master) {
            match member.node.record(self.slots.root()).await {
                Ok(root) => drop(copies.push((index, root))),
                Err(error) => log::warn!("{}: {}", self.called(index), super::Ejection::of(error)),
            }
        }
        let (_, first) = copies.first()?;
        let clid = first.meta.pfs_clid;
        let is_blank_since = |root: &InodeRecord| {
            let own = |root: &InodeRecord| fsid_on(root.meta.pfs_fsid, NodeIndex(0));
            root.stats.inodes <= 1 && root.stats.data_bytes == 0 && own(root) == own(first)
        };
        let same = |(index, root): &(NodeIndex, InodeRecord)| {
            (root.modify_tid, root.meta.pfs_lsnap_tid(), root.meta.pfs_nmasters)
                == (first.modify_tid, first.meta.pfs_lsnap_tid(), first.meta.pfs_nmasters)
                && (root.meta.pfs_subkind() == PfsSubkind::Snapshot || is_blank_since(root))
                && match self.member(*index).node.header().cluster_records.find(clid) {
                    Ok(record) => record.is_none_or(|record| {
                        let commit = record.version.commit;
                        commit.epoch == founding(clid) && commit.seq <= CommitSeq(1)
                    }),
                    Err(_) => false,
                }
        };
        let masters = usize::from(first.meta.pfs_nmasters).max(copies.len());
        let electorate = Electorate::of(copies.iter().map(|(index, _)| *index).collect(), masters);
        let is_whole = electorate.has_quorum(electorate.current.nodes) && copies.iter().all(same);
        is_whole.then_some((electorate, *first))
    }

    /// Makes the nodes that have a copy take part.
    fn take_copies(&self, electorate: Electorate) {
        for (index, member) in self.members() {
            let is_copy = electorate.current.nodes.contains(index);
            member.set_state(if is_copy { MemberState::InSync } else { MemberState::Aside(State::Apart) });
        }
        self.assent.elect(electorate);
    }

    async fn found_with(&self, electorate: Electorate, root: &InodeRecord) -> Result<(), OpError> {
        let (copies, clid): (NodeSet, Uuid) = (electorate.current.nodes, root.meta.pfs_clid);
        self.take_copies(electorate);
        let tid = root.modify_tid.max(root.meta.pfs_lsnap_tid());
        let epoch = founding(clid);
        let mut record = self.first_record(clid, tid, epoch.nonce.0);
        record.members.retain(|listed| copies.iter().any(|index| self.member(index).fsid.get() == listed.fsid));
        let some = record.members.first().map_or(clid, |listed| listed.fsid);
        for fsid in (0..MAX_NODES as u8).map(|index| fsid_on(some, NodeIndex(index))) {
            if record.members.len() < electorate.current.count && record.member(fsid).is_none() {
                let missing = cluster_record::Member {
                    fsid,
                    role: PfsKind::Master,
                    state: cluster_record::MemberState::WriteDisabled,
                    voter: true,
                    previous_voter: false,
                    last_known: CommitId::NONE,
                    distrusted_from: None,
                };
                // A cluster has no more members than fit.
                let _ = record.members.push(missing);
            }
        }
        self.assent.aim_at(Target::Quorum);
        self.line.begin(Some(record), tid);
        self.mounting.found(EpochCounter(epoch.ctr.0 + 1), tid);
        self.prepare().await?;
        self.commit_next().await
    }
}
