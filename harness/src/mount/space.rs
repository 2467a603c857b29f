//! Space comes back while a filesystem is mounted, and what is told of it.

use fuser::ReplyStatfs;
use hammer2_core::fs::Error;
use hammer2_core::media::geometry::MAX_NAME_BYTES;

use super::server::Server;

/// The unit of free space the kernel is told.
const FRAGMENT_BYTES: u32 = 4096;

impl Server {
    /// Does a change; once more, when it finds no room until space was given back.
    pub(super) async fn with_room<T>(&self, change: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        self.room.find(&self.fs, async || self.patiently(&change).await).await
    }

    /// After a change that may have freed much by itself: the next that finds no room has space given back.
    pub(super) fn may_have_freed<T>(&self, change: Result<T, Error>) -> Result<T, Error> {
        self.room.may_have_freed(change)
    }

    /// Gives space back when much of it was allocated.
    pub(super) async fn give_space_back_in_time(&self) -> Result<(), Error> {
        self.room.give_back_in_time(&self.fs).await
    }

    /// Tells how much room there is, as a writer would find it now. When room is low, what was removed is given back first: who
    /// has just removed something asks whether that was enough.
    pub(super) async fn statfs(&self, reply: ReplyStatfs) {
        self.room.give_back_for_asking(&self.fs).await;
        let statistics = self.fs.statistics();
        let fragments = |bytes: u64| bytes / u64::from(FRAGMENT_BYTES);
        // Inodes come from free space: as many more as chunks of 1 KiB.
        let free_inodes = statistics.free_bytes / 1024;
        reply.statfs(
            fragments(statistics.total_bytes),
            fragments(statistics.free_bytes),
            fragments(statistics.available_bytes),
            statistics.inodes + free_inodes,
            free_inodes,
            FRAGMENT_BYTES,
            MAX_NAME_BYTES as u32,
            FRAGMENT_BYTES,
        );
    }
}
