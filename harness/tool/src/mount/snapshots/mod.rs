//! Snapshots of what is mounted, to be read in `.snapshots` of the mount's root, a folder that no listing shows.
//!
//! A snapshot is a PFS of its own on the same disks. It is mounted beside what is mounted, read-only, from the disks as they are
//! committed: a *view*. What leads to the snapshot there is rewritten by every commit, and the space of what was before is given
//! to something else after two passes of bulkfree; so a view is opened anew after each. The snapshot itself stays where it is.
//!
//! Whoever mounts has few of them open: those that were used last.

mod number;
mod requests;
mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fuser::Errno;
use hammer2_core::cluster::Pfs;
use hammer2_core::fs::{Error, TimeSource as _};
use hammer2_core::io::Wakers;
use hammer2_core::media::{PfsSubkind, Timestamp, Uuid};
use hammer2_core::memory::Heap;
use hammer2_host::time_source::HostTime;

pub(super) use number::{Place, is_kept};
pub use view::SNAPSHOTS_MEMORY_MIB;
use view::View;

use super::refusal::Refusal;
use super::server::Server;
use crate::admin::list_pfss;

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

impl Server {
    /// The snapshots that there are, as far as their roots can be read and their labels are names of files; and why there may be
    /// more.
    async fn list_snapshots(&self) -> (Vec<Snapshot>, Option<Error>) {
        let is_shown = |pfs: &Pfs| {
            let is_name = !pfs.label.is_empty() && !matches!(&pfs.label[..], b"." | b"..");
            let is_name = is_name && !pfs.label.iter().any(|byte| matches!(byte, b'/' | 0));
            is_name && pfs.subkind != PfsSubkind::None && pfs.clid != self.fs.pfs().clid
        };
        let (pfss, trouble) = list_pfss(async |range| self.fs.next_pfs(range).await).await;
        let snapshot = |pfs: &Pfs| {
            let number = self.snapshots.number(pfs.clid)?;
            Some(Snapshot { label: pfs.label.to_vec(), number, clid: pfs.clid })
        };
        (pfss.iter().filter(|pfs| is_shown(pfs)).filter_map(snapshot).collect(), trouble)
    }

    /// The snapshot that is meant; `absent` if there is none.
    async fn find_snapshot(&self, is_meant: impl Fn(&Snapshot) -> bool, absent: Errno) -> Result<Snapshot, Refusal> {
        let (all, trouble) = self.list_snapshots().await;
        // It may be one of those that can't be read.
        let why_not = || trouble.map_or_else(|| Refusal::from(absent), Refusal::from);
        all.into_iter().find(is_meant).ok_or_else(why_not)
    }
}
