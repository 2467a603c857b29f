//! The snapshots of a cluster: the possible content of each, and the disks that must have it.

use std::cell::{Cell, RefCell};

use hammer2_model::Model;

/// The snapshots of a run.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// The acknowledged snapshots, each with its possible content: the states while it was taken.
    taken: RefCell<Vec<Taken>>,
    /// The states since the snapshot under way was begun.
    under_way: RefCell<Option<Vec<Model>>>,
    begun: Cell<u64>,
}

/// An acknowledged snapshot.
pub(crate) struct Taken {
    pub(crate) label: String,
    pub(crate) states: Vec<Model>,
    /// The disks that must have it.
    pub(crate) holders: Vec<usize>,
}

impl Snapshots {
    /// Begins a snapshot in this state, and returns its number; none while another is under way.
    pub(crate) fn begin(&self, state: &Model) -> Option<u64> {
        if self.under_way.borrow().is_some() {
            return None;
        }
        *self.under_way.borrow_mut() = Some(vec![state.clone()]);
        self.begun.set(self.begun.get() + 1);
        Some(self.begun.get())
    }

    /// Notes that the snapshot under way was acknowledged, and that these disks have it.
    pub(crate) fn acknowledge(&self, label: String, holders: Vec<usize>) {
        let states = self.under_way.take().unwrap_or_default();
        self.taken.borrow_mut().push(Taken { label, states, holders });
    }

    /// Takes all acknowledged snapshots, as they are checked only once.
    pub(crate) fn take_all(&self) -> Vec<Taken> {
        self.taken.take()
    }

    /// Notes a change.
    pub(crate) fn changed(&self, state: &Model) {
        if let Some(states) = &mut *self.under_way.borrow_mut() {
            states.push(state.clone());
        }
    }

    /// Notes that a disk may have lost its snapshots.
    pub(crate) fn lost_by(&self, number: usize) {
        self.taken.borrow_mut().iter_mut().for_each(|taken| taken.holders.retain(|holder| *holder != number));
    }

    /// Notes that these disks in step were given all snapshots that a quorum of the voters has.
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

    /// Notes that the snapshot under way failed, or was cut by a power failure.
    pub(crate) fn give_up(&self) {
        self.under_way.take();
    }
}
