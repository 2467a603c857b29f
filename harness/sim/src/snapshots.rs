//! Snapshots, taken while clients work, and read on every disk that must have them when the run ends.

use std::cell::{Cell, RefCell};

use hammer2_core::cluster::{MemberState, NewPfs};
use hammer2_core::fs::{FileSystem, TimeSource};
use hammer2_core::media::PfsKind;

use super::clients::Session;
use super::model::Model;
use super::mounting::{Seat, states};
use super::reading::{difference, read_all};
use super::world::World;

/// The snapshots of a run.
#[derive(Default)]
pub(super) struct Snapshots {
    /// What each one that was acknowledged may hold: the states there were while it was taken.
    taken: RefCell<Vec<Taken>>,
    /// The states since one was begun that isn't there yet.
    under_way: RefCell<Option<Vec<Model>>>,
    begun: Cell<u64>,
}

struct Taken {
    label: String,
    states: Vec<Model>,
    /// The disks that have it, as long as nothing happens to them.
    holders: Vec<usize>,
}

impl Snapshots {
    /// Something was changed.
    pub(super) fn changed(&self, state: &Model) {
        if let Some(states) = &mut *self.under_way.borrow_mut() {
            states.push(state.clone());
        }
    }

    /// A disk may have lost what it had.
    pub(super) fn lost_by(&self, number: usize) {
        self.taken.borrow_mut().iter_mut().for_each(|taken| taken.holders.retain(|holder| *holder != number));
    }

    /// Disks in step were given all that a quorum of the voters has; who was, also has it now.
    pub(super) fn given(&self, voters: &[usize], disks: &[usize]) -> usize {
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

    /// Whatever was under way when the power went is over.
    pub(super) fn give_up(&self) {
        self.under_way.take();
    }
}

impl Session<'_> {
    /// Takes a snapshot, unless another client is at it.
    pub(super) async fn snapshot(&self) {
        let group = self.world.group();
        let snapshots = &group.snapshots;
        if snapshots.under_way.borrow().is_some() {
            return;
        }
        *snapshots.under_way.borrow_mut() = Some(vec![group.model.borrow().clone()]);
        let number = snapshots.begun.get() + 1;
        snapshots.begun.set(number);
        // Of all clusters on the disks, one may be called as another is.
        let label = format!("{}{}-{number}", String::from_utf8_lossy(group.label), group.number);
        let new = NewPfs {
            label: label.as_bytes(),
            kind: PfsKind::Master,
            clid: group.uuid(1, number),
            fsid: group.uuid(2, number),
            time: TimeSource::now(self.host),
        };
        let is_taken = self.commit("snapshot", self.fs.snapshot(&new)).await;
        let states = snapshots.under_way.take().unwrap_or_default();
        if is_taken {
            self.world.tally.borrow_mut().verdict("snapshot-taken");
            let holders = self.world.disks_in_step(self.fs);
            snapshots.taken.borrow_mut().push(Taken { label, states, holders });
        }
    }
}

impl World {
    /// The sound disks that are in step.
    pub(super) fn disks_in_step(&self, fs: &FileSystem) -> Vec<usize> {
        let seats = self.seats.borrow();
        let in_step = states(fs).zip(seats.iter()).filter(|(state, _)| *state == MemberState::InSync);
        in_step.filter_map(|(_, disk)| *disk).filter(|number| self.is_sound(*number)).collect()
    }

    /// Reads every snapshot on each disk that must have it: one state of those it may hold, and the same everywhere.
    pub(super) fn check_snapshots(&self) -> Result<(), String> {
        for Taken { label, states, holders } in self.group().snapshots.taken.take() {
            let mut first: Option<Model> = None;
            for number in holders {
                let alone = [Seat::Member(number)];
                let found = self.run(async {
                    let mounted = self.mount_label(&alone, label.as_bytes()).await;
                    let fs = mounted.map_err(|refused| format!("snapshot {label} on disk {number}: {}", refused.0))?;
                    let read = read_all(&fs).await;
                    read.map_err(|error| format!("I29: snapshot {label} on disk {number}: {error}"))?
                })?;
                let Some(found) = found else { continue };
                if !states.contains(&found) {
                    let nearest = states.last().map(|last| difference(&found, last)).unwrap_or_default();
                    return Err(format!("snapshot {label} on disk {number} holds what never was: {nearest}"));
                }
                if first.get_or_insert_with(|| found.clone()) != &found {
                    return Err(format!("I3: snapshot {label} on disk {number} is another than on those before"));
                }
                self.tally.borrow_mut().verdict("snapshot-read");
            }
        }
        Ok(())
    }
}
