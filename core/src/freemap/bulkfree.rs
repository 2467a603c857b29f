//! How bulkfree updates a freemap record: from a segment's state and what of it was found in use (format 6.7).
//!
//! A chunk that nothing refers to is staged by one pass and freed by the next, with a flush between them. By then a header that
//! still leads to it is neither the newest nor the one before.

use crate::media::freemap::{ChunkState, FreemapRecord, LINEAR_FULL, RECORD_CHUNKS, class_of};
use crate::media::geometry::{CHUNK_BYTES, SEGMENT_BYTES};
use crate::media::{BlockKind, Radix};

const CHUNK: u32 = CHUNK_BYTES as u32;

/// What a pass did, counted in chunks of 16 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkfreeCounts {
    /// Chunks that nothing refers to; the next pass frees them.
    pub staged: u64,
    /// Chunks that became free.
    pub freed: u64,
    /// Chunks that were staged but are referred to again.
    pub unstaged: u64,
    /// Chunks in use that the freemap had wrongly marked free.
    pub repaired: u64,
    /// Freed chunks of which the devices were told that they may forget the content.
    pub discarded: u64,
}

impl BulkfreeCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.staged += other.staged;
        self.freed += other.freed;
        self.unstaged += other.unstaged;
        self.repaired += other.repaired;
        self.discarded += other.discarded;
    }
}

/// Notes in a record of used space that a block lies at `offset` of the segment.
pub(crate) fn note_used(used: &mut FreemapRecord, kind: BlockKind, offset: u32, radix: Radix) {
    let end = offset + radix.bytes() as u32;
    for chunk in offset / CHUNK..end.div_ceil(CHUNK) {
        used.set_chunk(chunk as usize, ChunkState::Allocated);
    }
    let is_small = !(end - offset).is_multiple_of(CHUNK);
    if is_small && used.linear() < end || !is_small && (offset..end).contains(&used.linear()) {
        used.set_linear(end);
    }
    if used.class() == 0 {
        used.set_class(class_of(kind));
    }
}

/// Updates a record with what was found in use of its segment; `freed` is called with each chunk that became free.
pub(crate) fn merge(live: &mut FreemapRecord, used: &FreemapRecord, mut freed: impl FnMut(usize)) -> BulkfreeCounts {
    let mut counts = BulkfreeCounts::default();
    for chunk in 0..RECORD_CHUNKS {
        let in_use = used.chunk(chunk) == ChunkState::Allocated;
        let next = match (live.chunk(chunk), in_use) {
            (ChunkState::Staged, false) => {
                counts.freed += 1;
                freed(chunk);
                live.set_avail(live.avail() + CHUNK);
                ChunkState::Free
            }
            (ChunkState::Allocated, false) => {
                counts.staged += 1;
                ChunkState::Staged
            }
            (ChunkState::Free, true) => {
                counts.repaired += 1;
                live.set_avail(live.avail().saturating_sub(CHUNK));
                ChunkState::Allocated
            }
            (ChunkState::Staged, true) => {
                counts.unstaged += 1;
                ChunkState::Allocated
            }
            (ChunkState::Reserved, true) => ChunkState::Allocated,
            (same, _) => same,
        };
        live.set_chunk(chunk, next);
    }
    if live.avail() == SEGMENT_BYTES as u32 {
        *live = FreemapRecord::FREE;
        return counts;
    }
    let last_word = (RECORD_CHUNKS - 32..RECORD_CHUNKS).any(|chunk| live.chunk(chunk) != ChunkState::Free);
    let same_chunk = live.linear() / CHUNK == used.linear() / CHUNK;
    live.set_linear(if last_word {
        LINEAR_FULL
    } else if live.linear() < used.linear() && same_chunk {
        used.linear()
    } else {
        used.linear().next_multiple_of(CHUNK)
    });
    if live.class() == 0 {
        live.set_class(if used.class() == 0 { class_of(BlockKind::Data) } else { used.class() });
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_records_add_up() {
        let part = |factor: u64| BulkfreeCounts {
            staged: 5 * factor,
            freed: 6 * factor,
            unstaged: 7 * factor,
            repaired: 8 * factor,
            discarded: 9 * factor,
        };
        let mut sum = part(1);
        sum.add(part(10));
        assert_eq!(sum, part(11));
    }

    #[test]
    fn two_passes_free_a_chunk() {
        let mut live = FreemapRecord::FREE;
        live.set_class(0x310);
        live.set_chunk(3, ChunkState::Allocated);
        live.set_avail(SEGMENT_BYTES as u32 - CHUNK);
        let nothing = FreemapRecord::FREE;
        assert_eq!(merge(&mut live, &nothing, |_| {}), BulkfreeCounts { staged: 1, ..Default::default() });
        assert_eq!((live.chunk(3), live.avail()), (ChunkState::Staged, SEGMENT_BYTES as u32 - CHUNK));
        assert_eq!(merge(&mut live, &nothing, |_| {}), BulkfreeCounts { freed: 1, ..Default::default() });
        assert_eq!((live.chunk(3), live.avail(), live.class()), (ChunkState::Free, SEGMENT_BYTES as u32, 0));
    }

    #[test]
    fn what_is_used_again_is_kept_and_a_wrong_map_is_mended() {
        let mut used = FreemapRecord::FREE;
        note_used(&mut used, BlockKind::Data, 5 * CHUNK, Radix::MAX);
        note_used(&mut used, BlockKind::Inode, 9 * CHUNK + 1024, Radix::MIN);
        let mut live = FreemapRecord::FREE;
        live.set_chunk(5, ChunkState::Staged);
        live.set_avail(SEGMENT_BYTES as u32 - CHUNK);
        let counts = merge(&mut live, &used, |_| {});
        assert_eq!(counts, BulkfreeCounts { unstaged: 1, repaired: 4, ..Default::default() });
        assert_eq!(live.avail(), SEGMENT_BYTES as u32 - 5 * CHUNK);
        assert_eq!((live.class(), live.linear()), (0x310, 10 * CHUNK));
    }

    #[test]
    fn the_cursor_of_small_blocks_stays_behind_the_last() {
        let mut used = FreemapRecord::FREE;
        note_used(&mut used, BlockKind::Inode, 0, Radix::MIN);
        note_used(&mut used, BlockKind::Inode, 2048, Radix::MIN);
        assert_eq!(used.linear(), 3072);
        let mut live = FreemapRecord::FREE;
        live.set_class(0x110);
        live.set_chunk(0, ChunkState::Allocated);
        live.set_avail(SEGMENT_BYTES as u32 - CHUNK);
        live.set_linear(8192);
        merge(&mut live, &used, |_| {});
        assert_eq!(live.linear(), CHUNK, "what lies between may be in use by nobody we know");
    }
}
