//! Allocating blocks, and the freemap that records this (format 6).

use zerocopy::{FromBytes, IntoBytes};

use super::ImageError;
use super::medium::Medium;
use crate::io::Buffer;
use crate::media::freemap::{
    ChunkState, FREEMAP_BLOCK_BYTES, FreemapRecord, LEAF_KEYBITS, LEAF_RECORDS, RECORD_CHUNKS, class_of, managed_range,
    place,
};
use crate::media::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, SEGMENT_BYTES};
use crate::media::volume_header::{Blockset, SET_ENTRIES};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, DataOff, Key, KeyBits, MediaOffset, Methods, MirrorTid, Radix,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Bits by which the spans of two freemap levels differ.
const LEVEL_BITS: u8 = 8;

/// The layout of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// One after the other from the beginning.
    Packed,
    /// Each block in another gigabyte than the one before.
    Scattered,
}

/// A segment that is allocated from.
struct Segment {
    base: MediaOffset,
    record: FreemapRecord,
}

/// The part of the address space that is taken.
pub(super) struct Allocation {
    segments: Vec<Segment>,
    allocator_beg: MediaOffset,
    total_bytes: u64,
    spread: Spread,
    next_zone: u64,
    taken_bytes: u64,
}

impl Allocation {
    pub(super) fn new(heap: Heap, allocator_beg: MediaOffset, total_bytes: u64, spread: Spread) -> Self {
        let segments = Vec::new_in(heap);
        Self { segments, allocator_beg, total_bytes, spread, next_zone: 0, taken_bytes: 0 }
    }

    /// Bytes of the chunks taken so far.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Room for a block.
    pub(super) fn allocate(&mut self, kind: BlockKind, radix: Radix) -> Result<DataOff, ImageError> {
        let zones = self.total_bytes.div_ceil(LEAF_SPAN_BYTES);
        let first = match self.spread {
            Spread::Packed => 0,
            Spread::Scattered => self.next_zone % zones,
        };
        self.next_zone = first + 1;
        for zone in (first..zones).chain(0..first) {
            if let Some(place) = self.allocate_in(zone, class_of(kind), radix)? {
                return Ok(DataOff::new(place, radix));
            }
        }
        Err(ImageError::NoSpace)
    }

    fn allocate_in(&mut self, zone: u64, class: u16, radix: Radix) -> Result<Option<MediaOffset>, NoMemory> {
        let leaf = Key(zone * LEAF_SPAN_BYTES);
        let (low, high) = managed_range(leaf, self.allocator_beg, self.total_bytes);
        let mut fresh = low;
        for segment in self.segments.iter_mut().filter(|segment| (low..high).contains(&segment.base)) {
            fresh = fresh.max(MediaOffset(segment.base.0 + SEGMENT_BYTES));
            if segment.record.class() == class
                && let Some((place, chunks)) = segment.allocate(radix)
            {
                self.taken_bytes += chunks * CHUNK_BYTES;
                return Ok(Some(place));
            }
        }
        if fresh >= high {
            return Ok(None);
        }
        let mut segment = Segment { base: fresh, record: FreemapRecord::FREE };
        segment.record.set_class(class);
        let allocated = segment.allocate(radix);
        memory::push(&mut self.segments, segment)?;
        Ok(allocated.map(|(place, chunks)| {
            self.taken_bytes += chunks * CHUNK_BYTES;
            place
        }))
    }

