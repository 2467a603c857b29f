//! Bulkfree: giving back unreferenced space (format 6.7).

use super::survey::Since;
use super::{Node, NodeError, NodeFault, failed};
use crate::chain::{ChainError, ChainId, Container, Cursor, Holder, Source, Stop, Topology, Trust, find, scan};
use crate::freemap::{Allocator, BulkfreeCounts, merge, note_used};
use crate::io::BlockCache;
use crate::media::freemap::{
    ChunkState, FreemapRecord, LEAF_RECORDS, RECORD_CHUNKS, chunk_index, managed_range, records, records_mut,
};
use crate::media::geometry::{LEAF_SPAN_BYTES, SEGMENT_BYTES};
use crate::media::{BlockArray, BlockName, Blockref, Key, KeyRange, MediaOffset};
use crate::memory::{self, NoMemory, Vec, aside};
use core::ops::ControlFlow;

/// The number of freemap leaves for which one walk over the topology is made: noting the used space takes 40 KiB for each.
const LEAVES_AT_ONCE: usize = 32;

type LeafKeys = heapless::Vec<Key, LEAVES_AT_ONCE>;

/// The passes until unreferenced space is free: the first only marks it.
const PASSES: usize = 2;

/// Chunks that a leaf describes.
pub(super) const LEAF_CHUNKS: usize = LEAF_RECORDS * RECORD_CHUNKS;

/// Options of bulkfree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkfreeOptions {
    /// Tell the devices what is free, so that images on a host shrink and flash has less to keep.
    pub discard: bool,
}

impl Default for BulkfreeOptions {
    fn default() -> Self {
        Self { discard: true }
    }
}

/// The progress of a pass of bulkfree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkfreeProgress {
    /// Bytes of blocks that were looked at, summed over the nodes if there are several. A volume of more than 32 GiB is walked
    /// several times; each walk counts as a part.
    pub bytes: u64,
    /// Bytes of all blocks.
    pub expected_bytes: u64,
}

/// The progress of a pass, as it is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Surveyed {
    /// Bytes counted for the leaves that are done.
    done_bytes: u64,
    /// Bytes that the survey for the next leaves counts as.
    part_bytes: u64,
    /// Bytes of the blocks that this survey has met.
    seen_bytes: u64,
    /// Bytes of the blocks that a survey will meet; all surveys of the pass together count as this.
    expected_bytes: u64,
}

/// The used space found in one leaf's gigabyte.
struct Usage {
    leaf: Key,
    records: Vec<FreemapRecord>,
    /// Freed chunks, one bit for each.
    freed: Vec<u64>,
}

