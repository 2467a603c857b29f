//! A bit for each chunk of a freemap leaf.

use crate::media::freemap::{LEAF_RECORDS, RECORD_CHUNKS};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Chunks a freemap leaf describes.
const LEAF_CHUNKS: usize = LEAF_RECORDS * RECORD_CHUNKS;

/// Bits for the chunks of one leaf.
pub(super) struct ChunkBits(Vec<u64>);

impl ChunkBits {
    /// All bits are clear.
    pub(super) fn new(heap: Heap) -> Result<Self, NoMemory> {
        memory::filled(heap, LEAF_CHUNKS / 64, || 0).map(Self)
    }

    /// Sets the bit of `chunk` of `record`; true when it was clear.
    pub(super) fn set(&mut self, record: usize, chunk: usize) -> bool {
        let (word, bit) = Self::place(record, chunk);
        let was_clear = self.0[word] & bit == 0;
        self.0[word] |= bit;
        was_clear
    }

    pub(super) fn is_set(&self, record: usize, chunk: usize) -> bool {
        let (word, bit) = Self::place(record, chunk);
        self.0[word] & bit != 0
    }

    fn place(record: usize, chunk: usize) -> (usize, u64) {
        let index = record * RECORD_CHUNKS + chunk;
        (index / 64, 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;

    #[test]
    fn bits_are_apart() {
        let mut bits = ChunkBits::new(&Global).unwrap();
        assert!(bits.set(0, 255) && bits.set(1, 0) && bits.set(255, 255));
        assert!(!bits.set(1, 0));
        assert!(bits.is_set(0, 255) && bits.is_set(255, 255) && !bits.is_set(0, 254) && !bits.is_set(254, 255));
    }
}
