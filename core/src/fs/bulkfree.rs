//! Giving back what nobody refers to any more, while the filesystem is mounted.

use super::{Error, FileSystem};
use crate::cluster::{BulkfreeCounts, BulkfreeOptions, BulkfreeProgress, Rule};
use crate::media::geometry::CHUNK_BYTES;

impl FileSystem {
    /// One pass of bulkfree over all PFSs of the volumes. It commits what was done before; changes wait for its end.
    pub async fn bulkfree(&self) -> Result<BulkfreeCounts, Error> {
        self.bulkfree_with(BulkfreeOptions::default()).await
    }

    /// The same, done otherwise than usual.
    pub async fn bulkfree_with(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, Error> {
        let _still = self.still().await?;
        if self.cluster.has(Rule::Pair) {
            self.sync_inside().await?;
        }
        Ok(self.cluster.bulkfree_with(options).await?)
    }

    /// Passes that were begun on any node so far. What a header led to before may be given to something else after two of them.
    pub fn bulkfree_passes(&self) -> u64 {
        self.cluster.bulkfree_passes()
    }

    /// How far the pass under way is, or the last one came.
    pub fn bulkfree_progress(&self) -> BulkfreeProgress {
        self.cluster.bulkfree_progress()
    }

    /// Gives all space back that nobody refers to any more, and says how many bytes. It commits what was done before.
    pub async fn give_space_back(&self) -> Result<u64, Error> {
        let _still = self.still().await?;
        self.give_back_inside().await
    }

    /// The same, for who keeps things still.
    pub(super) async fn give_back_inside(&self) -> Result<u64, Error> {
        self.sync_inside().await?;
        // One pass finds what isn't used any more, the next gives it back.
        let first = self.cluster.bulkfree().await?;
        let second = self.cluster.bulkfree().await?;
        self.note_given_back()?;
        Ok((first.freed + second.freed) * CHUNK_BYTES)
    }
}
