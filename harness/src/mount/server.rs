//! What all requests are done with.

use std::cell::Cell;
use std::fmt::Display;
use std::sync::Arc;

use allocator_api2::alloc::Global;
use fuser::{Errno, FileHandle, ReplyEmpty};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_kmod_shim::budget::Budget;

use super::buffers::Buffers;
use super::counters::{Counters, add};
use super::nodes::ClusterLine;
use super::orders::Administration;
use super::patience::Patience;
use super::refusal::Refusal;
use super::space::Space;

/// The handle of all files: they are known by number.
pub(super) const ANY_FILE: FileHandle = FileHandle(0);

/// Messages about trouble that are printed; a broken device has more to say than anybody reads.
const MOST_COMPLAINTS: u64 = 100;

/// The mounted filesystem and what goes with it.
pub(super) struct Server {
    pub(super) fs: FileSystem,
    pub(super) buffers: Arc<Buffers>,
    pub(super) counters: Counters,
    pub(super) space: Space,
    pub(super) patience: Patience,
    pub(super) administration: Administration,
    budget: &'static Budget<Global>,
    complaints: Cell<u64>,
    complain: fn(&dyn Display),
}

impl Server {
    pub(super) fn new(
        fs: FileSystem,
        buffers: Arc<Buffers>,
        patience: Patience,
        administration: Administration,
        budget: &'static Budget<Global>,
        complain: fn(&dyn Display),
    ) -> Self {
        let space = Space::new(&fs);
        let (counters, complaints) = (Counters::default(), Cell::new(0));
        Self { fs, buffers, counters, space, patience, administration, budget, complaints, complain }
    }

    pub(super) fn print_counters(&self) {
        let (used, peak) = (self.budget.used_bytes(), self.budget.peak_bytes());
        let free = self.fs.statistics().free_bytes;
        (self.complain)(&format_args!(
            "counters: {}; memory {used} bytes, at most {peak}; {free} bytes are free{}",
            self.counters,
            ClusterLine(&self.fs)
        ));
    }

    /// What the caller is told of a refusal; the log is told of trouble.
    pub(super) fn refuse(&self, refusal: Refusal) -> Errno {
        add(&self.counters.refused, 1);
        if let Some(trouble) = refusal.trouble {
            self.complain(&trouble);
        }
        refusal.errno
    }

    pub(super) fn complain(&self, trouble: &dyn Display) {
        add(&self.complaints, 1);
        if self.complaints.get() <= MOST_COMPLAINTS {
            (self.complain)(trouble);
        }
    }

    pub(super) fn reply_done(&self, done: Result<(), Error>, reply: ReplyEmpty) {
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.refuse(error.into())),
        }
    }
}