    /// Writes the freemap at the given rotation; returns the header's blockset for it.
    pub(super) fn write_freemap(
        &self,
        medium: &Medium,
        rotation: u64,
        tid: MirrorTid,
        heap: Heap,
    ) -> Result<Blockset, ImageError> {
        let mut block = Buffer::new(heap, FREEMAP_BLOCK_BYTES)?;
        let mut level = Vec::new_in(heap);
        for zone in 0..self.total_bytes.div_ceil(LEAF_SPAN_BYTES) {
            let leaf = Key(zone * LEAF_SPAN_BYTES);
            if let Some(avail) = self.fill_leaf(leaf, &mut block) {
                let mut entry = freemap_entry(BlockKind::FreemapLeaf, leaf, LEAF_KEYBITS, rotation, tid, &block)?;
                entry.check[4..8].fill(0xff);
                entry.check[8..16].copy_from_slice(&avail.to_le_bytes());
                medium.write(entry.data_off().offset(), block.bytes())?;
                memory::push(&mut level, entry)?;
            }
        }
        let mut keybits = LEAF_KEYBITS;
        while level.len() > SET_ENTRIES {
            keybits = KeyBits(keybits.0 + LEVEL_BITS);
            let mut above = Vec::new_in(heap);
            for children in level.chunk_by(|a, b| a.key().0 >> keybits.0 == b.key().0 >> keybits.0) {
                let key = Key(children[0].key().0 >> keybits.0 << keybits.0);
                block.bytes_mut().fill(0);
                block.bytes_mut()[..size_of_val(children)].copy_from_slice(children.as_bytes());
                let entry = freemap_entry(BlockKind::FreemapNode, key, keybits, rotation, tid, &block)?;
                medium.write(entry.data_off().offset(), block.bytes())?;
                memory::push(&mut above, entry)?;
            }
            level = above;
        }
        Ok(core::array::from_fn(|index| level.get(index).copied().unwrap_or_default()))
    }

    /// Fills the block of a leaf, if anything in its gigabyte is taken; returns what was free when the leaf was new.
    fn fill_leaf(&self, leaf: Key, block: &mut Buffer) -> Option<u64> {
        let (low, high) = managed_range(leaf, self.allocator_beg, self.total_bytes);
        let in_leaf = |segment: &&Segment| (low..high).contains(&segment.base);
        self.segments.iter().find(in_leaf)?;
        let records = <[FreemapRecord; LEAF_RECORDS]>::mut_from_bytes(block.bytes_mut()).ok()?;
        for (record, base) in records.iter_mut().zip((leaf.0..).step_by(SEGMENT_BYTES as usize)) {
            let managed = (low..high).contains(&MediaOffset(base));
            *record = if managed { FreemapRecord::FREE } else { FreemapRecord::RESERVED };
        }
        for segment in self.segments.iter().filter(in_leaf) {
            records[((segment.base.0 - leaf.0) / SEGMENT_BYTES) as usize] = segment.record;
        }
        Some(high.0 - low.0)
    }
}

impl Segment {
    /// Finds room in the segment; returns its offset, and how many free chunks that took.
    fn allocate(&mut self, radix: Radix) -> Option<(MediaOffset, u64)> {
        let bytes = radix.bytes() as u64;
        let linear = u64::from(self.record.linear());
        let used_in_chunk = linear % CHUNK_BYTES;
        if used_in_chunk != 0 && used_in_chunk + bytes <= CHUNK_BYTES {
            self.record.set_linear((linear + bytes) as u32);
            return Some((MediaOffset(self.base.0 + linear), 0));
        }
        let chunks = bytes.div_ceil(CHUNK_BYTES) as usize;
        let is_free = |chunk: usize| self.record.chunk(chunk) == ChunkState::Free;
        let first = (0..RECORD_CHUNKS).step_by(chunks).find(|first| (*first..first + chunks).all(is_free))?;
        for chunk in first..first + chunks {
            self.record.set_chunk(chunk, ChunkState::Allocated);
        }
        self.record.set_avail(self.record.avail() - chunks as u32 * CHUNK_BYTES as u32);
        let offset = first as u64 * CHUNK_BYTES;
        if bytes < CHUNK_BYTES {
            self.record.set_linear((offset + bytes) as u32);
        }
        Some((MediaOffset(self.base.0 + offset), chunks as u64))
    }
}

fn freemap_entry(
    kind: BlockKind,
    key: Key,
    keybits: KeyBits,
    rotation: u64,
    tid: MirrorTid,
    block: &Buffer,
) -> Result<Blockref, ImageError> {
    let mut entry = Blockref::new(kind, key, keybits, Methods::new(CheckMethod::Freemap, Compression::None));
    entry.set_mirror_tid(tid);
    entry.set_data_off(place(key, keybits, rotation)?);
    entry.check = CheckMethod::Freemap.compute(block.bytes());
    Ok(entry)
}
