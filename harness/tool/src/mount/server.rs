//! The state that all requests work with.
//! Each part of the server has a file below this one, and knows nothing of the whole. Work with several parts is a method of the
//! server, in the file above that has the subject.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocator_api2::alloc::Global;
use fuser::{Errno, FileHandle, ReplyEmpty};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_kmod_shim::budget::Budget;

use super::administration::Administration;
use super::buffers::Buffers;
use super::counters::{Counters, add};
use super::direct::DirectWrites;
use super::journal::Journal;
use super::known::Known;
use super::patience::Patience;
use super::refusal::Refusal;
use super::seen::LastSeen;
use super::snapshots::Snapshots;
use super::states::ClusterLine;
use super::under_way::UnderWay;
use crate::admin;

/// The handle of all files: they are known by number.
pub(super) const ANY_FILE: FileHandle = FileHandle(0);

/// The most messages a minute about failing requests; a broken device causes more than anybody reads.
const MOST_COMPLAINTS: u64 = 20;
const COMPLAINTS_PERIOD: Duration = Duration::from_secs(60);

/// How many messages were written, and how many left out.
struct Complaints {
    /// When the period began.
    since: Instant,
    told: u64,
    untold: u64,
}

impl Complaints {
    /// How many messages were left out since the last one, if another may be written.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= COMPLAINTS_PERIOD {
            (self.since, self.told) = (now, 0);
        }
        if self.told >= MOST_COMPLAINTS {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// The mounted filesystem and everything that belongs to it.
pub(super) struct Server {
    pub(super) fs: FileSystem,
    pub(super) buffers: Arc<Buffers>,
    pub(super) counters: Counters,
    pub(super) patience: Patience,
    pub(super) administration: Administration,
    pub(super) known: Known,
    pub(super) direct_writes: DirectWrites,
    pub(super) journal: Journal,
    pub(super) last_seen: LastSeen,
    pub(super) snapshots: Snapshots,
    pub(super) under_way: UnderWay,
    /// Another mount went on without this one: changes that aren't durable never will be.
    pub(super) is_overtaken: Cell<bool>,
    budget: &'static Budget<Global>,
    complaints: RefCell<Complaints>,
}

impl Server {
    pub(super) fn new(
        fs: FileSystem,
        buffers: Arc<Buffers>,
        patience: Patience,
        administration: Administration,
        direct_writes: DirectWrites,
        journal: Journal,
        budget: &'static Budget<Global>,
    ) -> Self {
        let counters = Counters::default();
        let complaints = RefCell::new(Complaints { since: Instant::now(), told: 0, untold: 0 });
        let (known, last_seen, snapshots) = (Known::default(), LastSeen::default(), Snapshots::new(fs.heap()));
        let under_way = UnderWay::new(fs.heap());
        Self {
            fs,
            buffers,
            counters,
            patience,
            administration,
            known,
            direct_writes,
            journal,
            last_seen,
            snapshots,
            under_way,
            is_overtaken: Cell::new(false),
            budget,
            complaints,
        }
    }

    pub(super) fn used_memory_bytes(&self) -> u64 {
        self.budget.used_bytes() as u64
    }

    pub(super) fn print_counters(&self) {
        let (used, peak) = (self.budget.used_bytes(), self.budget.peak_bytes());
        let free = self.fs.statistics().free_bytes;
        let cluster = ClusterLine(&self.fs);
        log::info!("counters: {}; memory {used} bytes, at most {peak}; {free} bytes are free{cluster}", self.counters);
    }

    /// The error number for a refusal; logs failures that are our fault.
    pub(super) fn refuse(&self, refusal: Refusal) -> Errno {
        add(&self.counters.refused, 1);
        if let Some(trouble) = refusal.trouble {
            let known = admin::Known::of_mount(&self.administration.images, &self.fs);
            self.complain(&known.error(&trouble));
        }
        refusal.errno
    }

    /// Logs the failure of a request, unless there were too many messages.
    pub(super) fn complain(&self, trouble: &dyn Display) {
        if let Some(untold) = self.complaints.borrow_mut().admit(Instant::now()) {
            if untold > 0 {
                log::warn!("{untold} messages like the following were left out");
            }
            log::warn!("{trouble}");
        }
    }

    pub(super) fn reply_done(&self, done: Result<(), Error>, reply: ReplyEmpty) {
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.refuse(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_trouble_is_told_of_in_part_and_what_comes_later_again() {
        let begun = Instant::now();
        let mut complaints = Complaints { since: begun, told: 0, untold: 0 };
        let told = (0..1000).filter(|_| complaints.admit(begun).is_some()).count() as u64;
        assert_eq!(told, MOST_COMPLAINTS);
        assert_eq!(complaints.admit(begun + COMPLAINTS_PERIOD), Some(1000 - MOST_COMPLAINTS));
        assert_eq!(complaints.admit(begun + COMPLAINTS_PERIOD), Some(0));
    }
}
