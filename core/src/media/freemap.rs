//! The freemap's structures: what is allocated, in units of 16 KiB (format 6).

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, SEGMENT_BYTES, SLOT_BYTES};
use super::{BlockKind, Corruption, DataOff, Key, KeyBits, MediaOffset, Radix};

/// Bytes of a freemap block: a leaf's records or a node's blockrefs.
pub const FREEMAP_BLOCK_BYTES: usize = 32768;
/// Records in a leaf, one for each 4 MiB.
pub const LEAF_RECORDS: usize = 256;
/// The number of chunks that one record describes.
pub const RECORD_CHUNKS: usize = 256;
/// `linear` of a record that has no room for small blocks.
pub const LINEAR_FULL: u32 = SEGMENT_BYTES as u32;
/// Rotations of a freemap block among its reserved slots.
pub const ROTATIONS: u64 = 8;
/// Levels of the tree below the volume header.
const LEVELS: u64 = 5;
/// Bits by which the spans of two levels differ.
pub const LEVEL_BITS: u8 = 8;
/// The span of a leaf.
pub const LEAF_KEYBITS: KeyBits = KeyBits(30);

/// The state of a chunk (format 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChunkState {
    /// Free.
    Free = 0,
    /// Reserved; known tools never write this state. It counts as allocated.
    Reserved = 1,
    /// Found free by one bulkfree pass, but not to be allocated yet.
    Staged = 2,
    /// Allocated.
    Allocated = 3,
}

/// A record of a leaf: 4 MiB of the address space.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FreemapRecord {
    linear: U32,
    class: U16,
    reserved_06: [u8; 22],
    avail: U32,
    reserved_20: [u8; 32],
    bitmap: [U64; 8],
}

const_assert_eq!(size_of::<FreemapRecord>(), 128);
const_assert_eq!(core::mem::offset_of!(FreemapRecord, avail), 0x1c);
const_assert_eq!(core::mem::offset_of!(FreemapRecord, bitmap), 0x40);
const_assert_eq!(size_of::<FreemapRecord>() * LEAF_RECORDS, FREEMAP_BLOCK_BYTES);

impl FreemapRecord {
    /// A record of a segment that can't be allocated from.
    pub const RESERVED: Self = Self {
        linear: U32::new(LINEAR_FULL),
        class: U16::ZERO,
        reserved_06: [0; 22],
        avail: U32::ZERO,
        reserved_20: [0; 32],
        bitmap: [U64::MAX_VALUE; 8],
    };

    /// A record of a segment that was never allocated from.
    pub const FREE: Self = Self {
        linear: U32::ZERO,
        class: U16::ZERO,
        reserved_06: [0; 22],
        avail: U32::new(SEGMENT_BYTES as u32),
        reserved_20: [0; 32],
        bitmap: [U64::ZERO; 8],
    };

    /// The place of the next block smaller than a chunk: an offset in the segment.
    pub fn linear(&self) -> u32 {
        self.linear.get()
    }

    /// The class of blocks that the segment is for, as stored: 0, or block type and 16.
    pub fn class(&self) -> u16 {
        self.class.get()
    }

    /// Free bytes.
    pub fn avail(&self) -> u32 {
        self.avail.get()
    }

    /// The state of chunk `index`, below [`RECORD_CHUNKS`].
    pub fn chunk(&self, index: usize) -> ChunkState {
        match self.bitmap[index / 32].get() >> (2 * (index % 32)) & 3 {
            0 => ChunkState::Free,
            1 => ChunkState::Reserved,
            2 => ChunkState::Staged,
            _ => ChunkState::Allocated,
        }
    }

    /// Sets the place of the next small block.
    pub fn set_linear(&mut self, linear: u32) {
        self.linear = U32::new(linear);
    }

    /// Sets the class of blocks that the segment is for.
    pub fn set_class(&mut self, class: u16) {
        self.class = U16::new(class);
    }

    /// Sets the free bytes.
    pub fn set_avail(&mut self, bytes: u32) {
        self.avail = U32::new(bytes);
    }

    /// Sets the state of chunk `index`, below [`RECORD_CHUNKS`].
    pub fn set_chunk(&mut self, index: usize, state: ChunkState) {
        let shift = 2 * (index % 32);
        let word = &mut self.bitmap[index / 32];
        *word = U64::new(word.get() & !(3 << shift) | (state as u64) << shift);
    }

    /// The number of free chunks.
    pub fn free_chunks(&self) -> u32 {
        let free = |word: &U64| (!(word.get() | word.get() >> 1) & 0x5555_5555_5555_5555).count_ones();
        self.bitmap.iter().map(free).sum()
    }

    /// The number of free places for the largest blocks: four free chunks in a row, aligned.
    pub fn free_runs(&self) -> u32 {
        self.bitmap.as_bytes().iter().filter(|four| **four == 0).count() as u32
    }

    /// True when the whole segment is marked as in [`RESERVED`](Self::RESERVED).
    pub fn is_reserved(&self) -> bool {
        self.as_bytes() == Self::RESERVED.as_bytes()
    }
}

/// The class of segments for blocks of `kind`.
pub fn class_of(kind: BlockKind) -> u16 {
    (kind as u16) << 8 | 16
}

/// The record, and the chunk in it, that describe an address within its leaf.
pub fn chunk_index(offset: MediaOffset) -> (usize, usize) {
    let in_leaf = offset.0 % LEAF_SPAN_BYTES;
    ((in_leaf / SEGMENT_BYTES) as usize, (in_leaf % SEGMENT_BYTES / CHUNK_BYTES) as usize)
}

