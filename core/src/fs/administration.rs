//! What concerns all PFSs of the volumes while one of them is mounted: listing, making and removing others, the state of the
//! nodes, and looking at their disks meanwhile.

use core::cell::Ref;

use super::room::Need;
use super::{Error, FileSystem};
use crate::cluster::{NewPfs, NodeIndex, Pfs, PfsOutcome, ScrubProgress};
use crate::io::Volumes;
use crate::media::{KeyRange, VolumeHeader};

impl FileSystem {
    /// The first PFS with a key of `range`, and the keys after it, as of the last commit.
    pub async fn next_pfs(&self, range: KeyRange) -> Result<Option<(Pfs, Option<KeyRange>)>, Error> {
        let _reading = self.reading().await?;
        Ok(self.cluster.next_pfs(range).await?)
    }

    /// Makes an empty PFS beside the mounted one, on every node. It is durable when this returns, with everything done before.
    pub async fn create_pfs(&self, new: &NewPfs<'_>) -> Result<(), Error> {
        let _still = self.still().await?;
        self.admit_still(Need::new_pfs()).await?;
        self.sync_inside().await?;
        match self.cluster.create_pfs(new).await? {
            PfsOutcome::Exists => Err(Error::Exists),
            _ => Ok(()),
        }
    }

    /// Removes a PFS with everything in it from every node in step. The mounted PFS is not removed: the error is that it exists.
    /// Bulkfree gives the space back.
    pub async fn delete_pfs(&self, label: &[u8]) -> Result<(), Error> {
        let _still = self.still().await?;
        if self.pfs.label == label {
            return Err(Error::Exists);
        }
        self.sync_inside().await?;
        match self.cluster.delete_pfs(label).await? {
            PfsOutcome::Absent => Err(Error::NotFound),
            _ => {
                self.writing()?.given_back.note_freed();
                Ok(())
            }
        }
    }

    /// Runs `work` while nothing on the disks changes: it begins when everything is durable on all nodes in step, and changes
    /// wait for its end. Readers are let in.
    pub async fn at_rest<T>(&self, work: impl AsyncFnOnce() -> T) -> Result<T, Error> {
        if self.writing.is_none() {
            return Ok(work().await);
        }
        let _still = self.still().await?;
        self.sync_inside().await?;
        self.cluster.flush_all().await?;
        Ok(work().await)
    }

    /// The progress of the current scrub, or of the last one.
    pub fn scrub_progress(&self) -> ScrubProgress {
        self.cluster.scrub_progress()
    }

    /// The header in force on a node, and the number of its copy.
    pub fn header_of(&self, node: NodeIndex) -> (Ref<'_, VolumeHeader>, usize) {
        self.cluster.header_of(node)
    }

    /// A node's volumes.
    pub fn volumes_of(&self, node: NodeIndex) -> &Volumes {
        self.cluster.volumes_of(node)
    }
}
