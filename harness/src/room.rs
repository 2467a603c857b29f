//! Space comes back before it runs out, and when it has.
//!
//! Removing and overwriting free nothing by themselves, and each commit takes some space; bulkfree gives back what is no longer
//! referred to. It walks all metadata while everything waits, so it is run seldom: when much was allocated since the last time,
//! when something finds no room, and when somebody asks how much is left of little. Removing finds some by itself
//! (`hammer2_core::fs`).

use std::cell::Cell;
use std::time::{Duration, Instant};

use hammer2_core::fs::{Error, FileSystem};

/// What may be allocated before space is given back: an eighth of the volume.
const SHARE: u64 = 8;

/// Changes that must have been made for another run to be worth it.
const WORTHWHILE_CHANGES: u64 = 16;

/// Giving space back for those who only ask how much there is may take this part of all time, when it takes long at all.
const SHARE_FOR_ASKING: u32 = 10;
const LONG: Duration = Duration::from_millis(100);

/// What was known of space after the last bulkfree.
pub(crate) struct Room {
    free_bytes: Cell<u64>,
    changes: Cell<u64>,
    /// When space is given back again for somebody who only asks.
    next_asking: Cell<Instant>,
}

impl Room {
    pub(crate) fn new(fs: &FileSystem) -> Self {
        Self {
            free_bytes: Cell::new(fs.statistics().free_bytes),
            changes: Cell::new(WORTHWHILE_CHANGES),
            next_asking: Cell::new(Instant::now()),
        }
    }

    /// Does a change; once more, when it finds no room until space was given back.
    pub(crate) async fn find<T>(
        &self,
        fs: &FileSystem,
        change: impl AsyncFn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut changed = change().await;
        if matches!(changed, Err(Error::NoSpace))
            && self.changes.get() >= WORTHWHILE_CHANGES
            && self.give_back(fs).await? > 0
        {
            changed = change().await;
        }
        self.changes.set(self.changes.get() + u64::from(changed.is_ok()));
        changed
    }

    /// After a change that may have freed much by itself: the next that finds no room has space given back, however few changes
    /// there were.
    pub(crate) fn may_have_freed<T>(&self, change: Result<T, Error>) -> Result<T, Error> {
        if change.is_ok() {
            self.changes.set(self.changes.get().max(WORTHWHILE_CHANGES));
        }
        change
    }

    /// Gives space back when much of it was allocated.
    pub(crate) async fn give_back_in_time(&self, fs: &FileSystem) -> Result<(), Error> {
        let statistics = fs.statistics();
        let allocated = self.free_bytes.get().saturating_sub(statistics.free_bytes);
        if allocated > statistics.total_bytes / SHARE { self.give_back(fs).await.map(drop) } else { Ok(()) }
    }

    /// Gives space back for somebody who asks how much there is, if there is little, and it wasn't done just now.
    pub(crate) async fn give_back_for_asking(&self, fs: &FileSystem) {
        let (statistics, begun) = (fs.statistics(), Instant::now());
        let is_low = statistics.free_bytes < statistics.total_bytes / SHARE;
        if !is_low || self.changes.get() < WORTHWHILE_CHANGES || begun < self.next_asking.get() {
            return;
        }
        if let Err(error) = self.give_back(fs).await {
            log::debug!("no space is given back: {error}");
        }
        let took = begun.elapsed();
        let pause = if took < LONG { Duration::ZERO } else { took * SHARE_FOR_ASKING };
        self.next_asking.set(Instant::now() + pause);
    }

    async fn give_back(&self, fs: &FileSystem) -> Result<u64, Error> {
        self.changes.set(0);
        let freed_bytes = fs.give_space_back().await?;
        self.free_bytes.set(fs.statistics().free_bytes);
        Ok(freed_bytes)
    }
}
