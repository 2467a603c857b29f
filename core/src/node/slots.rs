//! The table from slots to places in the topology.

use core::cell::RefCell;

use super::{NodeError, NodeFault, Slot};
use crate::media::Blockref;
use crate::memory::{self, Heap, NoMemory, Vec};

/// What every open slot names, in a table taken at once.
pub(super) struct Slots {
    places: RefCell<Vec<Option<Blockref>>>,
}

impl Slots {
    pub(super) fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        Ok(Self { places: RefCell::new(memory::filled(heap, count, || None)?) })
    }

    /// Makes `slot` name the inode at `bref`.
    pub(super) fn open(&self, slot: Slot, bref: Blockref) -> Result<(), NoMemory> {
        let mut places = self.places.borrow_mut();
        *places.get_mut(slot.0 as usize).ok_or(NoMemory)? = Some(bref);
        Ok(())
    }

    pub(super) fn get(&self, slot: Slot) -> Result<Blockref, NodeError> {
        let place = self.places.borrow().get(slot.0 as usize).copied().flatten();
        place.ok_or(NodeError::Fault(NodeFault::UnknownSlot))
    }

    pub(super) fn close(&self, slot: Slot) {
        if let Some(place) = self.places.borrow_mut().get_mut(slot.0 as usize) {
            *place = None;
        }
    }
}