impl Node {
    /// Runs one pass over the freemap: unreferenced chunks are staged, those staged by an earlier pass are freed, and once that
    /// is durable the devices are told. It flushes before and after. Nothing else may be executed meanwhile. If the topology
    /// can't be read completely, nothing is changed.
    pub async fn bulkfree(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, NodeError> {
        self.bulkfree_passes.set(self.bulkfree_passes.get() + 1);
        self.flush().await?;
        let mut counts = BulkfreeCounts::default();
        let mut rest = Some(KeyRange::ALL);
        self.expect_bulkfree();
        while let Some(range) = rest {
            let (mut usages, after) = self.next_leaves(range).await?;
            rest = after;
            self.survey_for(&mut usages).await?;
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

    /// The number of passes begun since the node was opened.
    pub fn bulkfree_passes(&self) -> u64 {
        self.bulkfree_passes.get()
    }

    /// The progress of the current pass, or of the last one.
    pub fn bulkfree_progress(&self) -> BulkfreeProgress {
        let Surveyed { done_bytes, part_bytes, seen_bytes, expected_bytes } = self.surveyed.get();
        let seen =
            u128::from(part_bytes) * u128::from(seen_bytes.min(expected_bytes)) / u128::from(expected_bytes.max(1));
        BulkfreeProgress { bytes: done_bytes + seen as u64, expected_bytes }
    }

    /// Prepares the progress for a pass: nothing was looked at.
    pub fn expect_bulkfree(&self) {
        let expected_bytes = self.volumes().total_bytes().saturating_sub(self.header().allocator_free());
        self.surveyed.set(Surveyed { expected_bytes, ..Surveyed::default() });
    }

    /// Notes the used space of leaves, and the progress that this makes.
    async fn survey_for(&self, usages: &mut [Usage]) -> Result<(), NodeError> {
        let mut surveyed = self.surveyed.get();
        let leaves = self.volumes().total_bytes().div_ceil(LEAF_SPAN_BYTES).max(1);
        surveyed.part_bytes = (u128::from(surveyed.expected_bytes) * usages.len() as u128 / u128::from(leaves)) as u64;
        let mut visit = |bref: &Blockref| {
            note(usages, bref);
            surveyed.seen_bytes += bref.data_off().radix().ok().flatten().map_or(0, |radix| radix.bytes() as u64);
            self.surveyed.set(surveyed);
        };
        self.survey(Since::Ever, &mut visit).await?;
        let Surveyed { done_bytes, part_bytes, expected_bytes, .. } = surveyed;
        self.surveyed.set(Surveyed {
            done_bytes: done_bytes + part_bytes,
            part_bytes: 0,
            seen_bytes: 0,
            expected_bytes,
        });
        Ok(())
    }

    /// Frees unreferenced space; returns how much, in chunks of the freemap.
    pub async fn free_unused(&self) -> Result<u64, NodeError> {
        let mut freed = 0;
        for _ in 0..PASSES {
            freed += self.bulkfree(BulkfreeOptions::default()).await?.freed;
        }
        Ok(freed)
    }

    /// The first leaves that exist in `range`, with no space noted as used yet, and the keys after them.
    async fn next_leaves(&self, range: KeyRange) -> Result<(Vec<Usage>, Option<KeyRange>), NodeError> {
        let keys = loop {
            match self.leaf_keys(range).await {
                Err(error) if error.is_lost_freemap() => {
                    aside(self.heap, || self.replace_freemap(error))?.await?;
                    self.flush().await?;
                }
                keys => break keys?,
            }
        };
        let usages = self.usages_of(&keys)?;
        let after = keys.last().filter(|_| keys.is_full()).and_then(|last| range.above(*last));
        Ok((usages, after))
    }

    /// Leaves with no space noted as used yet.
    fn usages_of(&self, keys: &[Key]) -> Result<Vec<Usage>, NoMemory> {
        let mut usages = Vec::new_in(self.heap);
        for leaf in keys {
            let records = memory::filled(self.heap, LEAF_RECORDS, || FreemapRecord::FREE)?;
            let freed = memory::filled(self.heap, LEAF_CHUNKS / 64, || 0)?;
            memory::push(&mut usages, Usage { leaf: *leaf, records, freed })?;
        }
        Ok(usages)
    }

    /// The keys of the first leaves in `range`, as committed.
    async fn leaf_keys(&self, range: KeyRange) -> Result<LeafKeys, ChainError> {
        let set = self.header().freemap_blockset;
        let (mut keys, mut cursor) = (LeafKeys::new(), Cursor::new(range));
        self.load_missing(|| {
            scan(Source::on_media(&self.blocks), freemap_root(&set), &mut cursor, &mut |leaf| {
                let _ = keys.push(leaf.key());
                if keys.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
        .await?;
        Ok(keys)
    }

    /// Updates a leaf with the used space that was found.
    async fn apply(&self, usage: &mut Usage) -> Result<BulkfreeCounts, NodeError> {
        self.drive_change(|topology, allocator, blocks| self.merge_into(topology, allocator, blocks, usage)).await
    }

    fn merge_into(
        &self,
        topology: &mut Topology,
        allocator: &mut Allocator,
        blocks: &BlockCache,
        usage: &mut Usage,
    ) -> Result<BulkfreeCounts, Stop> {
        let (allocator_beg, total_bytes) = (self.header().allocator_beg(), self.volumes().total_bytes());
        let (low, high) = managed_range(usage.leaf, allocator_beg, total_bytes);
        let (container, index) = topology.descend(blocks, Container::FreemapSet, usage.leaf)?;
        let Some(index) = index else { return Ok(BulkfreeCounts::default()) };
        let id: ChainId = topology.modify(blocks, container, index)?;
        let chain = topology.chain_mut(id);
        let bref = chain.bref;
        let live = records_mut(&mut chain.content).map_err(|corruption| failed(&bref, corruption))?;
        let mut counts = BulkfreeCounts::default();
        let Usage { leaf, records, freed } = usage;
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
        allocator.adjust_free(*leaf, counts.freed, counts.repaired);
        allocator.forget_lost(*leaf);
        Ok(counts)
    }

    /// True when there are unreadable leaves whose used space can be found out, from what is committed or from a header that is
    /// on its way to the disk.
    pub(super) fn can_free_lost(&self) -> bool {
        self.allocator.borrow().lost_before(self.on_the_way_tid()) > 0
    }

    /// Frees at once the space of unreadable leaves that no committed block takes: nothing was allocated there since. Returns
    /// true if there is more room now. If damage hides the used space, the node counts as full; if a device failure does, that is
    /// the error.
    pub(super) async fn free_lost(&self) -> Result<bool, NodeError> {
        let before = |tid| self.allocator.borrow().lost_before(tid);
        if before(self.on_the_way_tid()) > before(self.header().mirror_tid()) {
            self.landings.ended().await;
        }
        let committed_tid = self.header().mirror_tid();
        let lost = self.allocator.borrow_mut().take_lost(committed_tid);
        if lost.is_empty() {
            return Ok(false);
        }
        let mut usages = self.usages_of(&lost)?;
        match self.survey(Since::Ever, &mut |bref| note(&mut usages, bref)).await {
            Err(NodeError::Fault(fault @ NodeFault::Corrupt { .. })) => {
                log::warn!("{fault}: the space in use is unknown");
                return Err(NodeError::NoSpace);
            }
            surveyed => surveyed?,
        }
        let mut freed = 0;
        for usage in &mut usages {
            for _ in 0..PASSES {
                let merged = self.change_over_limit(|topology, allocator, blocks| {
                    self.merge_into(topology, allocator, blocks, usage)
                });
                freed += merged.await?.freed;
            }
        }
        self.allocator.borrow_mut().forget_fullness();
        Ok(freed > 0)
    }
}

impl Node {
    /// Removes those chunks from the freed ones that the freeing commit used for its own blocks.
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
