//! The places of a table whose content isn't on the nodes. They are counted, and gathered in a chosen order, without a look at
//! all the others.

use crate::memory::{self, Heap, NoMemory, Vec};

const CLEAN: u32 = u32::MAX;

/// Memory for each place of the table.
pub(super) const PLACE_BYTES: usize = 3 * size_of::<u32>();

/// A set of places of a table of fixed size.
pub(super) struct DirtyPlaces {
    places: Vec<u32>,
    /// For each place of the table, its position in `places`.
    positions: Vec<u32>,
    /// Places to be written, in reverse order.
    gathered: Vec<u32>,
}

impl DirtyPlaces {
    /// A set for a table of `count` places, with none of them dirty.
    pub(super) fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        let (mut places, mut gathered) = (Vec::new_in(heap), Vec::new_in(heap));
        places.try_reserve_exact(count).map_err(|_| NoMemory)?;
        gathered.try_reserve_exact(count).map_err(|_| NoMemory)?;
        Ok(Self { places, positions: memory::filled(heap, count, || CLEAN)?, gathered })
    }

    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.positions[place] != CLEAN
    }

    /// Adds a place; true when it wasn't in the set before.
    pub(super) fn insert(&mut self, place: usize) -> bool {
        let is_new = !self.contains(place);
        if is_new {
            self.positions[place] = self.places.len() as u32;
            self.places.push(place as u32);
        }
        is_new
    }

    /// Removes a place; true when it was in the set before.
    pub(super) fn remove(&mut self, place: usize) -> bool {
        let position = core::mem::replace(&mut self.positions[place], CLEAN);
        let was_dirty = position != CLEAN;
        if was_dirty {
            self.places.swap_remove(position as usize);
            if let Some(moved) = self.places.get(position as usize) {
                self.positions[*moved as usize] = position;
            }
        }
        was_dirty
    }

    /// The place at the last position before `end`, in no particular order, and its position. Places move from the front to the
    /// back only to fill removed positions, so a caller that goes from the end to the beginning meets all that stay.
    pub(super) fn before(&self, end: usize) -> Option<(usize, usize)> {
        let position = end.min(self.places.len()).checked_sub(1)?;
        Some((position, self.places[position] as usize))
    }

    /// Gathers the places for which `key` gives a key, to be taken in the order of keys.
    pub(super) fn gather<K: Ord>(&mut self, key: impl Fn(usize) -> Option<K>) {
        self.gathered.clear();
        // It was made with room for all places.
        self.gathered.extend(self.places.iter().copied().filter(|place| key(*place as usize).is_some()));
        self.gathered.sort_unstable_by_key(|place| core::cmp::Reverse(key(*place as usize)));
    }

    /// The next gathered place that is still dirty.
    pub(super) fn next_gathered(&mut self) -> Option<usize> {
        while let Some(place) = self.gathered.pop() {
            if self.contains(place as usize) {
                return Some(place as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn dirty_places_are_gathered_in_order_and_only_while_they_are_dirty() {
        let mut dirty = DirtyPlaces::new(HEAP, 10).unwrap();
        for place in [7, 2, 9, 4, 2] {
            dirty.insert(place);
        }
        dirty.remove(9);
        dirty.remove(9);
        assert_eq!((dirty.count(), dirty.contains(4), dirty.contains(9)), (3, true, false));
        // In falling order of numbers, without 7.
        dirty.gather(|place| (place != 7).then_some(10 - place));
        assert_eq!(dirty.next_gathered(), Some(4));
        dirty.remove(2);
        assert_eq!(dirty.next_gathered(), None);
        assert_eq!(dirty.count(), 2);
    }
}
