//! Allocation within one segment of 4 MiB (format 6.5).

use crate::media::freemap::{ChunkState, FreemapRecord, LINEAR_FULL, RECORD_CHUNKS};
use crate::media::geometry::{CHUNK_BYTES, SEGMENT_BYTES};
use crate::media::{Key, Radix};

const CHUNK: u32 = CHUNK_BYTES as u32;

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allocated {
    /// Byte offset in the segment.
    pub(super) offset: u32,
    /// Chunks that were free before.
    pub(super) new_chunks: u32,
}

/// Whether a block may fit: a fast test whose "no" is always right.
pub(super) fn may_fit(record: &FreemapRecord, class: u16, radix: Radix, relaxed: bool) -> bool {
    let classes_agree = relaxed || record.class() == 0 || record.class() == class;
    classes_agree && (record.avail() > 0 || tail_room(record) >= radix.bytes() as u32)
}

/// Bytes left in the chunk into which small blocks were put last.
fn tail_room(record: &FreemapRecord) -> u32 {
    let linear = record.linear();
    if linear >= LINEAR_FULL || linear.is_multiple_of(CHUNK) { 0 } else { CHUNK - linear % CHUNK }
}

/// Allocates a block of size `radix`. Large blocks of a file go where their offset says, so that a file is laid out in order;
/// `in_order` is then the block's key.
pub(super) fn allocate(record: &mut FreemapRecord, radix: Radix, in_order: Option<Key>) -> Option<Allocated> {
    let size = radix.bytes() as u32;
    let (offset, chunks) = if size < CHUNK && tail_room(record) >= size {
        (record.linear(), 1)
    } else {
        let chunks = (size / CHUNK).max(1) as usize;
        (free_run(record, chunks, in_order)? as u32 * CHUNK, chunks as u32)
    };
    if size < CHUNK {
        record.set_linear(offset + size);
    }
    let first = (offset / CHUNK) as usize;
    let mut new_chunks = 0;
    for chunk in first..first + chunks as usize {
        new_chunks += u32::from(record.chunk(chunk) == ChunkState::Free);
        record.set_chunk(chunk, ChunkState::Allocated);
    }
    record.set_avail(record.avail().saturating_sub(new_chunks * CHUNK));
    Some(Allocated { offset, new_chunks })
}

/// The first of `count` free chunks, aligned to their number: those that `in_order` asks for if they are free, otherwise the
/// lowest.
fn free_run(record: &FreemapRecord, count: usize, in_order: Option<Key>) -> Option<usize> {
    let is_free = |first: usize| (first..first + count).all(|chunk| record.chunk(chunk) == ChunkState::Free);
    let wanted = in_order.map(|key| (key.0 % SEGMENT_BYTES / CHUNK_BYTES) as usize / count * count);
    wanted.filter(|first| is_free(*first)).or_else(|| (0..RECORD_CHUNKS).step_by(count).find(|first| is_free(*first)))
}

/// Marks the chunks of a block as allocated; returns how many of them were free.
pub(super) fn mark(record: &mut FreemapRecord, offset: u32, radix: Radix) -> u32 {
    let end = offset + radix.bytes() as u32;
    let mut new_chunks = 0;
    let mut changed = false;
    for chunk in (offset / CHUNK) as usize..end.div_ceil(CHUNK) as usize {
        new_chunks += u32::from(record.chunk(chunk) == ChunkState::Free);
        changed |= record.chunk(chunk) != ChunkState::Allocated;
        record.set_chunk(chunk, ChunkState::Allocated);
    }
    if changed {
        // It is unknown what else lies in these chunks, so small blocks go elsewhere.
        record.set_linear(0);
    }
    record.set_avail(record.avail().saturating_sub(new_chunks * CHUNK));
    new_chunks
}

/// Takes back a block of whole chunks; returns how many chunks became free.
pub(super) fn free(record: &mut FreemapRecord, offset: u32, radix: Radix) -> u32 {
    let first = (offset / CHUNK) as usize;
    let mut freed = 0;
    for chunk in first..first + (radix.bytes() as u32 / CHUNK) as usize {
        freed += u32::from(record.chunk(chunk) == ChunkState::Allocated);
        record.set_chunk(chunk, ChunkState::Free);
    }
    record.set_avail(record.avail() + freed * CHUNK);
    if record.avail() == SEGMENT_BYTES as u32 {
        record.set_class(0);
        record.set_linear(0);
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn radix(value: u8) -> Radix {
        Radix::new(value).unwrap()
    }

    #[test]
    fn small_blocks_share_chunks() {
        let mut record = FreemapRecord::FREE;
        let places: [_; 3] = core::array::from_fn(|_| allocate(&mut record, radix(10), None).unwrap());
        assert_eq!(places.map(|place| (place.offset, place.new_chunks)), [(0, 1), (1024, 0), (2048, 0)]);
        // A block that doesn't fit into the rest of the chunk opens another.
        assert_eq!(allocate(&mut record, radix(13), None), Some(Allocated { offset: 3072, new_chunks: 0 }));
        assert_eq!(allocate(&mut record, radix(13), None), Some(Allocated { offset: 16384, new_chunks: 1 }));
        assert_eq!(record.avail(), SEGMENT_BYTES as u32 - 2 * CHUNK);
    }

    #[test]
    fn large_blocks_lie_in_the_order_of_the_file() {
        let mut record = FreemapRecord::FREE;
        let at = |record: &mut _, key| allocate(record, Radix::MAX, Some(Key(key))).unwrap().offset;
        assert_eq!(at(&mut record, 0x30000), 0x30000);
        assert_eq!(at(&mut record, 0x40_0000 + 0x10000), 0x10000);
        assert_eq!(at(&mut record, 0x30000), 0, "taken: the lowest");
        assert_eq!(at(&mut record, 0x3f_0000), 0x3f_0000);
    }

    #[test]
    fn what_is_marked_is_taken_once() {
        let mut record = FreemapRecord::FREE;
        assert_eq!(mark(&mut record, 2 * CHUNK, radix(15)), 2);
        assert_eq!([1, 2, 3, 4].map(|chunk| record.chunk(chunk) == ChunkState::Free), [true, false, false, true]);
        // Half of it is taken already.
        assert_eq!(mark(&mut record, 0, Radix::MAX), 2);
        assert_eq!(record.avail(), SEGMENT_BYTES as u32 - 4 * CHUNK);
    }

    #[test]
    fn a_full_segment_says_so_and_freeing_empties_it() {
        let mut record = FreemapRecord::FREE;
        record.set_class(0x310);
        for _ in 0..64 {
            assert!(may_fit(&record, 0x310, Radix::MAX, false));
            allocate(&mut record, Radix::MAX, None).unwrap();
        }
        assert_eq!(allocate(&mut record, Radix::MAX, None), None);
        assert!(!may_fit(&record, 0x310, Radix::MAX, true));
        for block in 0..64 {
            assert_eq!(free(&mut record, block << 16, Radix::MAX), 4);
        }
        assert_eq!((record.avail(), record.class(), record.free_chunks()), (SEGMENT_BYTES as u32, 0, 256));
    }

    #[test]
    fn other_classes_are_kept_out_until_relaxed() {
        let mut record = FreemapRecord::FREE;
        record.set_class(0x110);
        assert!(!may_fit(&record, 0x310, Radix::MIN, false));
        assert!(may_fit(&record, 0x310, Radix::MIN, true));
    }
}
