//! Giving back unreferenced space while the filesystem is mounted.

use super::{Error, FileSystem};
use crate::cluster::{BulkfreeCounts, BulkfreeOptions, BulkfreeProgress, Rule};
use crate::media::geometry::CHUNK_BYTES;

impl FileSystem {
    /// Runs one pass of bulkfree over all PFSs of the volumes. It commits what was done before; changes wait for its end.
    pub async fn bulkfree(&self) -> Result<BulkfreeCounts, Error> {
        self.bulkfree_with(BulkfreeOptions::default()).await
    }

    /// Runs a pass of bulkfree with these options.
    pub async fn bulkfree_with(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, Error> {
        let _still = self.still().await?;
        if self.cluster.has(Rule::Pair) {
            self.sync_inside().await?;
        }
        Ok(self.cluster.bulkfree_with(options).await?)
    }

    /// Passes begun on any node so far. After two of them, the blocks of an older header may belong to something else.
    pub fn bulkfree_passes(&self) -> u64 {
        self.cluster.bulkfree_passes()
    }

    /// The progress of the current pass, or of the last one.
    pub fn bulkfree_progress(&self) -> BulkfreeProgress {
        self.cluster.bulkfree_progress()
    }

    /// Gives back all unreferenced space, and returns its bytes. It commits what was done before.
    pub async fn give_space_back(&self) -> Result<u64, Error> {
        let _still = self.still().await?;
        self.give_back_inside().await
    }

    /// Does the same for a caller that keeps things still.
    pub(super) async fn give_back_inside(&self) -> Result<u64, Error> {
        self.sync_inside().await?;
        // One pass finds what is unused, and the next gives it back.
        let first = self.cluster.bulkfree().await?;
        let second = self.cluster.bulkfree().await?;
        self.note_given_back()?;
        Ok((first.freed + second.freed) * CHUNK_BYTES)
    }
}
