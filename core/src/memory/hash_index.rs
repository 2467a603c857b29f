//! A hash index over the places of a table: keys live in the table, and the index holds only numbers.

use super::{Heap, NoMemory, Vec};

/// An open-addressed index of fixed size.
pub struct HashIndex {
    places: Vec<Bucket>,
}

/// An entry with its spread hash, so that the table is hardly ever asked about an entry other than the wanted one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bucket {
    spread: u32,
    entry: u32,
}

const UNUSED: Bucket = Bucket { spread: 0, entry: u32::MAX };

impl HashIndex {
    /// An index for up to `count` entries.
    pub fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        Ok(Self { places: super::filled(heap, (2 * count).next_power_of_two(), || UNUSED)? })
    }

    /// The entry with this hash for which `is_it` holds.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let spread = spread(hash);
        let mut at = self.home(spread);
        while self.places[at] != UNUSED {
            let place = self.places[at];
            if place.spread == spread && is_it(place.entry) {
                return Some(place.entry);
            }
            at = self.after(at);
        }
        None
    }

    /// Enters `entry`. There are never more entries than the index was made for.
    pub fn insert(&mut self, hash: u64, entry: u32) {
        let place = Bucket { spread: spread(hash), entry };
        let mut at = self.home(place.spread);
        while self.places[at] != UNUSED {
            at = self.after(at);
        }
        self.places[at] = place;
    }

    /// Removes `entry`, entered under `hash`.
    pub fn remove(&mut self, hash: u64, entry: u32) {
        let mut hole = self.home(spread(hash));
        while self.places[hole].entry != entry {
            if self.places[hole] == UNUSED {
                return;
            }
            hole = self.after(hole);
        }
        // Entries behind the hole that a search could no longer reach past it move into it.
        let mask = self.places.len() - 1;
        let mut at = self.after(hole);
        while self.places[at] != UNUSED {
            let home = self.home(self.places[at].spread);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.places[hole] = UNUSED;
    }

    fn home(&self, spread: u32) -> usize {
        spread as usize & (self.places.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

fn spread(hash: u64) -> u32 {
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use allocator_api2::alloc::Global;
    use std::collections::HashMap;

    static HEAP: Global = Global;

    /// Compares it with a map: random entries whose hashes collide often.
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
                index.remove(key % 16, entry);
            } else if let Some(free) = (0..64).find(|entry| !model.values().any(|used| used == entry)) {
                keys[free as usize] = key;
                index.insert(key % 16, free);
                model.insert(key, free);
            }
        }
    }
}
