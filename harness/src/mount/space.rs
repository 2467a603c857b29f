//! Space comes back while a filesystem is mounted: before it runs out, and when it has.
//!
//! Removing and overwriting free nothing by themselves, and each commit takes some space; bulkfree gives back what is no longer
//! referred to. It walks all metadata while everything waits, so it is run seldom: when much was allocated since the last time,
//! and when something finds no room. Removing finds some by itself (`hammer2_core::fs`).

use std::cell::Cell;

use hammer2_core::fs::{Error, FileSystem};

use super::server::Server;

/// What may be allocated before space is given back: an eighth of the volume.
const SHARE: u64 = 8;

/// Changes that must have been made for another run to be worth it.
const WORTHWHILE_CHANGES: u64 = 16;

/// What was known of space after the last bulkfree.
pub(super) struct Space {
    free_bytes: Cell<u64>,
    changes: Cell<u64>,
}

impl Space {
    pub(super) fn new(fs: &FileSystem) -> Self {
        Self { free_bytes: Cell::new(fs.statistics().free_bytes), changes: Cell::new(WORTHWHILE_CHANGES) }
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

    async fn give_space_back(&self) -> Result<u64, Error> {
        self.space.changes.set(0);
        let freed_bytes = self.fs.give_space_back().await?;
        self.space.free_bytes.set(self.fs.statistics().free_bytes);
        Ok(freed_bytes)
    }
}
