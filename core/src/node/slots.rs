//! The table from slots to inodes.
//!
//! The table remembers where each inode was last found. A modified inode stays there as long as its chain lives, whatever else
//! changes; an unmodified one until any inode is modified or removed.

use core::cell::RefCell;

use super::Slot;
use super::locate::InodeName;
use crate::chain::{ChainId, Topology};
use crate::media::Blockref;
use crate::memory::{self, Heap, NoMemory, Vec};

#[derive(Clone, Copy)]
struct Named {
    name: InodeName,
    /// Where it was last found, and the count of moved inodes at that time.
    place: Option<(Blockref, u64)>,
}

/// Memory for a slot, including its place in the list of free ones: for budgets.
pub const SLOT_BYTES: usize = size_of::<Option<Named>>() + size_of::<Slot>();

/// The inodes of all open slots, in a table that is allocated at once.
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

    fn with<T>(&self, slot: Slot, look: impl FnOnce(&Named) -> T) -> Option<T> {
        self.table.borrow().get(slot.0 as usize)?.as_ref().map(look)
    }

    /// The inode that the slot names.
    pub(super) fn name(&self, slot: Slot) -> Option<InodeName> {
        self.with(slot, |named| named.name)
    }

    /// The place of that inode, if it still is where it was found.
    pub(super) fn place(&self, slot: Slot, topology: &Topology) -> Option<Blockref> {
        let (place, moved) = self.with(slot, |named| named.place)??;
        let is_there = match ChainId::of(&place) {
            Some(id) => topology.arena.get(id).is_some(),
            None => moved == topology.inodes_moved(),
        };
        is_there.then_some(place)
    }

    /// Notes where the slot's inode was found.
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
