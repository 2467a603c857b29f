//! Giving space back before it runs out, and when it has run out.
//!
//! Removing and overwriting free nothing by themselves, and each commit takes some space; bulkfree gives back what is no longer
//! referred to. It walks all metadata while changes wait, so it is done seldom: when much was allocated since the last time, when
//! an operation finds no room, and when somebody asks for the free space while it is low.

use core::cell::Cell;
use core::time::Duration;

use super::super::{Error, FileSystem, Statistics};
use crate::io::Instant;
use crate::media::ModifyTid;

/// What may be allocated before space is given back: one part in this many of the volume.
const SHARE: u64 = 8;

/// The number of operations that must have been done before another time is worthwhile.
const WORTHWHILE_OPERATIONS: u64 = 16;

/// If giving space back takes long, queries for free space may cause it for at most one part in this many of all time.
const SHARE_FOR_ASKING: u32 = 10;
const LONG: Duration = Duration::from_millis(100);

/// What was known of space when it was last given back.
pub(in crate::fs) struct GivenBack {
    /// The free bytes at that time; none before the first time.
    free_bytes: Cell<Option<u64>>,
    /// The first operation after it.
    next_tid: Cell<ModifyTid>,
    /// True when something was done since that may have freed much by itself.
    may_have_freed: Cell<bool>,
    /// The earliest time at which a query for free space may cause it again.
    next_asking: Cell<Option<Instant>>,
}

impl Default for GivenBack {
    fn default() -> Self {
        Self {
            free_bytes: Cell::new(None),
            next_tid: Cell::new(ModifyTid(0)),
            // What was removed before the mount wasn't counted.
            may_have_freed: Cell::new(true),
            next_asking: Cell::new(None),
        }
    }
}

impl GivenBack {
    fn is_worthwhile(&self, next_tid: ModifyTid) -> bool {
        self.may_have_freed.get() || next_tid.0 - self.next_tid.get().0 >= WORTHWHILE_OPERATIONS
    }

    /// Notes that much may have been freed: the next operation that finds no room makes space come back.
    pub(in crate::fs) fn note_freed(&self) {
        self.may_have_freed.set(true);
    }

    fn note(&self, next_tid: ModifyTid, free_bytes: u64) {
        self.next_tid.set(next_tid);
        self.may_have_freed.set(false);
        self.free_bytes.set(Some(free_bytes));
    }
}

impl FileSystem {
    /// Gives space back for an operation that found no room and keeps things still; false if it found none.
    pub(in crate::fs) async fn find_room(&self) -> Result<bool, Error> {
        let writing = self.writing()?;
        if !writing.given_back.is_worthwhile(writing.next_tid()) {
            return Ok(false);
        }
        match self.give_back_inside().await {
            Ok(freed_bytes) => Ok(freed_bytes > 0),
            Err(error) => self.unless_damaged(error).map(|()| false),
        }
    }

    /// Notes that all possible space was given back, and that nothing has changed since.
    pub(in crate::fs) fn note_given_back(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        writing.given_back.note(writing.next_tid(), self.statistics().free_bytes);
        Ok(())
    }

    /// On a damaged volume nobody can tell what is in use: this is no error, and isn't tried again soon.
    fn unless_damaged(&self, error: Error) -> Result<(), Error> {
        match error {
            Error::Io(fault) if fault.bad_block().is_some() => {
                log::debug!("no space is given back: {error}");
                self.note_given_back()
            }
            error => Err(error),
        }
    }

    /// Gives space back after much was allocated.
    pub(super) async fn give_back_in_time(&self) -> Result<(), Error> {
        let Statistics { total_bytes, free_bytes, .. } = self.statistics();
        let given_back = &self.writing()?.given_back;
        // The count begins with what was free at the beginning.
        let before = given_back.free_bytes.get().unwrap_or(free_bytes);
        given_back.free_bytes.set(Some(before));
        if before.saturating_sub(free_bytes) <= total_bytes / SHARE {
            return Ok(());
        }
        self.give_space_back().await.map(drop).or_else(|error| self.unless_damaged(error))
    }

    /// Capacity and use as a writer would find them now. When little is free, what was removed is given back first, since a user
    /// who has just removed something asks whether that was enough.
    pub async fn settled_statistics(&self) -> Statistics {
        let now = || self.cluster.clock().map(|clock| clock.now());
        let (statistics, begun) = (self.statistics(), now());
        let Some(writing) = &self.writing else { return statistics };
        let given_back = &writing.given_back;
        let is_low = statistics.free_bytes < statistics.total_bytes / SHARE;
        if !is_low || !given_back.is_worthwhile(writing.next_tid()) || begun < given_back.next_asking.get() {
            return statistics;
        }
        if let Err(error) = self.give_space_back().await {
            log::debug!("no space is given back: {error}");
        }
        if let (Some(begun), Some(ended)) = (begun, now()) {
            let took = Duration::from_nanos(ended.nanoseconds - begun.nanoseconds);
            let pause = if took < LONG { Duration::ZERO } else { took * SHARE_FOR_ASKING };
            given_back.next_asking.set(Some(ended.after(pause)));
        }
        self.statistics()
    }
}
