//! Snapshots of what is mounted, to be read in `.snapshots` of the mount's root, a folder that no listing shows.
//!
//! A snapshot is a PFS of its own on the same disks. It is mounted beside what is mounted, read-only, from the disks as they are
//! committed: a *view*. What leads to the snapshot there is rewritten by every commit, and the space of what was before is given
//! to something else after two passes of bulkfree; so a view is opened anew after each. The snapshot itself stays where it is.
//!
//! Whoever mounts has few of them open: those that were used last.

mod list;
mod number;
mod requests;
mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hammer2_core::fs::TimeSource as _;
use hammer2_core::io::Wakers;
use hammer2_core::media::{Timestamp, Uuid};
use hammer2_core::memory::Heap;
use hammer2_host::time_source::HostTime;

pub(super) use number::{KeptPlace, is_kept};
pub use view::SNAPSHOTS_MEMORY_MIB;
use view::View;

/// The folder's name.
pub(super) const FOLDER: &[u8] = b".snapshots";

/// Snapshots that were asked for, and those that are open.
pub(super) struct Snapshots {
    /// By number: a snapshot has the same one as long as the mount lives.
    numbers: RefCell<Vec<Uuid>>,
    /// The views, the one that was used last at the end.
    views: RefCell<Vec<Rc<View>>>,
    /// Somebody opens one.
    is_opening: Cell<bool>,
    opened: Wakers,
    /// What the folder held when it was looked at last, and since when.
    folder: RefCell<(Vec<Vec<u8>>, Timestamp)>,
}

/// A snapshot by its label and number.
#[derive(Clone, Debug)]
struct Snapshot {
    label: Vec<u8>,
    number: u16,
    clid: Uuid,
}

impl Snapshots {
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            numbers: RefCell::default(),
            views: RefCell::default(),
            is_opening: Cell::new(false),
            opened: Wakers::new(heap),
            folder: RefCell::new((Vec::new(), HostTime.now())),
        }
    }

    /// A snapshot of this label is about to go.
    pub(super) fn close(&self, label: &[u8]) {
        self.views.borrow_mut().retain(|view| view.label != label);
    }

    /// A snapshot's number, which it is given when it is first asked for; none if there were too many.
    fn number(&self, clid: Uuid) -> Option<u16> {
        let mut numbers = self.numbers.borrow_mut();
        let place = numbers.iter().position(|known| *known == clid).unwrap_or_else(|| {
            numbers.push(clid);
            numbers.len() - 1
        });
        u16::try_from(place + 1).ok().filter(|number| *number <= number::MOST)
    }

    /// The snapshot of a number.
    fn of_number(&self, number: u16) -> Option<Uuid> {
        self.numbers.borrow().get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Since when the folder has held these labels, as far as anybody looked.
    fn since(&self, labels: Vec<Vec<u8>>) -> Timestamp {
        let (known, since) = &mut *self.folder.borrow_mut();
        if *known != labels {
            (*known, *since) = (labels, HostTime.now());
        }
        *since
    }
}
