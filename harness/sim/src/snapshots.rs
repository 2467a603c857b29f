//! What is known of the snapshots of a cluster: what each may hold, and who must have it.

use std::cell::{Cell, RefCell};

use crate::model::Model;

/// The snapshots of a run.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// What each one that was acknowledged may hold: the states there were while it was taken.
    taken: RefCell<Vec<Taken>>,
    /// The states since one was begun that isn't there yet.
    under_way: RefCell<Option<Vec<Model>>>,
    begun: Cell<u64>,
}

/// A snapshot that was acknowledged.
pub(crate) struct Taken {
    pub(crate) label: String,
    pub(crate) states: Vec<Model>,
    /// The disks that have it, as long as nothing happens to them.
    pub(crate) holders: Vec<usize>,
}

impl Snapshots {
    /// One is begun while this is there; its number. None while another is under way.
    pub(crate) fn begin(&self, state: &Model) -> Option<u64> {
        if self.under_way.borrow().is_some() {
            return None;
        }
        *self.under_way.borrow_mut() = Some(vec![state.clone()]);
        self.begun.set(self.begun.get() + 1);
        Some(self.begun.get())
    }

    /// The one under way was acknowledged; these disks have it.
    pub(crate) fn acknowledge(&self, label: String, holders: Vec<usize>) {
        let states = self.under_way.take().unwrap_or_default();
        self.taken.borrow_mut().push(Taken { label, states, holders });
    }

    /// All that were acknowledged: they are looked at once.
    pub(crate) fn take_all(&self) -> Vec<Taken> {
        self.taken.take()
    }

    /// Something was changed.
    pub(crate) fn changed(&self, state: &Model) {
        if let Some(states) = &mut *self.under_way.borrow_mut() {
            states.push(state.clone());
        }
    }

    /// A disk may have lost what it had.
    pub(crate) fn lost_by(&self, number: usize) {
        self.taken.borrow_mut().iter_mut().for_each(|taken| taken.holders.retain(|holder| *holder != number));
    }

    /// Disks in step were given all that a quorum of the voters has; who was, also has it now.
    pub(crate) fn given(&self, voters: &[usize], disks: &[usize]) -> usize {
        let mut given = 0;
        for taken in self.taken.borrow_mut().iter_mut() {
            let votes = taken.holders.iter().filter(|holder| voters.contains(holder) && disks.contains(holder)).count();
            if votes > voters.len() / 2 {
                let lacked = disks.iter().copied().filter(|disk| !taken.holders.contains(disk));
                let lacked: Vec<usize> = lacked.collect();
                given += lacked.len();
                taken.holders.extend(lacked);
            }
        }
        given
    }

    /// Whatever is under way failed, or was cut by the power.
    pub(crate) fn give_up(&self) {
        self.under_way.take();
    }
}
