//! The table from slots to inodes.

use core::cell::RefCell;

use super::Slot;
use super::locate::InodeName;
use crate::media::Blockref;
use crate::memory::{self, Heap, NoMemory, Vec};

/// Counts changes of the topology: a place found before the last one must be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(pub(super) u64);

#[derive(Clone, Copy)]
struct Named {
    name: InodeName,
    /// Where it was found last, and when.
    place: Option<(Blockref, Epoch)>,
}

/// What every open slot names, in a table taken at once.
pub(super) struct Slots {
    table: RefCell<Vec<Option<Named>>>,
}

impl Slots {
    pub(super) fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        Ok(Self { table: RefCell::new(memory::filled(heap, count, || None)?) })
    }

    /// Makes `slot` name an inode.
    pub(super) fn open(&self, slot: Slot, name: InodeName) -> Result<(), NoMemory> {
        let mut table = self.table.borrow_mut();
        *table.get_mut(slot.0 as usize).ok_or(NoMemory)? = Some(Named { name, place: None });
        Ok(())
    }

    fn get(&self, slot: Slot) -> Option<Named> {
        self.table.borrow().get(slot.0 as usize).copied().flatten()
    }

    /// What the slot names.
    pub(super) fn name(&self, slot: Slot) -> Option<InodeName> {
        Some(self.get(slot)?.name)
    }

    /// Where that is, if nothing changed since it was found.
    pub(super) fn place(&self, slot: Slot, epoch: Epoch) -> Option<Blockref> {
        let (place, found) = self.get(slot)?.place?;
        (found == epoch).then_some(place)
    }

    /// Notes where it was found.
    pub(super) fn remember(&self, slot: Slot, place: Blockref, epoch: Epoch) {
        if let Some(Some(named)) = self.table.borrow_mut().get_mut(slot.0 as usize) {
            named.place = Some((place, epoch));
        }
    }

    pub(super) fn clear(&self) {
        self.table.borrow_mut().iter_mut().for_each(|named| *named = None);
    }

    pub(super) fn close(&self, slot: Slot) {
        if let Some(named) = self.table.borrow_mut().get_mut(slot.0 as usize) {
            *named = None;
        }
    }
}
