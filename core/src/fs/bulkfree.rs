//! Giving space back while the filesystem is mounted.

use super::{Error, FileSystem};
use crate::media::geometry::CHUNK_BYTES;

/// A chunk is staged by one pass and freed by the next.
const PASSES: usize = 2;

impl FileSystem {
    /// Gives back what nobody refers to any more (spec 6.7); how many bytes. All else waits until it is done.
    pub async fn bulkfree(&self) -> Result<u64, Error> {
        let _changing = self.gate.change().await;
        let mut freed_bytes = 0;
        for _ in 0..PASSES {
            self.sync_inside().await?;
            freed_bytes += self.cluster.bulkfree().await?.freed * CHUNK_BYTES;
        }
        Ok(freed_bytes)
    }
}
