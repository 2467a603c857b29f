//! The status of a cluster, for its administrator.

use super::join::join_all;
use super::member::{Ejection, MemberState};
use super::vote::{CommitId, NodeSet, Role, Target};
use super::{Cluster, NodeIndex, OpError};
use crate::io::{DeviceErrors, Volumes};
use crate::media::cluster_record::ClusterRecord;
use crate::media::{ModifyTid, Uuid, VolumeHeader, cluster_record};
use crate::node::BulkfreeProgress;
use core::cell::Ref;

/// The health of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All members are in step.
    Healthy,
    /// A quorum is in step, but not all members.
    Degraded,
    /// Too few members are in step: nothing can be changed.
    Stopped,
}

impl Health {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Stopped];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
        }
    }
}

/// The current state of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct ClusterStatus {
    /// Its health.
    pub health: Health,
    /// Its version: the last commit.
    pub version: CommitId,
    /// The last transaction id of that version.
    pub tid: ModifyTid,
    /// All masters, seen or not.
    pub voters: usize,
    /// Masters in step.
    pub in_sync: usize,
    /// True while a change of the members isn't finished.
    pub is_changing: bool,
    /// Why nothing can be changed, if that was decided at mount.
    pub refused: Option<OpError>,
}

/// The current state of a member.
#[derive(Clone, Copy, Debug)]
pub struct MemberStatus {
    /// Its place among the nodes that were opened.
    pub node: NodeIndex,
    /// The id of its PFS.
    pub fsid: Uuid,
    /// Its role in the cluster.
    pub role: Role,
    /// Whether it takes part.
    pub state: MemberState,
    /// Why its PFS couldn't be read when it was last looked at, if it couldn't.
    pub unreadable: Option<Ejection>,
    /// True when it left while the cluster was in use and hasn't come back.
    pub has_left: bool,
    /// True when the others found wrong content on it.
    pub is_distrusted: bool,
    /// The last commit it has; none if it has no record of the cluster.
    pub version: Option<CommitId>,
    /// The last transaction id of that version.
    pub tid: ModifyTid,
    /// File blocks that it couldn't read and had written to it anew, since it was opened.
    pub repaired_blocks: u64,
    /// Failures of its devices since they were opened.
    pub device_errors: DeviceErrors,
    /// How often one of its blocks wasn't what it should have been.
    pub bad_blocks: u64,
    /// Commands that others have executed and it hasn't.
    pub backlog: usize,
    /// Bytes of its filesystem.
    pub total_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
}

impl MemberStatus {
    /// True when it left or couldn't be read: the cause may be over, so it can be looked at again.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, MemberState::Ejected(_)) || self.unreadable.is_some()
    }
}

impl Cluster {
    /// The status of the cluster; none for a filesystem that never was in a cluster.
    pub(crate) fn status(&self) -> Option<ClusterStatus> {
        let record = self.line.record();
        let record = record.as_ref();
        let voters = self.assent.electorate();
        if record.is_none() && voters.current.count <= 1 {
            return None;
        }
        let in_sync = self.in_sync();
        // A snapshot becomes a cluster when it is first changed.
        let refused = self.mounting.refused_for_good();
        let enough = voters.has_quorum(in_sync) && !self.assent.is_suspended() && refused.is_none();
        let can_roll = self.assent.target() == Target::AsOf && !self.mounting.onto().is_empty();
        let missing = in_sync.len() < record.map_or(voters.current.count, |record| record.members.len());
        let health = match (enough, can_roll, missing) {
            (true, _, false) => Health::Healthy,
            (true, _, true) | (false, true, _) => Health::Degraded,
            (false, false, _) => Health::Stopped,
        };
        Some(ClusterStatus {
            health,
            version: record.map_or(CommitId::NONE, |record| record.version.content()),
            tid: record.map_or(self.line.last_tid(), |record| record.tid),
            voters: voters.current.count,
            in_sync: voters.current.nodes.intersection(in_sync).len(),
            is_changing: record.is_some_and(ClusterRecord::is_pending),
            refused,
        })
    }

