//! Counting the free space anew after a block of the freemap was lost: nothing else says how much of its part was free.
//!
//! It goes leaf by leaf, while allocation goes on: a change in a leaf that was already counted is added to the count.

use super::Allocator;
use super::leaf::{leaf_key, look};
use super::lost::{LostKeys, Recount};
use crate::chain::{Stop, Topology};
use crate::io::BlockCache;
use crate::media::freemap::{FreemapRecord, LEAF_RECORDS, RECORD_CHUNKS};
use crate::media::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, SEGMENT_BYTES};
use crate::media::{Key, KeyRange, MediaOffset, MirrorTid};

/// Less than this fraction of the space counts as little.
const SHORT: u64 = 8;

impl Allocator {
    /// Notes that the leaves that flush `tid` wrote for these addresses are lost: from here on all of these count as in use.
    /// Until the [count](Self::recount_next) is done, less is reported free than is.
    pub(crate) fn note_lost(&mut self, span: KeyRange, tid: MirrorTid, allocator_size: u64) {
        let first = span.first.0 / LEAF_SPAN_BYTES;
        let leaves = self.total_bytes.div_ceil(LEAF_SPAN_BYTES);
        for leaf in first..=(span.last.0 / LEAF_SPAN_BYTES).min(leaves.saturating_sub(1)) {
            let (low, high) = self.managed(leaf);
            self.free_bytes = self.free_bytes.saturating_sub(high.0 - low.0);
            self.lost.add(leaf_key(leaf), tid);
        }
        self.recount = Some(Recount { next: 0, free_bytes: allocator_size });
        self.forget_fullness();
    }

    /// True when little is free.
    pub(crate) fn is_short(&self) -> bool {
        self.free_bytes < self.total_bytes / SHORT
    }

    /// The number of lost leaves whose used space a commit of flush `committed` shows.
    pub(crate) fn lost_before(&self, committed: MirrorTid) -> usize {
        self.lost.told_by(committed)
    }

    /// The lost leaves whose used space a commit of flush `committed` shows, in order. They are forgotten here.
    pub(crate) fn take_lost(&mut self, committed: MirrorTid) -> LostKeys {
        self.lost.take_told_by(committed)
    }

    /// Notes that a leaf's used space is known again, or that something is allocated from it again.
    pub(crate) fn forget_lost(&mut self, leaf: Key) {
        self.lost.forget(leaf);
    }

    /// Counts one more leaf; false when none is left, and the free space is known.
    pub(crate) fn recount_next(&mut self, topology: &mut Topology, blocks: &BlockCache) -> Result<bool, Stop> {
        let Some(Recount { next, .. }) = self.recount else { return Ok(false) };
        if next >= self.total_bytes.div_ceil(LEAF_SPAN_BYTES) {
            if let Some(Recount { free_bytes, .. }) = self.recount.take() {
                self.free_bytes = free_bytes;
            }
            return Ok(false);
        }
        let taken_bytes = self.taken_in(topology, blocks, next)?;
        if let Some(recount) = &mut self.recount {
            recount.next = next + 1;
            recount.free_bytes = recount.free_bytes.saturating_sub(taken_bytes);
        }
        Ok(true)
    }

    /// Bytes of a leaf's space that aren't free.
    fn taken_in(&self, topology: &mut Topology, blocks: &BlockCache, leaf: u64) -> Result<u64, Stop> {
        let (low, high) = self.managed(leaf);
        let taken = |records: &[FreemapRecord; LEAF_RECORDS]| {
            let base = |index: usize| MediaOffset(leaf_key(leaf).0 + index as u64 * SEGMENT_BYTES);
            let managed = records.iter().enumerate().filter(|(index, _)| (low..high).contains(&base(*index)));
            managed.map(|(_, record)| RECORD_CHUNKS as u64 - u64::from(record.free_chunks())).sum::<u64>() * CHUNK_BYTES
        };
        Ok(look(topology, blocks, leaf, taken)?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    const LEAVES: u64 = 4;
    const FREE_BYTES: u64 = 1 << 31;

    fn allocator() -> Allocator {
        Allocator::new(HEAP, MediaOffset(0), LEAVES * LEAF_SPAN_BYTES, FREE_BYTES).unwrap()
    }

    fn lose(allocator: &mut Allocator, leaf: u64, tid: u64) {
        let first = leaf_key(leaf);
        let span = KeyRange { first, last: Key(first.0 + LEAF_SPAN_BYTES - 1) };
        allocator.note_lost(span, MirrorTid(tid), FREE_BYTES);
    }

    #[test]
    fn a_lost_leaf_is_remembered_until_it_is_known() {
        let mut allocator = allocator();
        lose(&mut allocator, 1, 7);
        let is_lost = |allocator: &Allocator| [0, 1, 2].map(|leaf| allocator.lost.has(leaf_key(leaf)));
        assert_eq!(is_lost(&allocator), [false, true, false]);
        assert_eq!([6, 7].map(|tid| allocator.lost_before(MirrorTid(tid))), [0, 1]);
        allocator.forget_lost(leaf_key(1));
        assert_eq!(is_lost(&allocator), [false; 3]);
    }

    #[test]
    fn a_change_is_noted_in_the_count_where_that_has_been() {
        let mut allocator = allocator();
        allocator.recount = Some(Recount { next: 2, free_bytes: FREE_BYTES });
        let mut counted_after_freeing_in = |leaf: u64| {
            allocator.adjust_free(leaf_key(leaf), 3, 1);
            allocator.recount.as_ref().unwrap().free_bytes - FREE_BYTES
        };
        let change = 2 * CHUNK_BYTES;
        // The count itself will find what is free in leaves 2 and 3.
        assert_eq!([0, 1, 2, 3].map(&mut counted_after_freeing_in), [change, 2 * change, 2 * change, 2 * change]);
        assert_eq!(allocator.free_bytes, FREE_BYTES + 4 * change);
    }
}
