//! Bulkfree: giving back what nobody refers to any more (format 6.7).

use super::survey::Since;
use super::{Node, NodeError, failed};
use crate::chain::{ChainError, ChainId, Container, Cursor, Holder, Source, Trust, find, scan};
use crate::freemap::{BulkfreeCounts, merge, note_used};
use crate::media::freemap::{
    ChunkState, FreemapRecord, LEAF_RECORDS, RECORD_CHUNKS, chunk_index, managed_range, records, records_mut,
};
use crate::media::geometry::{LEAF_SPAN_BYTES, SEGMENT_BYTES};
use crate::media::{BlockArray, BlockName, Blockref, Key, KeyRange, MediaOffset};
use crate::memory::{self, Vec};
use core::ops::ControlFlow;

/// Leaves of the freemap that one walk over the topology is made for: what is in use of them takes 40 KiB each.
const LEAVES_AT_ONCE: usize = 32;

/// Chunks a leaf describes.
pub(super) const LEAF_CHUNKS: usize = LEAF_RECORDS * RECORD_CHUNKS;

/// How bulkfree is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkfreeOptions {
    /// Tell the devices what is free: images on a host become smaller, flash has less to keep.
    pub discard: bool,
}

impl Default for BulkfreeOptions {
    fn default() -> Self {
        Self { discard: true }
    }
}

/// What was found in use of one leaf's gigabyte.
struct Usage {
    leaf: Key,
    records: Vec<FreemapRecord>,
    /// Chunks that were freed, a bit for each.
    freed: Vec<u64>,
}

impl Node {
    /// One pass over the freemap: chunks that nobody refers to are staged, those staged by an earlier pass are freed, and once
    /// that is durable the devices are told. Flushes before and after. Nothing else may be executed meanwhile. A topology that
    /// can't be read whole is left as it is.
    pub async fn bulkfree(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, NodeError> {
        self.flush().await?;
        let mut counts = BulkfreeCounts::default();
        let mut rest = Some(KeyRange::ALL);
        while let Some(range) = rest {
            let (mut usages, after) = self.next_leaves(range).await?;
            rest = after;
            self.survey(Since::Ever, &mut |bref| note(&mut usages, bref)).await?;
            let freed_before = counts.freed;
            for usage in &mut usages {
                counts.add(self.apply(usage).await?);
            }
            if options.discard && counts.freed > freed_before {
                self.flush().await?;
                for usage in &mut usages {
                    self.leave_out_taken(usage).await?;
                    counts.discarded += self.discard(usage.leaf, &usage.freed).await?;
                }
            }
        }
        self.allocator.borrow_mut().forget_fullness();
        self.flush().await?;
        Ok(counts)
    }

    /// The first leaves that exist in `range`, with nothing in use yet, and the keys behind them.
    async fn next_leaves(&self, range: KeyRange) -> Result<(Vec<Usage>, Option<KeyRange>), NodeError> {
        let set = self.header().freemap_blockset;
        let mut keys: heapless::Vec<Key, LEAVES_AT_ONCE> = heapless::Vec::new();
        let mut cursor = Cursor::new(range);
        self.load_missing(|| {
            scan(Source::on_media(&self.blocks), freemap_root(&set), &mut cursor, &mut |leaf| {
                let _ = keys.push(leaf.key());
                if keys.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
        .await?;
        let mut usages = Vec::new_in(self.heap);
        for leaf in &keys {
            let records = memory::filled(self.heap, LEAF_RECORDS, || FreemapRecord::FREE)?;
            let freed = memory::filled(self.heap, LEAF_CHUNKS / 64, || 0)?;
            memory::push(&mut usages, Usage { leaf: *leaf, records, freed })?;
        }
        let after = keys.last().filter(|_| keys.is_full()).and_then(|last| range.above(*last));
        Ok((usages, after))
    }

    /// Brings a leaf up to date with what is in use of it.
    async fn apply(&self, usage: &mut Usage) -> Result<BulkfreeCounts, NodeError> {
        let (allocator_beg, total_bytes) = (self.header().allocator_beg(), self.volumes().total_bytes());
        let (low, high) = managed_range(usage.leaf, allocator_beg, total_bytes);
        self.drive_change(|topology, allocator, blocks| {
            let (container, index) = topology.descend(blocks, Container::FreemapSet, usage.leaf)?;
            let Some(index) = index else { return Ok(BulkfreeCounts::default()) };
            let id: ChainId = topology.modify(blocks, container, index)?;
            let chain = topology.chain_mut(id);
            let bref = chain.bref;
            let live = records_mut(&mut chain.content).map_err(|corruption| failed(&bref, corruption))?;
            let mut counts = BulkfreeCounts::default();
            let Usage { leaf, records, freed } = &mut *usage;
            for (record, (live, used)) in live.iter_mut().zip(records.iter()).enumerate() {
                let base = MediaOffset(leaf.0 + record as u64 * SEGMENT_BYTES);
                if (low..high).contains(&base) {
                    counts.add(merge(live, used, |chunk| {
                        let chunk = record * RECORD_CHUNKS + chunk;
                        freed[chunk / 64] |= 1 << (chunk % 64);
                    }));
                }
            }
            chain.bref.check[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
            allocator.adjust_free(counts.freed, counts.repaired);
            Ok(counts)
        })
        .await
    }
}

impl Node {
    /// Takes chunks out of those freed that the commit which freed them took for its own blocks.
    async fn leave_out_taken(&self, usage: &mut Usage) -> Result<(), NodeError> {
        let set = self.header().freemap_blockset;
        let mut cursor = Cursor::new(KeyRange::only(usage.leaf));
        let found = self.load_missing(|| find(Source::on_media(&self.blocks), freemap_root(&set), &mut cursor)).await?;
        let Some(bref) = found else { return Ok(()) };
        let failed = |error| NodeError::from(ChainError::new(&bref, error));
        let leaf = self.blocks.load(&bref).await.map_err(failed)?;
        let bytes = leaf.bytes();
        let live = records(&bytes).map_err(|corruption| failed(corruption.into()))?;
        for (index, record) in live.iter().enumerate() {
            for chunk in (0..RECORD_CHUNKS).filter(|chunk| record.chunk(*chunk) != ChunkState::Free) {
                let chunk = index * RECORD_CHUNKS + chunk;
                usage.freed[chunk / 64] &= !(1 << (chunk % 64));
            }
        }
        Ok(())
    }
}

fn freemap_root(set: &[Blockref]) -> Holder<'_> {
    let array = BlockArray::of(set, KeyRange::ALL);
    Holder { block: BlockName::FREEMAP_ROOT, array, trust: Trust::Unchecked }
}

fn note(usages: &mut [Usage], bref: &Blockref) {
    let (Ok(Some(radix)), Ok(kind)) = (bref.data_off().radix(), bref.kind()) else { return };
    let offset = bref.data_off().offset();
    let leaf = Key(offset.0 - offset.0 % LEAF_SPAN_BYTES);
    let Ok(found) = usages.binary_search_by_key(&leaf, |usage| usage.leaf) else { return };
    let (record, _) = chunk_index(offset);
    note_used(&mut usages[found].records[record], kind, (offset.0 % SEGMENT_BYTES) as u32, radix);
}
