//! Finding room for a block: which leaf, which segment (format 6.5).

use zerocopy::IntoBytes;

use super::leaf::{leaf_key, look, modified_leaf, records_mut};
use super::lost::{LostLeaves, Recount};
use super::record::{self, Allocated};
use crate::chain::{ChainError, ChainId, Container, Stop, Topology};
use crate::io::{BlockCache, ReadError};
use crate::media::freemap::{
    FREEMAP_BLOCK_BYTES, FreemapRecord, LEAF_KEYBITS, LEAF_RECORDS, chunk_index, class_of, managed_range,
};
use crate::media::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, SEGMENT_BYTES, capacity_gain};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, DataOff, Key, MediaOffset, Methods, ModifyTid, Radix,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// The number of leaves whose fullness is remembered; those beyond it, in larger volumes, are looked at each time.
const REMEMBERED_LEAVES: u64 = 1 << 20;
/// Block types that have segments of their own.
const CLASSES: usize = 5;

/// Where the next block of a class is looked for first.
#[derive(Clone, Copy, Default)]
struct Hand {
    leaf: u64,
    record: usize,
}

/// Allocates blocks in a topology.
pub(crate) struct Allocator {
    allocator_beg: MediaOffset,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    /// The count of free space that is under way after a loss.
    pub(super) recount: Option<Recount>,
    /// Leaves whose used space is unknown.
    pub(super) lost: LostLeaves,
    hands: [Hand; CLASSES],
    /// Segments of other classes are used too: space is short.
    relaxed: bool,
    /// For each leaf, bit (radix - 10): no block of that size fits.
    full: Vec<u8>,
    /// Free places for the largest blocks, as many as are known for certain.
    known_runs: u64,
    /// All leaves were counted and nothing was freed since: there are no places beyond the known ones.
    all_counted: bool,
}

impl Allocator {
    /// An allocator for the space from `allocator_beg` to `total_bytes`, of which `free_bytes` are free according to the header.
    pub(crate) fn new(
        heap: Heap,
        allocator_beg: MediaOffset,
        total_bytes: u64,
        free_bytes: u64,
    ) -> Result<Self, NoMemory> {
        let leaves = total_bytes.div_ceil(LEAF_SPAN_BYTES).min(REMEMBERED_LEAVES) as usize;
        let full = memory::filled(heap, leaves, || 0)?;
        Ok(Self {
            allocator_beg,
            total_bytes,
            free_bytes,
            recount: None,
            lost: LostLeaves::default(),
            hands: [Hand::default(); CLASSES],
            relaxed: false,
            full,
            known_runs: 0,
            all_counted: false,
        })
    }

    /// Bytes in free chunks, as the header will say.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// Bytes in free chunks that can be allocated. The header also counts the remainders of two segments that no freemap manages:
    /// the one that the boot and aux areas end in, and the last one (format 6.3).
    pub(crate) fn usable_bytes(&self) -> u64 {
        let begin = self.allocator_beg.0;
        let first = begin.checked_next_multiple_of(SEGMENT_BYTES).map_or(0, |managed| managed - begin);
        self.free_bytes.saturating_sub(first + self.total_bytes % SEGMENT_BYTES)
    }

    /// Allocates room for a block of `kind`; none when there is none. `key` is the block's key: it places the blocks of a file in
    /// order.
    pub(crate) fn allocate(
        &mut self,
        topology: &mut Topology,
        blocks: &BlockCache,
        kind: BlockKind,
        radix: Radix,
        key: Key,
    ) -> Result<Option<DataOff>, Stop> {
        loop {
            let leaves = self.total_bytes.div_ceil(LEAF_SPAN_BYTES);
            let first = self.hands[hand(kind)].leaf;
            for leaf in (first..leaves).chain(0..first) {
                if self.is_full(leaf, radix) {
                    continue;
                }
                if let Some(place) = self.allocate_in(topology, blocks, leaf, kind, radix, key)? {
                    return Ok(Some(place));
                }
                self.set_full(leaf, radix);
            }
            if self.relaxed {
                return Ok(None);
            }
            self.relaxed = true;
            self.full.fill(0);
        }
    }

