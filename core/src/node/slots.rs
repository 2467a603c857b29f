//! The table from slots to inodes.
//!
//! With each inode is remembered where it was found last. A modified one is there as long as its chain lives, whatever else is
//! changed; one that is as on media is there until any inode is modified or removed.

use core::cell::RefCell;

use super::Slot;
use super::locate::InodeName;
use crate::chain::{ChainId, Topology};
use crate::media::Blockref;
use crate::memory::{self, Heap, NoMemory, Vec};

#[derive(Clone, Copy)]
struct Named {
    name: InodeName,
    /// Where it was found last, and how many inodes had moved then.
    place: Option<(Blockref, u64)>,
}

/// Memory a slot takes, with its place in the list of free ones: for budgets.
pub const SLOT_BYTES: usize = size_of::<Option<Named>>() + size_of::<Slot>();

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

    /// Where that is, if it still is where it was found.
    pub(super) fn place(&self, slot: Slot, topology: &Topology) -> Option<Blockref> {
        let (place, moved) = self.get(slot)?.place?;
        let is_there = match ChainId::of(&place) {
            Some(id) => topology.arena.get(id).is_some(),
            None => moved == topology.inodes_moved(),
        };
        is_there.then_some(place)
    }

    /// Notes where it was found.
    pub(super) fn remember(&self, slot: Slot, place: Blockref, topology: &Topology) {
        if let Some(Some(named)) = self.table.borrow_mut().get_mut(slot.0 as usize) {
            named.place = Some((place, topology.inodes_moved()));
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
