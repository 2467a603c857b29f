//! The metadata blocks that were seen, and below which owners.
//!
//! Sharing blocks between snapshots and between header copies is legitimate, and the second check can be spared; within one PFS,
//! two references to one block are a loop or a cross-link. Every block is entered once, so hostile sharing costs no more than the
//! number of blocks.

use crate::media::check::CHECK_BYTES;
use crate::media::{Blockref, DataOff};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

/// The owner of the tree that is being checked: a PFS of one header copy, or the super-root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) u32);

/// What was known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Nothing, or only other content in its place.
    First,
    /// It was seen below another owner, under an equal blockref.
    Elsewhere,
    /// It was seen below this owner.
    Twice,
}

#[derive(Clone, Copy)]
struct Seen {
    place: DataOff,
    print: u64,
    owner: Owner,
}

/// The blocks that were seen.
pub(super) struct SeenBlocks {
    blocks: Vec<Seen>,
    index: HashIndex,
    capacity: usize,
    heap: Heap,
}

const FIRST_CAPACITY: usize = 1024;

impl SeenBlocks {
    pub(super) fn new(heap: Heap) -> Result<Self, NoMemory> {
        let index = HashIndex::new(heap, FIRST_CAPACITY)?;
        Ok(Self { blocks: Vec::new_in(heap), index, capacity: FIRST_CAPACITY, heap })
    }

    /// Enters a block as seen below `owner`; returns what was known before.
    pub(super) fn enter(&mut self, bref: &Blockref, owner: Owner) -> Result<Sighting, NoMemory> {
        let seen = Seen { place: bref.data_off(), print: fingerprint(bref), owner };
        if let Some(at) = self.find(seen.place) {
            let known = &mut self.blocks[at];
            let sighting = match (known.owner == owner, known.print == seen.print) {
                (true, _) => Sighting::Twice,
                (false, true) => Sighting::Elsewhere,
                (false, false) => Sighting::First,
            };
            *known = seen;
            return Ok(sighting);
        }
        if self.blocks.len() == self.capacity {
            self.grow()?;
        }
        memory::push(&mut self.blocks, seen)?;
        self.index.insert(hash(seen.place), (self.blocks.len() - 1) as u32);
        Ok(Sighting::First)
    }

    fn find(&self, place: DataOff) -> Option<usize> {
        self.index.find(hash(place), |at| self.blocks[at as usize].place == place).map(|at| at as usize)
    }

    fn grow(&mut self) -> Result<(), NoMemory> {
        self.index = HashIndex::new(self.heap, 2 * self.capacity)?;
        self.capacity *= 2;
        for (at, seen) in self.blocks.iter().enumerate() {
            self.index.insert(hash(seen.place), at as u32);
        }
        Ok(())
    }
}

fn hash(place: DataOff) -> u64 {
    place.0 >> 10 ^ place.0 << 58
}

/// A digest of everything that a blockref says about its block except the place.
pub(super) fn fingerprint(bref: &Blockref) -> u64 {
    let counted = bref.methods.check().map_or(CHECK_BYTES, |method| method.code_bytes());
    let mut print = u64::from_le_bytes([bref.kind_code(), bref.methods.0, bref.keybits().0, 0, 0, 0, 0, 1]);
    let mut mix = |word: u64| print = (print.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(bref.key().0);
    for word in bref.check[..counted].chunks(8) {
        mix(word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    }
    print
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{BlockKind, Key, KeyBits, MediaOffset, Methods, Radix};
    use allocator_api2::alloc::Global;

    #[test]
    fn sightings_by_owner_and_content() {
        let mut seen = SeenBlocks::new(&Global).unwrap();
        let block = |number: u64, key: u64| {
            let mut bref = Blockref::new(BlockKind::Indirect, Key(key), KeyBits(6), Methods(0x30));
            bref.set_data_off(DataOff::new(MediaOffset(number << 14), Radix::MIN));
            bref
        };
        // This is more than the first capacity, so that the table grows.
        for number in 1..5000 {
            assert_eq!(seen.enter(&block(number, 0), Owner(0)), Ok(Sighting::First));
        }
        assert_eq!(seen.enter(&block(17, 0), Owner(0)), Ok(Sighting::Twice));
        assert_eq!(seen.enter(&block(17, 0), Owner(1)), Ok(Sighting::Elsewhere));
        assert_eq!(seen.enter(&block(17, 64), Owner(2)), Ok(Sighting::First));
        assert_eq!(seen.enter(&block(17, 128), Owner(2)), Ok(Sighting::Twice));
    }
}
