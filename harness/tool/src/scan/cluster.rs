//! Which nodes are members of the same cluster, their standing, and which are missing.

use std::path::PathBuf;

use hammer2_core::cluster::Health;
use hammer2_core::media::cluster_record::{ClusterRecord, MemberState};
use hammer2_core::media::cluster_version::CommitId;
use hammer2_core::media::{Heartbeat, PfsKind, PfsSubkind, Uuid};

use super::Node;

/// A cluster, as far as its members were found.
pub struct Cluster {
    /// The id of the cluster.
    pub clid: Uuid,
    /// The label of its PFS.
    pub label: Vec<u8>,
    /// Masters there are.
    pub masters: usize,
    /// The nodes that have its PFS.
    pub members: Vec<Member>,
    /// Members that weren't found. For a cluster that was never mounted, nobody knows their ids.
    pub missing: Vec<Missing>,
}

/// A node that has a cluster's PFS.
pub struct Member {
    /// Its volumes, as they were named.
    pub images: Vec<PathBuf>,
    /// The id of its PFS.
    pub fsid: Uuid,
    /// What it is in the cluster.
    pub role: PfsKind,
    /// It votes.
    pub votes: bool,
    /// Its standing.
    pub standing: Standing,
    /// Its last commit, if it has one.
    pub version: Option<CommitId>,
    /// The mount that writes to it, on another machine or on this one.
    pub held_by: Option<Heartbeat>,
    /// The program that uses it on this machine.
    pub in_use: Option<String>,
}

/// The standing of a node, compared with the newest known state of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has everything.
    InStep,
    /// It lacks later changes.
    Stale {
        /// Epochs it lies behind.
        epochs: u32,
        /// Commits it lies behind, within the same epoch.
        commits: u32,
    },
    /// It was being brought in step, or left before it was unmounted.
    Unfinished,
    /// It was written apart from the others.
    Apart,
    /// It isn't a member (any more).
    Foreign,
    /// Another node is this member, too.
    Copy,
}

/// A member that wasn't found.
pub struct Missing {
    /// Its PFS, if that is known.
    pub fsid: Option<Uuid>,
    /// What it is in the cluster.
    pub role: PfsKind,
}

impl Cluster {
    /// Masters in step.
    pub fn masters_in_step(&self) -> usize {
        self.members.iter().filter(|member| member.votes && member.standing == Standing::InStep).count()
    }

    /// How many of them are needed to change anything.
    pub fn quorum(&self) -> usize {
        self.masters / 2 + 1
    }

    /// Its health, if these nodes were mounted now.
    pub fn health(&self) -> Health {
        let is_whole = self.missing.is_empty() && self.members.iter().all(|member| member.standing == Standing::InStep);
        match (self.masters_in_step() >= self.quorum(), is_whole) {
            (true, true) => Health::Healthy,
            (true, false) => Health::Degraded,
            (false, _) => Health::Stopped,
        }
    }

    /// The nodes to mount it from.
    pub fn nodes(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !matches!(member.standing, Standing::Foreign | Standing::Copy))
    }
}

/// The clusters that nodes form. A snapshot of a cluster's PFS is part of the cluster.
pub(super) fn of_nodes(nodes: &[Node]) -> Vec<Cluster> {
    let mut clids: Vec<Uuid> = Vec::new();
    for node in nodes {
        for pfs in node.pfss.iter().filter(|pfs| pfs.subkind == PfsSubkind::None) {
            let is_cluster = pfs.masters > 1
                || node.record_of(pfs.clid).is_some_and(|record| record.members.len() > 1)
                || nodes.iter().filter_map(|node| node.pfs_of(pfs.clid)).any(|other| other.fsid != pfs.fsid);
            if is_cluster && !clids.contains(&pfs.clid) {
                clids.push(pfs.clid);
            }
        }
    }
    let mut clusters: Vec<_> = clids.into_iter().map(|clid| of_members(clid, nodes)).collect();
    clusters.sort_by(|one, other| one.label.cmp(&other.label));
    clusters
}

fn of_members(clid: Uuid, nodes: &[Node]) -> Cluster {
    let having = || nodes.iter().filter_map(|node| Some((node, node.pfs_of(clid)?)));
    let newest = nodes
        .iter()
        .filter_map(|node| node.record_of(clid))
        .max_by_key(|record| (record.version.content().position(), record.config));
    let mut members: Vec<Member> = Vec::new();
    for (node, pfs) in having() {
        let record = node.record_of(clid);
        let listed = newest.and_then(|newest| newest.member(pfs.fsid));
        let is_twin = having().any(|(other, twin)| {
            let is_newer = (other.mirror_tid, &node.images) > (node.mirror_tid, &other.images);
            twin.fsid == pfs.fsid && other.images != node.images && is_newer
        });
        let standing = match newest {
            _ if is_twin => Standing::Copy,
            Some(_) if listed.is_none() => Standing::Foreign,
            Some(newest) => standing(record, newest),
            None => Standing::InStep,
        };
        members.push(Member {
            images: node.images.clone(),
            fsid: pfs.fsid,
            role: listed.map_or(pfs.kind, |listed| listed.role),
            votes: listed.map_or(newest.is_none() && pfs.kind == PfsKind::Master, |listed| listed.voter),
            standing,
            version: record.map(|record| record.version.content()),
            held_by: node.held_by,
            in_use: node.in_use.clone(),
        });
    }
    let masters_found = members.iter().filter(|member| member.votes && member.standing != Standing::Copy).count();
    let recorded = having().map(|(_, pfs)| usize::from(pfs.masters)).max().unwrap_or(0);
    let masters = newest.map_or(recorded.max(masters_found), ClusterRecord::voter_count);
    let missing = match newest {
        Some(newest) => {
            let is_found = |fsid| members.iter().any(|member| member.fsid == fsid);
            let listed = newest.members.iter().filter(|listed| !is_found(listed.fsid));
            listed.map(|listed| Missing { fsid: Some(listed.fsid), role: listed.role }).collect()
        }
        None => (masters_found..masters).map(|_| Missing { fsid: None, role: PfsKind::Master }).collect(),
    };
    let label = having().next().map(|(_, pfs)| pfs.label.to_vec()).unwrap_or_default();
    Cluster { clid, label, masters, members, missing }
}

/// The standing of a node with this record.
fn standing(record: Option<&ClusterRecord>, newest: &ClusterRecord) -> Standing {
    let Some(record) = record else { return Standing::Unfinished };
    let (own, known) = (record.version.content(), newest.version.content());
    let is_of_history = own.is_none() || newest.history.iter().any(|epoch| epoch.id == own.epoch);
    if !is_of_history {
        return Standing::Apart;
    }
    if matches!(record.state, MemberState::WriteDisabled | MemberState::Resyncing) {
        return Standing::Unfinished;
    }
    match own.behind(known) {
        (0, _) if own.seq == known.seq => Standing::InStep,
        (epochs, commits) => Standing::Stale { epochs, commits },
    }
}
