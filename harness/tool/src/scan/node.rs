//! A node: the volumes of a filesystem, and their content.

use std::path::PathBuf;

use hammer2_core::cluster::{Cluster, Pfs};
use hammer2_core::io::Disk;
use hammer2_core::media::cluster_record::ClusterRecord;
use hammer2_core::media::{Heartbeat, MirrorTid, PfsSubkind, Uuid};
use hammer2_core::memory::{Vec as HeapVec, push};
use hammer2_core::node::{self, NodeOptions};

use super::volume::{HEAP, Volume};
use crate::admin::list_pfss;

/// A filesystem with all its volumes.
pub struct Node {
    /// Its volumes, as they were named.
    pub images: Vec<PathBuf>,
    /// Its id.
    pub fsid: Uuid,
    /// Its last commit.
    pub mirror_tid: MirrorTid,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// The PFSs on it.
    pub pfss: Vec<Pfs>,
    /// Its records of the clusters that it is a member of.
    pub records: Vec<ClusterRecord>,
    /// The mount that writes to it, on another machine or on this one.
    pub held_by: Option<Heartbeat>,
    /// The program that uses it on this machine.
    pub in_use: Option<String>,
    /// What can't be read.
    pub damage: Option<String>,
    /// The volumes of another node that has its id: one was copied to the other.
    pub copy_of: Option<Vec<PathBuf>>,
}

/// Volumes of a filesystem of which other volumes are missing.
pub struct Incomplete {
    /// The volumes, as they were named.
    pub images: Vec<PathBuf>,
    /// The id of the filesystem.
    pub fsid: Uuid,
    /// How many volumes it has.
    pub count: usize,
    /// Which of them are missing.
    pub missing: Vec<usize>,
    /// What else is wrong.
    pub damage: Option<String>,
}

impl Node {
    /// The node that a set of volumes makes.
    pub(super) async fn of(set: Vec<Volume>) -> Result<Self, Incomplete> {
        let (fsid, count) = (set[0].fsid, set[0].count);
        let images: Vec<_> = set.iter().map(|volume| volume.path.clone()).collect();
        let missing: Vec<_> = (0..count).filter(|id| set.iter().all(|volume| usize::from(volume.id) != *id)).collect();
        let incomplete = |damage| Incomplete { images: images.clone(), fsid, count, missing: missing.clone(), damage };
        if !missing.is_empty() {
            return Err(incomplete(None));
        }
        let held_by = set[0].heartbeat;
        let in_use = set.iter().find_map(|volume| volume.in_use.clone());
        let mirror_tid = set[0].mirror_tid;
        let mut disks: HeapVec<Disk> = HeapVec::new_in(HEAP);
        for volume in set {
            push(&mut disks, volume.disk).map_err(|error| incomplete(Some(error.to_string())))?;
        }
        let options = NodeOptions::default();
        let node = node::open(HEAP, disks, options).await.map_err(|error| incomplete(Some(error.to_string())))?;
        let (total_bytes, free_bytes) = (node.header().allocator_size(), node.header().allocator_free());
        let (mut records, mut damage) = (Vec::new(), None);
        for record in node.header().cluster_records.iter() {
            match record {
                Ok(record) => records.push(record),
                Err(error) => damage = Some(error.to_string()),
            }
        }
        let cluster = Cluster::of_one(HEAP, node, options).map_err(|error| incomplete(Some(error.to_string())))?;
        let (pfss, unread) = list_pfss(async |range| cluster.next_pfs(range).await).await;
        let damage = damage.or(unread.map(|error| error.to_string()));
        Ok(Self {
            images,
            fsid,
            mirror_tid,
            total_bytes,
            free_bytes,
            pfss,
            records,
            held_by,
            in_use,
            damage,
            copy_of: None,
        })
    }

    /// The default PFS: DATA, else the first that is neither LOCAL nor a snapshot.
    pub fn usual_pfs(&self) -> Option<&Pfs> {
        let own = self.pfss.iter().filter(|pfs| pfs.subkind == PfsSubkind::None && pfs.label != b"LOCAL");
        own.min_by_key(|pfs| pfs.label != b"DATA")
    }

    /// The PFS of a cluster.
    pub fn pfs_of(&self, clid: Uuid) -> Option<&Pfs> {
        self.pfss.iter().find(|pfs| pfs.clid == clid)
    }

    /// Its record of a cluster.
    pub fn record_of(&self, clid: Uuid) -> Option<&ClusterRecord> {
        self.records.iter().find(|record| record.clid == clid)
    }
}
