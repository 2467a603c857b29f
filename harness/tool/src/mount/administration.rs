//! Everything needed to carry out orders, and which of them are under way.

use std::cell::Cell;
use std::path::PathBuf;

use hammer2_core::io::Disk;
use hammer2_core::memory::{Heap, Vec as HeapVec};

use crate::admin::{Images, Open, Refused};

/// Everything needed to carry out orders.
pub struct Administration {
    /// What the nodes were opened from.
    pub images: Images,
    /// Nothing is changed.
    pub read_only: bool,
    /// Opens volumes. Requests wait meanwhile.
    pub open: Box<Open<'static>>,
    /// Everything needed to look at snapshots.
    pub(super) beside: Beside,
    /// An order is being carried out: no other task looks after the nodes.
    pub(super) busy: Cell<bool>,
    /// A scrub is under way.
    pub(super) scrubbing: Cell<bool>,
    /// The scrub is to pause.
    pub(super) pausing: Cell<bool>,
}

/// Everything needed to look at the disks of a mount beside it.
pub struct Beside {
    /// Memory for it.
    pub heap: Heap,
    /// Opens volumes for reading, even if they are in use.
    pub open: Box<Open<'static>>,
}

impl Administration {
    /// The administration of nodes that were opened from `images`, and others that `open` opens.
    pub fn new(
        images: Images,
        read_only: bool,
        open: impl Fn(&[PathBuf]) -> Result<HeapVec<Disk>, Refused> + 'static,
        beside: Beside,
    ) -> Self {
        let (busy, scrubbing, pausing) = <(Cell<bool>, Cell<bool>, Cell<bool>)>::default();
        Self { images, read_only, open: Box::new(open), beside, busy, scrubbing, pausing }
    }

    /// Makes a scrub that is under way pause; false if none is.
    pub(super) fn pause_scrub(&self) -> bool {
        self.pausing.set(self.scrubbing.get());
        self.scrubbing.get()
    }
}
