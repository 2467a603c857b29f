//! What concerns all PFSs of the volumes while one of them is mounted: which there are, making and removing others, what the
//! nodes are, and looking at their disks meanwhile.

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

    /// Makes an empty PFS beside the mounted one, on every node. It is durable, with all that was done before.
    pub async fn create_pfs(&self, new: &NewPfs<'_>) -> Result<(), Error> {
        let _still = self.still().await?;
        self.admit_still(Need::new_pfs()).await?;
        self.sync_inside().await?;
        match self.cluster.create_pfs(new).await? {
            PfsOutcome::Exists => Err(Error::Exists),
            _ => Ok(()),
        }
    }

    /// Removes a PFS with all that is in it from every node in step; the mounted one isn't removed, but exists. Its space comes
    /// back with bulkfree.
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

    /// Does something while nothing on the disks changes: it begins when everything is durable on all nodes in step, and changes
    /// wait for its end. Readers come and go.
    pub async fn at_rest<T>(&self, work: impl AsyncFnOnce() -> T) -> Result<T, Error> {
        if self.writing.is_none() {
            return Ok(work().await);
        }
        let _still = self.still().await?;
        self.sync_inside().await?;
        self.cluster.flush_all().await?;
        Ok(work().await)
    }

    /// How far the scrub under way is, or the last one came.
    pub fn scrub_progress(&self) -> ScrubProgress {
        self.cluster.scrub_progress()
    }

    /// The header in force on a node, and which copy it is.
    pub fn header_of(&self, node: NodeIndex) -> (Ref<'_, VolumeHeader>, usize) {
        self.cluster.header_of(node)
    }

    /// A node's volumes.
    pub fn volumes_of(&self, node: NodeIndex) -> &Volumes {
        self.cluster.volumes_of(node)
    }
}
