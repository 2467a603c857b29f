//! A hash index over the places of a table: keys live in the table, the index holds numbers only.

use super::{Heap, NoMemory, Vec};

/// An unused place.
const NOTHING: u32 = u32::MAX;

/// An open-addressed index of fixed size.
pub struct HashIndex {
    places: Vec<u32>,
}

impl HashIndex {
    /// An index for up to `count` entries.
    pub fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        Ok(Self { places: super::filled(heap, (2 * count).next_power_of_two(), || NOTHING)? })
    }

    /// The entry with this hash for which `is_it` holds.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home(hash);
        while self.places[place] != NOTHING {
            if is_it(self.places[place]) {
                return Some(self.places[place]);
            }
            place = self.after(place);
        }
        None
    }

    /// Enters `entry`. There are never more entries than the index was made for.
    pub fn insert(&mut self, hash: u64, entry: u32) {
        let mut place = self.home(hash);
        while self.places[place] != NOTHING {
            place = self.after(place);
        }
        self.places[place] = entry;
    }

    /// Removes `entry`, entered under `hash`. `hash_of` gives the hash of any other entry.
    pub fn remove(&mut self, hash: u64, entry: u32, hash_of: impl Fn(u32) -> u64) {
        let mut hole = self.home(hash);
        while self.places[hole] != entry {
            if self.places[hole] == NOTHING {
                return;
            }
            hole = self.after(hole);
        }
        // Entries behind the hole that could no longer be found past it move into it.
        let mask = self.places.len() - 1;
        let mut place = self.after(hole);
        while self.places[place] != NOTHING {
            let home = self.home(hash_of(self.places[place]));
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[place];
                hole = place;
            }
            place = self.after(place);
        }
        self.places[hole] = NOTHING;
    }

    fn home(&self, hash: u64) -> usize {
        (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.places.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use allocator_api2::alloc::Global;
    use std::collections::HashMap;

    static HEAP: Global = Global;

    /// Against a map: random entries whose hashes collide often.
    #[test]
    fn behaves_like_a_map() {
        let mut index = HashIndex::new(&HEAP, 64).unwrap();
        let mut keys = [0u64; 64];
        let mut model: HashMap<u64, u32> = HashMap::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = seed >> 33 & 0x7f;
            let found = index.find(key % 16, |entry| keys[entry as usize] == key);
            assert_eq!(found, model.get(&key).copied());
            if let Some(entry) = model.remove(&key) {
                index.remove(key % 16, entry, |other| keys[other as usize] % 16);
            } else if let Some(free) = (0..64).find(|entry| !model.values().any(|used| used == entry)) {
                keys[free as usize] = key;
                index.insert(key % 16, free);
                model.insert(key, free);
            }
        }
    }
}
