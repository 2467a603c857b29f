//! The number of places of a table that each file has, without a look at all places.

use core::convert::identity;

use crate::media::Inum;
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

struct Count {
    inum: Inum,
    places: u32,
}

/// Files that have places in a table of fixed size, and how many each has.
pub(super) struct Tally {
    counts: Vec<Count>,
    index: HashIndex,
    free: Vec<u32>,
}

impl Tally {
    /// A tally for a table of `places` places that are all free.
    pub(super) fn new(heap: Heap, places: usize) -> Result<Self, NoMemory> {
        Ok(Self {
            counts: memory::filled(heap, places, || Count { inum: Inum(0), places: 0 })?,
            index: HashIndex::new(heap, places)?,
            free: memory::free_places(heap, places, identity)?,
        })
    }

    /// The number of places that a file has.
    pub(super) fn of(&self, inum: Inum) -> usize {
        self.find(inum).map_or(0, |count| self.counts[count as usize].places as usize)
    }

    /// Counts one place more for a file.
    pub(super) fn add(&mut self, inum: Inum) {
        if let Some(count) = self.find(inum) {
            self.counts[count as usize].places += 1;
            return;
        }
        // There are as many counts as places, and each taken place has one at most.
        if let Some(count) = self.free.pop() {
            self.counts[count as usize] = Count { inum, places: 1 };
            self.index.insert(inum.0, count);
        }
    }

    /// Counts one place less for a file.
    pub(super) fn remove(&mut self, inum: Inum) {
        let Some(count) = self.find(inum) else { return };
        let places = &mut self.counts[count as usize].places;
        *places -= 1;
        if *places == 0 {
            self.index.remove(inum.0, count);
            self.free.push(count);
        }
    }

    fn find(&self, inum: Inum) -> Option<u32> {
        self.index.find(inum.0, |count| self.counts[count as usize].inum == inum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn each_file_has_as_many_as_were_added_and_not_removed() {
        let mut tally = Tally::new(HEAP, 3).unwrap();
        // More rounds than there is room for, if counts of zero stayed.
        for round in 0..10 {
            let (one, other) = (Inum(1024 + round), Inum(5));
            [one, other, one].iter().for_each(|inum| tally.add(*inum));
            assert_eq!((tally.of(one), tally.of(other), tally.of(Inum(4))), (2, 1, 0));
            [one, other].iter().for_each(|inum| tally.remove(*inum));
            assert_eq!((tally.of(one), tally.of(other)), (1, 0));
            tally.remove(one);
            tally.remove(one);
            assert_eq!(tally.of(one), 0);
        }
    }
}