    fn allocate_in(
        &mut self,
        topology: &mut Topology,
        blocks: &BlockCache,
        leaf: u64,
        kind: BlockKind,
        radix: Radix,
        key: Key,
    ) -> Result<Option<DataOff>, Stop> {
        let Some(found) = self.find_record(topology, blocks, leaf, kind, radix)? else { return Ok(None) };
        let chain = self.leaf(topology, blocks, leaf)?;
        let in_order = (kind == BlockKind::Data && radix.bytes() as u64 >= CHUNK_BYTES).then_some(key);
        let hand = &mut self.hands[hand(kind)];
        // A segment whose free pieces are too small is passed over.
        for index in (found..LEAF_RECORDS).chain(0..found) {
            let record = &mut records_mut(topology, chain)[index];
            if !record::may_fit(record, class_of(kind), radix, self.relaxed) {
                continue;
            }
            let Some(Allocated { offset, new_chunks }) = record::allocate(record, radix, in_order) else { continue };
            if record.class() == 0 {
                record.set_class(class_of(kind));
            }
            *hand = Hand { leaf, record: index };
            self.note_taken(leaf, new_chunks);
            let base = leaf * LEAF_SPAN_BYTES + index as u64 * SEGMENT_BYTES;
            return Ok(Some(DataOff::new(MediaOffset(base + u64::from(offset)), radix)));
        }
        Ok(None)
    }

    /// The first record of a leaf, from the hand on, in which the block may fit. Looking for it modifies nothing.
    fn find_record(
        &self,
        topology: &mut Topology,
        blocks: &BlockCache,
        leaf: u64,
        kind: BlockKind,
        radix: Radix,
    ) -> Result<Option<usize>, Stop> {
        let start = if self.hands[hand(kind)].leaf == leaf { self.hands[hand(kind)].record } else { 0 };
        let fits = |record: &FreemapRecord| record::may_fit(record, class_of(kind), radix, self.relaxed);
        let order = (start..LEAF_RECORDS).chain(0..start);
        let search = |records: &[FreemapRecord; LEAF_RECORDS]| order.clone().find(|index| fits(&records[*index]));
        let found = look(topology, blocks, leaf, search)?;
        Ok(found.unwrap_or_else(|| order.clone().find(|index| fits(&self.fresh_record(leaf, *index)))))
    }

