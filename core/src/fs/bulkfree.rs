//! Giving back what nobody refers to any more, while the filesystem is mounted.

use super::{Error, FileSystem};
use crate::cluster::BulkfreeCounts;

impl FileSystem {
    /// One pass of bulkfree over all PFSs of the volumes. It commits what was done before; other calls wait for its end.
    pub async fn bulkfree(&self) -> Result<BulkfreeCounts, Error> {
        let _changing = self.gate.change().await;
        self.sync_inside().await?;
        Ok(self.cluster.bulkfree().await?)
    }
}