    /// Asks the devices of all nodes in step whether they are still there, all at the same time. A node that doesn't answer in
    /// time leaves, as after any other read.
    pub(crate) async fn probe(&self) -> Result<(), OpError> {
        self.probe_each(self.in_sync()).await
    }

    /// Asks the devices of some nodes.
    pub(super) async fn probe_each(&self, nodes: NodeSet) -> Result<(), OpError> {
        let probe = |index| self.member(index).node.probe();
        for (index, answer) in join_all(self.heap, nodes.intersection(self.in_sync()).iter(), probe).await? {
            if let Err(error) = answer {
                self.failed(index, error)?;
            }
        }
        Ok(())
    }

    /// The status of each opened node.
    pub(crate) fn member_statuses(&self) -> impl Iterator<Item = MemberStatus> {
        let list = self.line.record().clone();
        let clid = list.as_ref().map(|list| list.clid);
        self.members().map(move |(node, member)| {
            let listed = list.as_ref().and_then(|list| list.member(member.fsid.get()));
            let has_left = listed.is_some_and(|listed| listed.state == cluster_record::MemberState::WriteDisabled);
            let is_distrusted = listed.is_some_and(|listed| listed.distrusted_from.is_some());
            let header = member.node.header();
            let record = clid.and_then(|clid| header.cluster_records.find(clid).ok().flatten());
            MemberStatus {
                node,
                fsid: member.fsid.get(),
                role: member.role.get(),
                state: member.state(),
                unreadable: member.unreadable.get(),
                has_left: has_left && !member.is_in_sync(),
                is_distrusted,
                version: record.as_ref().map(|record| record.version.content()),
                tid: record.map_or(ModifyTid(0), |record| record.tid),
                repaired_blocks: member.repaired_blocks(),
                device_errors: device_errors(member.node.volumes()),
                bad_blocks: member.node.blocks().bad_blocks(),
                backlog: self.stream.backlog_entries(node),
                total_bytes: header.allocator_size(),
                free_bytes: header.allocator_free(),
            }
        })
    }

    /// The header in force on a node, and the number of its copy.
    pub(crate) fn header_of(&self, node: NodeIndex) -> (Ref<'_, VolumeHeader>, usize) {
        let node = &self.member(node).node;
        (node.header(), node.header_copy())
    }

    /// The number of passes of bulkfree that were begun on any node since it was opened.
    pub(crate) fn bulkfree_passes(&self) -> u64 {
        self.members().map(|(_, member)| member.node.bulkfree_passes()).sum()
    }

    /// The progress of bulkfree on all nodes in sync: of the current pass, or of the last one.
    pub fn bulkfree_progress(&self) -> BulkfreeProgress {
        let of_nodes = self.in_sync().iter().map(|index| self.member(index).node.bulkfree_progress());
        of_nodes.fold(BulkfreeProgress::default(), |sum, of_node| BulkfreeProgress {
            bytes: sum.bytes + of_node.bytes,
            expected_bytes: sum.expected_bytes + of_node.expected_bytes,
        })
    }

    /// A node's volumes.
    pub(crate) fn volumes_of(&self, node: NodeIndex) -> &Volumes {
        self.member(node).node.volumes()
    }

    /// Members that the record lists but that aren't among the opened nodes.
    pub(crate) fn missing_members(&self) -> heapless::Vec<cluster_record::Member, { super::MAX_NODES }> {
        let record = self.line.record();
        let listed = record.iter().flat_map(|record| &record.members);
        let is_missing = |listed: &&cluster_record::Member| self.place_of(listed.fsid).is_none();
        listed.filter(is_missing).copied().collect()
    }
}

/// The failures of all devices of a node.
fn device_errors(volumes: &Volumes) -> DeviceErrors {
    volumes.iter().map(|volume| volume.disk.errors()).fold(DeviceErrors::default(), |sum, errors| DeviceErrors {
        reads: sum.reads + errors.reads,
        writes: sum.writes + errors.writes,
    })
}
