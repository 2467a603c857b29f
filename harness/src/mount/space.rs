//! Space comes back while a filesystem is mounted: before it runs out, and when it has.
//!
//! Removing and overwriting free nothing by themselves, and each commit takes some space; bulkfree gives back what is no longer
//! referred to. It walks all metadata while everything waits, so it is run seldom: when much was allocated since the last time,
//! when something finds no room, and when somebody asks how much is left of little. Removing finds some by itself
//! (`hammer2_core::fs`).

use std::cell::Cell;
use std::time::{Duration, Instant};

use fuser::ReplyStatfs;
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::geometry::MAX_NAME_BYTES;

use super::server::Server;

/// What may be allocated before space is given back: an eighth of the volume.
const SHARE: u64 = 8;

/// Changes that must have been made for another run to be worth it.
const WORTHWHILE_CHANGES: u64 = 16;

/// The unit of free space the kernel is told.
const FRAGMENT_BYTES: u32 = 4096;

/// Giving space back for those who only ask how much there is may take this part of all time, when it takes long at all.
const SHARE_FOR_ASKING: u32 = 10;
const LONG: Duration = Duration::from_millis(100);

/// What was known of space after the last bulkfree.
pub(super) struct Space {
    free_bytes: Cell<u64>,
    changes: Cell<u64>,
    /// When space is given back again for somebody who only asks.
    next_asking: Cell<Instant>,
}

impl Space {
    pub(super) fn new(fs: &FileSystem) -> Self {
        Self {
            free_bytes: Cell::new(fs.statistics().free_bytes),
            changes: Cell::new(WORTHWHILE_CHANGES),
            next_asking: Cell::new(Instant::now()),
        }
    }
}

impl Server {
    /// Does a change; once more, when it finds no room until space was given back.
    pub(super) async fn with_room<T>(&self, change: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let mut changed = self.patiently(&change).await;
        if matches!(changed, Err(Error::NoSpace))
            && self.space.changes.get() >= WORTHWHILE_CHANGES
            && self.give_space_back().await? > 0
        {
            changed = self.patiently(&change).await;
        }
        self.space.changes.set(self.space.changes.get() + u64::from(changed.is_ok()));
        changed
    }

    /// After a change that may have freed much by itself: the next that finds no room has space given back, however few changes
    /// there were.
    pub(super) fn may_have_freed<T>(&self, change: Result<T, Error>) -> Result<T, Error> {
        if change.is_ok() {
            self.space.changes.set(self.space.changes.get().max(WORTHWHILE_CHANGES));
        }
        change
    }

    /// Gives space back when much of it was allocated.
    pub(super) async fn give_space_back_in_time(&self) -> Result<(), Error> {
        let statistics = self.fs.statistics();
        let allocated = self.space.free_bytes.get().saturating_sub(statistics.free_bytes);
        if allocated > statistics.total_bytes / SHARE { self.give_space_back().await.map(drop) } else { Ok(()) }
    }

    /// Tells how much room there is, as a writer would find it now. When room is low, what was removed is given back first: who
    /// has just removed something asks whether that was enough.
    pub(super) async fn statfs(&self, reply: ReplyStatfs) {
        let statistics = self.fs.statistics();
        let is_low = statistics.free_bytes < statistics.total_bytes / SHARE;
        let begun = Instant::now();
        if is_low && self.space.changes.get() >= WORTHWHILE_CHANGES && begun >= self.space.next_asking.get() {
            if let Err(error) = self.give_space_back().await {
                log::debug!("no space is given back: {error}");
            }
            let took = begun.elapsed();
            let pause = if took < LONG { Duration::ZERO } else { took * SHARE_FOR_ASKING };
            self.space.next_asking.set(Instant::now() + pause);
        }
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

    async fn give_space_back(&self) -> Result<u64, Error> {
        self.space.changes.set(0);
        let freed_bytes = self.fs.give_space_back().await?;
        self.space.free_bytes.set(self.fs.statistics().free_bytes);
        Ok(freed_bytes)
    }
}