    /// The leaf as a modified chain; it is made if it doesn't exist yet.
    fn leaf(&self, topology: &mut Topology, blocks: &BlockCache, leaf: u64) -> Result<ChainId, Stop> {
        loop {
            let (container, index) = topology.descend(blocks, Container::FreemapSet, leaf_key(leaf))?;
            if let Some(index) = index {
                return topology.modify(blocks, container, index);
            }
            let methods = Methods::new(CheckMethod::Freemap, Compression::None);
            let mut bref = Blockref::new(BlockKind::FreemapLeaf, leaf_key(leaf), LEAF_KEYBITS, methods);
            let no_memory = |_: NoMemory| Stop::Failed(ChainError::new(&bref, ReadError::NoMemory));
            let mut content = topology.blank(FREEMAP_BLOCK_BYTES).map_err(no_memory)?;
            let mut managed_bytes = 0;
            for (index, place) in content.chunks_exact_mut(size_of::<FreemapRecord>()).enumerate() {
                let record = self.fresh_record(leaf, index);
                managed_bytes += u64::from(record.avail());
                place.copy_from_slice(record.as_bytes());
            }
            bref.check[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
            bref.check[8..16].copy_from_slice(&managed_bytes.to_le_bytes());
            topology.insert(blocks, Container::FreemapSet, &bref, &mut Some(content), ModifyTid(0))?;
        }
    }

    /// True when there are free places for `wanted` blocks of the largest size. Free bytes alone don't tell: they may lie in
    /// smaller pieces. Looks at leaves only when more places are wanted than are known.
    pub(crate) fn has_runs(&mut self, topology: &mut Topology, blocks: &BlockCache, wanted: u64) -> Result<bool, Stop> {
        if self.known_runs < wanted && !self.all_counted {
            let mut runs = 0;
            let mut leaf = 0;
            while leaf < self.total_bytes.div_ceil(LEAF_SPAN_BYTES) && runs < wanted.saturating_mul(2) {
                runs += self.runs_of(topology, blocks, leaf)?;
                leaf += 1;
            }
            self.known_runs = runs;
            self.all_counted = runs < wanted;
        }
        Ok(self.known_runs >= wanted)
    }

    fn runs_of(&self, topology: &mut Topology, blocks: &BlockCache, leaf: u64) -> Result<u64, Stop> {
        let sum = |records: &[FreemapRecord; LEAF_RECORDS]| {
            records.iter().map(|record| u64::from(record.free_runs())).sum::<u64>()
        };
        let found = look(topology, blocks, leaf, sum)?;
        Ok(found.unwrap_or_else(|| {
            let (low, high) = self.managed(leaf);
            (high.0 - low.0) / Radix::MAX.bytes() as u64
        }))
    }

    /// The part of a leaf's space that can be allocated: its start and its end.
    pub(super) fn managed(&self, leaf: u64) -> (MediaOffset, MediaOffset) {
        managed_range(leaf_key(leaf), self.allocator_beg, self.total_bytes)
    }

    /// A record of a leaf from which nothing was allocated yet.
    fn fresh_record(&self, leaf: u64, index: usize) -> FreemapRecord {
        let (low, high) = self.managed(leaf);
        let base = MediaOffset(leaf * LEAF_SPAN_BYTES + index as u64 * SEGMENT_BYTES);
        if (low..high).contains(&base) { FreemapRecord::FREE } else { FreemapRecord::RESERVED }
    }

    /// Marks a block that is in use as allocated, whatever the freemap said (format 7.5).
    pub(crate) fn mark(&mut self, topology: &mut Topology, blocks: &BlockCache, bref: &Blockref) -> Result<(), Stop> {
        let corrupt = |corruption| Stop::Failed(ChainError::corrupt(bref, corruption));
        let Some(radix) = bref.data_off().radix().map_err(corrupt)? else { return Ok(()) };
        let kind = bref.kind().map_err(corrupt)?;
        let offset = bref.data_off().offset();
        if offset < self.allocator_beg {
            return Ok(());
        }
        let leaf = offset.0 / LEAF_SPAN_BYTES;
        let chain = self.leaf(topology, blocks, leaf)?;
        let (index, _) = chunk_index(offset);
        let record = &mut records_mut(topology, chain)[index];
        let new_chunks = record::mark(record, (offset.0 % SEGMENT_BYTES) as u32, radix);
        if record.class() == 0 {
            record.set_class(class_of(kind));
        }
        self.note_taken(leaf, new_chunks);
        Ok(())
    }

    /// Makes sure that [`grow`](Self::grow) to this size has the memory it needs.
    pub(crate) fn prepare_growth(&mut self, total_bytes: u64) -> Result<(), NoMemory> {
        let leaves = total_bytes.div_ceil(LEAF_SPAN_BYTES).min(REMEMBERED_LEAVES) as usize;
        self.full.try_reserve_exact(leaves.saturating_sub(self.full.len())).map_err(|_| NoMemory)
    }

    /// Extends the space to `total_bytes`. What lay beyond the old end in the last leaf's gigabyte is free now.
    pub(crate) fn grow(&mut self, topology: &mut Topology, blocks: &BlockCache, total_bytes: u64) -> Result<(), Stop> {
        let old_bytes = self.total_bytes;
        let key = leaf_key(old_bytes / LEAF_SPAN_BYTES);
        let mut gain = capacity_gain(old_bytes, total_bytes);
        let (container, index) = topology.descend(blocks, Container::FreemapSet, key)?;
        if let Some(index) = index {
            self.lost.forget(key);
            let chain = topology.modify(blocks, container, index)?;
            let (_, old_end) = managed_range(key, self.allocator_beg, old_bytes);
            let (start, end) = managed_range(key, self.allocator_beg, total_bytes);
            let mut gained = 0;
            for (index, record) in records_mut(topology, chain).iter_mut().enumerate() {
                let base = MediaOffset(key.0 + index as u64 * SEGMENT_BYTES);
                if !(start.max(old_end)..end).contains(&base) {
                    continue;
                }
                if record.is_reserved() {
                    *record = FreemapRecord::FREE;
                    gained += SEGMENT_BYTES;
                } else {
                    // Whatever marked this space as used has also counted it.
                    gain = gain.saturating_sub(SEGMENT_BYTES);
                }
            }
            let hints = &mut topology.chain_mut(chain).bref.check;
            let managed = u64::from_le_bytes(core::array::from_fn(|byte| hints[8 + byte]));
            hints[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
            hints[8..16].copy_from_slice(&managed.saturating_add(gained).to_le_bytes());
        }
        self.total_bytes = total_bytes;
        self.free_bytes = self.free_bytes.saturating_add(gain);
        if let Some(recount) = &mut self.recount {
            recount.note_more(gain);
        }
        let leaves = total_bytes.div_ceil(LEAF_SPAN_BYTES).min(REMEMBERED_LEAVES) as usize;
        // Room for this was prepared.
        self.full.resize(leaves, 0);
        self.forget_fullness();
        Ok(())
    }

    /// Notes the chunks that bulkfree freed in a leaf, and those it found in use although the map called them free.
    pub(crate) fn adjust_free(&mut self, leaf: Key, freed: u64, repaired: u64) {
        self.note_change(leaf.0 / LEAF_SPAN_BYTES, freed * CHUNK_BYTES, repaired * CHUNK_BYTES);
    }

    /// Notes that chunks of a leaf are no longer free.
    fn note_taken(&mut self, leaf: u64, chunks: u32) {
        self.known_runs = self.known_runs.saturating_sub(u64::from(chunks.min(1)));
        self.note_change(leaf, 0, u64::from(chunks) * CHUNK_BYTES);
    }

    fn note_change(&mut self, leaf: u64, freed_bytes: u64, taken_bytes: u64) {
        self.free_bytes = self.free_bytes.saturating_add(freed_bytes).saturating_sub(taken_bytes);
        if let Some(recount) = &mut self.recount {
            recount.note_change(leaf, freed_bytes, taken_bytes);
        }
    }

    /// Forgets which leaves are full, after space was freed: they are looked at again.
    pub(crate) fn forget_fullness(&mut self) {
        self.full.fill(0);
        self.relaxed = false;
        self.all_counted = false;
    }

    /// Takes back a block that no commit ever saw, if no other block shares its chunks.
    pub(crate) fn free_uncommitted(&mut self, topology: &mut Topology, bref: &Blockref) {
        let Ok(Some(radix)) = bref.data_off().radix() else { return };
        if (radix.bytes() as u64) < CHUNK_BYTES || !topology.is_uncommitted(bref) {
            return;
        }
        let offset = bref.data_off().offset();
        let leaf = offset.0 / LEAF_SPAN_BYTES;
        // What refers to a lost leaf's space will show what of it is free; until then nothing is allocated from it.
        if self.lost.has(leaf_key(leaf)) {
            return;
        }
        // The leaf of a block allocated since the last commit is in memory.
        let Some(chain) = modified_leaf(topology, leaf_key(leaf)) else { return };
        let (index, _) = chunk_index(offset);
        let freed = record::free(&mut records_mut(topology, chain)[index], (offset.0 % SEGMENT_BYTES) as u32, radix);
        self.note_change(leaf, u64::from(freed) * CHUNK_BYTES, 0);
        self.all_counted = false;
        if let Some(full) = self.full.get_mut(leaf as usize) {
            *full = 0;
        }
    }

    fn is_full(&self, leaf: u64, radix: Radix) -> bool {
        self.full.get(leaf as usize).is_some_and(|full| full >> (radix.value() - Radix::MIN.value()) & 1 != 0)
    }

    fn set_full(&mut self, leaf: u64, radix: Radix) {
        if let Some(full) = self.full.get_mut(leaf as usize) {
            *full |= 1 << (radix.value() - Radix::MIN.value());
        }
    }
}

fn hand(kind: BlockKind) -> usize {
    kind as usize % CLASSES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn what_no_freemap_manages_is_not_usable() {
        let usable_bytes =
            |begin, total_bytes| Allocator::new(HEAP, MediaOffset(begin), total_bytes, 1 << 29).unwrap().usable_bytes();
        let (begin, total_bytes) = (5 * SEGMENT_BYTES, LEAF_SPAN_BYTES);
        assert_eq!(usable_bytes(begin, total_bytes), 1 << 29);
        assert_eq!(usable_bytes(begin + CHUNK_BYTES, total_bytes), (1 << 29) - (SEGMENT_BYTES - CHUNK_BYTES));
        assert_eq!(usable_bytes(begin, total_bytes + CHUNK_BYTES), (1 << 29) - CHUNK_BYTES);
    }
}
