//! Snapshots of the mounted PFS (format 9.1).

use super::room::Need;
use super::{Error, FileSystem};
use crate::cluster::{NewPfs, Origin, PfsOutcome};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Inode, Inum};

impl FileSystem {
    /// Makes a writable copy of the PFS as it is now, under its own label. It takes no longer for a large PFS than for a small
    /// one: both share all blocks until one of them is changed.
    pub async fn snapshot(&self, new: &NewPfs<'_>) -> Result<(), Error> {
        let _still = self.still().await?;
        self.admit_still(Need::new_pfs()).await?;
        let tid = self.writing()?.tid();
        let root = self.inode(Inum::PFS_ROOT).await?;
        root.change(|record| record.meta.set_pfs_lsnap_tid(tid));
        self.sync_inside().await?;
        let origin = Inode { meta: root.with(|record| record.meta), body: [0; EMBEDDED_BYTES] };
        match self.cluster.snapshot_pfs(new, &Origin { slot: self.root, root: &origin, tid }).await? {
            PfsOutcome::Exists => Err(Error::Exists),
            _ => Ok(()),
        }
    }
}