/// The level of a freemap block by the width of its span: 1 for a leaf, up to 5.
pub fn level(keybits: KeyBits) -> Result<u64, Corruption> {
    let above = keybits.0.wrapping_sub(LEAF_KEYBITS.0);
    if above.is_multiple_of(LEVEL_BITS) && u64::from(above / LEVEL_BITS) < LEVELS {
        Ok(u64::from(above / LEVEL_BITS) + 1)
    } else {
        Err(Corruption::FreemapSpan(keybits.0))
    }
}

/// The width of the nodes that hold freemap blocks of this width.
pub const fn above(keybits: KeyBits) -> KeyBits {
    KeyBits(keybits.0 + LEVEL_BITS)
}

/// The place of a freemap block, which is computed, never allocated (format 6.1).
pub fn place(key: Key, keybits: KeyBits, rotation: u64) -> Result<DataOff, Corruption> {
    let slot = 1 + LEVELS * (rotation % ROTATIONS) + (level(keybits)? - 1);
    let radix = Radix::new(FREEMAP_BLOCK_BYTES.trailing_zeros() as u8)?;
    Ok(DataOff::new(MediaOffset(key.0.wrapping_add(slot * SLOT_BYTES)), radix))
}

/// The rotation in which a freemap block lies; an error when it isn't in one of its own places.
pub fn rotation(key: Key, keybits: KeyBits, data_off: DataOff) -> Result<u64, Corruption> {
    let slot = data_off.offset().0 % SEGMENT_BYTES / SLOT_BYTES;
    let rotation = slot.wrapping_sub(1) / LEVELS;
    if rotation < ROTATIONS && place(key, keybits, rotation)? == data_off {
        Ok(rotation)
    } else {
        Err(Corruption::FreemapPlace(data_off))
    }
}

/// The start and end address of the segments of a leaf that can be allocated from (format 6.3). They are equal when there are
/// none.
pub fn managed_range(leaf: Key, allocator_beg: MediaOffset, total_bytes: u64) -> (MediaOffset, MediaOffset) {
    let begin = allocator_beg.0.checked_next_multiple_of(SEGMENT_BYTES).unwrap_or(u64::MAX);
    let low = begin.max(leaf.0.saturating_add(SEGMENT_BYTES));
    let high = leaf.0.saturating_add(LEAF_SPAN_BYTES).min(total_bytes - total_bytes % SEGMENT_BYTES);
    (MediaOffset(low), MediaOffset(high.max(low)))
}

/// The records in a leaf's block, for changes.
pub fn records_mut(block: &mut [u8]) -> Result<&mut [FreemapRecord; LEAF_RECORDS], Corruption> {
    let radix = block.len().checked_ilog2().unwrap_or(0) as u8;
    <[FreemapRecord; LEAF_RECORDS]>::mut_from_bytes(block).map_err(|_| Corruption::BlockSize(radix))
}

/// The records in a leaf's block.
pub fn records(block: &[u8]) -> Result<&[FreemapRecord; LEAF_RECORDS], Corruption> {
    <[FreemapRecord; LEAF_RECORDS]>::ref_from_bytes(block)
        .map_err(|_| Corruption::BlockSize(block.len().checked_ilog2().unwrap_or(0) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_rotations() {
        for (key, keybits, rotation_index, place_wanted) in
            [(0, 30, 0, 0x1_000f), (0x4000_0000, 30, 1, 0x4006_000f), (0, 38, 0, 0x2_000f), (0, 62, 7, 0x28_000f)]
        {
            let data_off = place(Key(key), KeyBits(keybits), rotation_index).unwrap();
            assert_eq!(data_off, DataOff(place_wanted));
            assert_eq!(rotation(Key(key), KeyBits(keybits), data_off), Ok(rotation_index));
        }
        assert_eq!(level(KeyBits(31)), Err(Corruption::FreemapSpan(31)));
        assert_eq!(level(KeyBits(70)), Err(Corruption::FreemapSpan(70)));
        assert_eq!(level(KeyBits(0)), Err(Corruption::FreemapSpan(0)));
        for stray in [0x1_040f, 0x2_000f, 0x29_000f, 0xf, 0x1_000e] {
            assert_eq!(rotation(Key(0), LEAF_KEYBITS, DataOff(stray)), Err(Corruption::FreemapPlace(DataOff(stray))));
        }
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk_index(MediaOffset(0x4480_4000)), (18, 1));
        let mut record = FreemapRecord::FREE;
        assert_eq!(record.free_chunks(), 256);
        record.bitmap[1] = U64::new(0b11_10_01);
        let states: [ChunkState; 4] = core::array::from_fn(|i| record.chunk(32 + i));
        assert_eq!(states, [ChunkState::Reserved, ChunkState::Staged, ChunkState::Allocated, ChunkState::Free]);
        assert_eq!((record.free_chunks(), record.free_runs()), (253, 63));
        assert_eq!(FreemapRecord::RESERVED.free_chunks(), 0);
    }

    #[test]
    fn managed_ranges() {
        let range = |key, beg, total| managed_range(Key(key), MediaOffset(beg), total);
        assert_eq!(range(0, 0x0440_0c00, 1 << 30), (MediaOffset(0x0480_0000), MediaOffset(1 << 30)));
        assert_eq!(range(1 << 30, 0x0440_0c00, 3 << 29), (MediaOffset(0x4040_0000), MediaOffset(3 << 29)));
        for (key, beg, total) in [(2 << 30, 0, 3 << 29), (0, 0, 0), (0, u64::MAX, u64::MAX), (u64::MAX, 0, u64::MAX)] {
            let (low, high) = range(key, beg, total);
            assert_eq!(low, high, "leaf {key:#x}, begin {beg:#x}, {total:#x} bytes");
        }
    }
}
