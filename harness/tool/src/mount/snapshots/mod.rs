//! Reading snapshots in `.snapshots` of the mount's root, a folder that no listing shows.
//! A snapshot is a PFS of its own on the same disks. It is mounted read-only beside the mounted PFS, from the committed state of
//! the disks: a *view*. Every commit rewrites the blocks that lead to the snapshot, and after two passes of bulkfree the space of
//! the old ones is used again; so views are opened anew after each pass. The snapshot itself stays where it is.
//! A mount keeps only a few views open: those that were used last.

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
    /// The snapshots by number: a snapshot keeps its number as long as the mount lives.
    numbers: RefCell<Vec<Uuid>>,
    /// The views, the one that was used last at the end.
    views: RefCell<Vec<Rc<View>>>,
    /// A request is opening a view.
    is_opening: Cell<bool>,
    opened: Wakers,
    /// The last seen content of the folder, and since when it has that.
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

    /// Closes the view of a snapshot that is about to be removed.
    pub(super) fn close(&self, label: &[u8]) {
        self.views.borrow_mut().retain(|view| view.label != label);
    }

    /// A snapshot's number, which it gets when it is first asked for; none if there were too many.
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

    /// Since when the folder has held these labels, as far as requests have looked.
    fn since(&self, labels: Vec<Vec<u8>>) -> Timestamp {
        let (known, since) = &mut *self.folder.borrow_mut();
        if *known != labels {
            (*known, *since) = (labels, HostTime.now());
        }
        *since
    }
}
