//! Space comes back before it runs out, and when it has.
//!
//! Removing and overwriting free nothing by themselves, and each commit takes some space; bulkfree gives back what is no longer
//! referred to. It walks all metadata while changes wait, so it is done seldom: when much was allocated since the last time,
//! when something finds no room, and when somebody asks how much is left of little.

use core::cell::Cell;
use core::time::Duration;

use super::super::{Error, FileSystem, Statistics};
use crate::io::Instant;
use crate::media::ModifyTid;

/// What may be allocated before space is given back: an eighth of the volume.
const SHARE: u64 = 8;

/// Operations that must have been done for another time to be worth it.
const WORTHWHILE_OPERATIONS: u64 = 16;

/// Giving space back for those who only ask how much there is may take this part of all time, when it takes long at all.
const SHARE_FOR_ASKING: u32 = 10;
const LONG: Duration = Duration::from_millis(100);

/// What was known of space when it was given back last.
pub(in crate::fs) struct GivenBack {
    /// What was free then; none while it wasn't done yet.
    free_bytes: Cell<Option<u64>>,
    /// The first operation after it.
    next_tid: Cell<ModifyTid>,
    /// Something was done since that may have freed much by itself.
    may_have_freed: Cell<bool>,
    /// When it is done again for somebody who only asks.
    next_asking: Cell<Option<Instant>>,
}

impl Default for GivenBack {
    fn default() -> Self {
        Self {
            free_bytes: Cell::new(None),
            next_tid: Cell::new(ModifyTid(0)),
            // What was removed before the mount, nobody has counted.
            may_have_freed: Cell::new(true),
            next_asking: Cell::new(None),
        }
    }
}

impl GivenBack {
    fn is_worthwhile(&self, next_tid: ModifyTid) -> bool {
        self.may_have_freed.get() || next_tid.0 - self.next_tid.get().0 >= WORTHWHILE_OPERATIONS
    }

    /// Something was done that may have freed much: whoever finds no room next has space given back.
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
    /// Gives space back for somebody who found no room, and keeps things still; false if nothing came of that.
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

    /// Notes that all space was given back that could be. Nothing has changed since.
    pub(in crate::fs) fn note_given_back(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        writing.given_back.note(writing.next_tid(), self.statistics().free_bytes);
        Ok(())
    }

    /// What is in use of a damaged volume, nobody can tell: that is no error, and isn't tried again soon.
    fn unless_damaged(&self, error: Error) -> Result<(), Error> {
        match error {
            Error::Io(fault) if fault.bad_block().is_some() => {
                log::debug!("no space is given back: {error}");
                self.note_given_back()
            }
            error => Err(error),
        }
    }

    /// Gives space back when much of it was allocated.
    pub(super) async fn give_back_in_time(&self) -> Result<(), Error> {
        let Statistics { total_bytes, free_bytes, .. } = self.statistics();
        let given_back = &self.writing()?.given_back;
        // What was there at the beginning is where the count begins.
        let before = given_back.free_bytes.get().unwrap_or(free_bytes);
        given_back.free_bytes.set(Some(before));
        if before.saturating_sub(free_bytes) <= total_bytes / SHARE {
            return Ok(());
        }
        self.give_space_back().await.map(drop).or_else(|error| self.unless_damaged(error))
    }

    /// Capacity and use as a writer would find them now. When there is little room, what was removed is given back first: who has
    /// just removed something asks whether that was enough.
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
