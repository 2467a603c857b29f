//! All content of a volume, mounted for comparison: its PFS and the snapshots of it.

use std::rc::Rc;

use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountError};
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::KeyRange;
use hammer2_model::Model;

use super::volume::{HEAP, Host, LABEL, device, mount_options};
use crate::difference::difference;

/// A PFS that newfs makes for the local system's own use.
const LOCAL: &str = "LOCAL";

/// The PFSs of a volume.
pub(crate) struct Pfss {
    data: FileSystem,
    /// The snapshots, sorted by label.
    snapshots: Vec<(String, FileSystem)>,
}

impl Pfss {
    /// Mounts them all.
    pub(crate) async fn mount(host: &Host, disk: &Rc<MemoryDisk>) -> Result<Self, MountError> {
        let cluster = FileSystem::open_cluster(HEAP, host.disks(device(disk)), mount_options()).await?;
        let mut labels = Vec::new();
        let mut rest = Some(KeyRange::ALL);
        while let Some(range) = rest {
            let Some((pfs, after)) = cluster.next_pfs(range).await? else { break };
            labels.push(String::from_utf8_lossy(&pfs.label).into_owned());
            rest = after;
        }
        labels.sort();
        let data = FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(LABEL.as_bytes()), mount_options()).await?;
        let mut snapshots = Vec::new();
        for label in labels.into_iter().filter(|label| ![LABEL, LOCAL].contains(&&label[..])) {
            let fs = host.mount_pfs(HEAP, device(disk), &label).await?;
            snapshots.push((label, fs));
        }
        Ok(Self { data, snapshots })
    }

    /// The size of the volume, by its header.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.data.statistics().total_bytes
    }

    /// Says how they differ from a state; nothing when they don't.
    pub(crate) async fn difference(&self, model: &Model) -> Option<String> {
        let found = self.snapshots.iter().map(|(label, _)| &label[..]);
        if !found.eq(model.snapshots().map(|(label, _)| label)) {
            let labels: Vec<_> = self.snapshots.iter().map(|(label, _)| label).collect();
            return Some(format!("other snapshots: {labels:?}"));
        }
        for ((label, fs), (_, snapshot)) in self.snapshots.iter().zip(model.snapshots()) {
            if let Some(what) = difference(fs, snapshot).await {
                return Some(format!("snapshot {label}: {what}"));
            }
        }
        difference(&self.data, model).await
    }
}
