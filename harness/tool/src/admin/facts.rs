//! Facts about a filesystem: its PFSs, and the header and the volumes of each node.

use hammer2_core::cluster::{BulkfreeCounts, Pfs};
use hammer2_core::io::Volumes;
use hammer2_core::media::geometry::CHUNK_BYTES;
use hammer2_core::media::{KeyRange, PfsSubkind, VolumeHeader};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// All PFSs up to the first that can't be read, and why it can't. `next` returns the first in a range of keys, and the range
/// after it.
pub async fn list_pfss<E>(
    next: impl AsyncFn(KeyRange) -> Result<Option<(Pfs, Option<KeyRange>)>, E>,
) -> (Vec<Pfs>, Option<E>) {
    let mut pfss = Vec::new();
    let mut rest = Some(KeyRange::ALL);
    while let Some(range) = rest {
        match next(range).await {
            Ok(Some((pfs, after))) => {
                pfss.push(pfs);
                rest = after;
            }
            Ok(None) => break,
            Err(error) => return (pfss, Some(error)),
        }
    }
    (pfss, None)
}

/// A PFS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PfsFacts {
    /// Its label.
    pub label: Vec<u8>,
    /// What it is in its cluster.
    pub kind: String,
    /// Whether it is a snapshot, as the format has it.
    pub subkind: String,
    /// The cluster it belongs to.
    pub clid: String,
    /// Itself.
    pub fsid: String,
    /// Masters of its cluster as recorded.
    pub masters: u8,
    /// The last transaction below its root.
    pub modify_tid: u64,
    /// Inodes in it.
    pub inodes: u64,
    /// Bytes of its content.
    pub data_bytes: u64,
    /// When it was made, in microseconds since 1970.
    pub created_us: u64,
}

impl From<&Pfs> for PfsFacts {
    fn from(pfs: &Pfs) -> Self {
        let stats = pfs.root.stats;
        Self {
            label: pfs.label.to_vec(),
            kind: pfs.kind.to_string(),
            subkind: subkind_name(pfs.subkind).into(),
            clid: pfs.clid.to_string(),
            fsid: pfs.fsid.to_string(),
            masters: pfs.masters,
            modify_tid: pfs.root.modify_tid.0,
            inodes: stats.inodes,
            data_bytes: stats.data_bytes,
            created_us: pfs.root.meta.btime().microseconds,
        }
    }
}

fn subkind_name(subkind: PfsSubkind) -> &'static str {
    match subkind {
        PfsSubkind::None => "NONE",
        PfsSubkind::Snapshot => "SNAPSHOT",
        PfsSubkind::AutoSnapshot => "AUTOSNAP",
    }
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The fields of its header.
    pub header: Map<String, Value>,
    /// Its volumes.
    pub volumes: Vec<Value>,
}

impl NodeFacts {
    /// The facts about a node with this header, which was found in this copy, and these volumes.
    pub fn of(header: &VolumeHeader, copy: usize, volumes: &Volumes) -> Self {
        let mut fields = Map::from_iter([("copy".to_owned(), json!(copy))]);
        fields.extend(header_fields(header));
        let describe = |(id, volume): (usize, &hammer2_core::io::Volume)| {
            let device = volume.disk.info();
            json!({ "id": id, "device": device.name.as_str(), "base": volume.base.0, "bytes": volume.bytes() })
        };
        Self { header: fields, volumes: volumes.iter().enumerate().map(describe).collect() }
    }
}

/// What a header says.
pub fn header_fields(header: &VolumeHeader) -> Map<String, Value> {
    let version = header.version().map_or(0, |version| version as u32);
    let fields = [
        ("version", json!(version)),
        ("fsid", json!(header.fsid.to_string())),
        ("mirror_tid", json!(header.mirror_tid().0)),
        ("freemap_tid", json!(header.freemap_tid().0)),
        ("allocator_size", json!(header.allocator_size())),
        ("allocator_free", json!(header.allocator_free())),
        ("allocator_beg", json!(header.allocator_beg().0)),
        ("boot_beg", json!(header.boot_beg().0)),
        ("boot_end", json!(header.boot_end().0)),
        ("aux_beg", json!(header.aux_beg().0)),
        ("aux_end", json!(header.aux_end().0)),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What bulkfree came to, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Freed {
    /// Given back.
    pub freed_bytes: u64,
    /// Of these, discarded on the device.
    pub discarded_bytes: u64,
    /// In use, and marked as free until now.
    pub repaired_bytes: u64,
    /// Free by now.
    pub free_bytes: u64,
}

impl Freed {
    /// Adds what one pass came to.
    pub fn add(&mut self, counts: &BulkfreeCounts) {
        self.freed_bytes += counts.freed * CHUNK_BYTES;
        self.discarded_bytes += counts.discarded * CHUNK_BYTES;
        self.repaired_bytes += counts.repaired * CHUNK_BYTES;
    }
}
