//! Checking the freemap by itself, and against the blocks in use (format 6).

use super::bitmap::ChunkBits;
use super::report::{Place, Progress};
use super::reporter::Reporter;
use super::topology::{Role, Walk};
use super::{Checker, Cost, Layout, Quirk, Subject, Trouble};
use crate::media::freemap::{
    ChunkState, FreemapRecord, LEAF_RECORDS, LINEAR_FULL, RECORD_CHUNKS, chunk_index, managed_range, records,
};
use crate::media::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, MIN_RADIX, SEGMENT_BYTES};
use crate::media::{BlockKind, Blockref, Key, KeyRange, MediaOffset, VolumeHeader};
use crate::memory::{self, Heap, NoMemory, Vec};

/// The number of chunks newly found in use between two reports of progress.
const PROGRESS_CHUNKS: u64 = 256;

/// The content of one leaf, and what was found in use of it.
struct Leaf {
    key: Key,
    managed: (MediaOffset, MediaOffset),
    records: Vec<FreemapRecord>,
    used: ChunkBits,
    /// Chunks that already have a finding: one for each chunk is enough.
    blamed: ChunkBits,
}

/// The freemap of the newest header, with the space that was found in use.
pub(super) struct Freemap {
    heap: Heap,
    leaves: Vec<Leaf>,
    /// Ranges whose leaves can't be read.
    unknown: Vec<KeyRange>,
    used_chunks: u64,
    taken_chunks: u64,
    /// The number of chunks in use that are newer than the freemap.
    late_chunks: u64,
}

/// Faults found when a block is marked as used.
#[derive(Default)]
pub(super) struct Marked {
    pub(super) trouble: Option<Trouble>,
    mixed: bool,
    staged: bool,
}

impl Freemap {
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            heap,
            leaves: Vec::new_in(heap),
            unknown: Vec::new_in(heap),
            used_chunks: 0,
            taken_chunks: 0,
            late_chunks: 0,
        }
    }

    fn add(&mut self, key: Key, source: &[FreemapRecord; LEAF_RECORDS], layout: &Layout) -> Result<(), NoMemory> {
        let mut records = Vec::new_in(self.heap);
        records.try_reserve_exact(LEAF_RECORDS).map_err(|_| NoMemory)?;
        records.extend_from_slice(source);
        let managed = managed_range(key, layout.allocator_beg, layout.total_bytes);
        let (used, blamed) = (ChunkBits::new(self.heap)?, ChunkBits::new(self.heap)?);
        let leaf = Leaf { key, managed, records, used, blamed };
        self.taken_chunks += leaf.managed_chunks().filter(|(_, _, state)| *state != ChunkState::Free).count() as u64;
        memory::push(&mut self.leaves, leaf)
    }

    fn progress(&self) -> Progress {
        Progress { checked_bytes: self.used_chunks * CHUNK_BYTES, allocated_bytes: self.taken_chunks * CHUNK_BYTES }
    }

    /// Marks a block as used.
    fn mark(&mut self, bref: &Blockref, layout: &Layout) -> Marked {
        let mut marked = Marked::default();
        let Ok(Some(radix)) = bref.data_off().radix() else { return marked };
        let MediaOffset(start) = bref.data_off().offset();
        let end = start.saturating_add(radix.bytes() as u64);
        let newer = bref.mirror_tid() > layout.freemap_tid;
        let mut chunk_start = start - start % CHUNK_BYTES;
        while chunk_start < end {
            let at = MediaOffset(chunk_start);
            let managed = managed_range(leaf_of(at), layout.allocator_beg, layout.total_bytes);
            if (managed.0..managed.1).contains(&at) {
                self.mark_chunk(at, end, bref.kind_code(), newer, &mut marked);
            }
            chunk_start += CHUNK_BYTES;
        }
        marked
    }

    /// Marks one chunk of a block that ends at `end`.
    fn mark_chunk(&mut self, at: MediaOffset, end: u64, kind: u8, newer: bool, marked: &mut Marked) {
        let leaf_key = leaf_of(at);
        let Ok(index) = self.leaves.binary_search_by_key(&leaf_key, |leaf| leaf.key) else {
            if self.unknown.iter().any(|range| range.contains(KeyRange::only(leaf_key))) {
                return;
            }
            match newer {
                true => self.late_chunks += 1,
                false => marked.trouble = Some(Trouble::UsedButFree),
            }
            return;
        };
        let leaf = &mut self.leaves[index];
        let (record_index, chunk) = chunk_index(at);
        let is_new = leaf.used.set(record_index, chunk);
        self.used_chunks += u64::from(is_new);
        let record = &leaf.records[record_index];
        marked.mixed |= record.class() != 0 && record.class() >> 8 != u16::from(kind);
        let trouble = match record.chunk(chunk) {
            ChunkState::Free if newer => {
                self.late_chunks += u64::from(is_new);
                None
            }
            ChunkState::Free => Some(Trouble::UsedButFree),
            ChunkState::Staged => {
                marked.staged |= is_new;
                behind_linear(record, chunk, at, end)
            }
            ChunkState::Reserved | ChunkState::Allocated => behind_linear(record, chunk, at, end),
        };
        if trouble.is_some() && leaf.blamed.set(record_index, chunk) {
            marked.trouble = trouble;
        }
    }
}

impl Leaf {
    /// All chunks that can be allocated: the record, the index in that, and the state of each.
    fn managed_chunks(&self) -> impl Iterator<Item = (usize, usize, ChunkState)> {
        self.records
            .iter()
            .enumerate()
            .filter(|(index, _)| self.is_managed(*index))
            .flat_map(|(index, record)| (0..RECORD_CHUNKS).map(move |chunk| (index, chunk, record.chunk(chunk))))
    }

    fn segment(&self, record: usize) -> MediaOffset {
        MediaOffset(self.key.0.saturating_add(record as u64 * SEGMENT_BYTES))
    }

    fn is_managed(&self, record: usize) -> bool {
        (self.managed.0..self.managed.1).contains(&self.segment(record))
    }
}

/// The leaf that describes an address.
fn leaf_of(at: MediaOffset) -> Key {
    Key(at.0 - at.0 % LEAF_SPAN_BYTES)
}

/// Whether the part of the block in `chunk` overlaps the space that the allocator would give out next.
fn behind_linear(record: &FreemapRecord, chunk: usize, at: MediaOffset, end: u64) -> Option<Trouble> {
    let linear = u64::from(record.linear());
    let counts = !linear.is_multiple_of(CHUNK_BYTES) && linear < SEGMENT_BYTES && linear / CHUNK_BYTES == chunk as u64;
    let free_from = at.0 - at.0 % SEGMENT_BYTES + linear;
    (counts && end > free_from).then_some(Trouble::BehindLinear(record.linear()))
}

/// Checks a record that describes managed space by itself.
fn check_record(record: &FreemapRecord, reports: &mut Reporter<'_>) -> Option<&'static str> {
    let free_chunks = record.free_chunks();
    if record.avail() != free_chunks * CHUNK_BYTES as u32 {
        return Some("avail is not what its bitmap has free");
    }
    let is_empty = free_chunks as usize == RECORD_CHUNKS;
    if is_empty != (record.class() == 0) {
        reports.quirk(Quirk::Class);
    }
    if record.class() != 0 && record.class() & 0xff != 16 {
        return Some("unknown class");
    }
    let linear = record.linear();
    if linear > LINEAR_FULL || !linear.is_multiple_of(1 << MIN_RADIX) {
        return Some("linear points nowhere");
    }
    let within_chunk = linear < LINEAR_FULL && !u64::from(linear).is_multiple_of(CHUNK_BYTES);
    let chunk = (u64::from(linear) / CHUNK_BYTES) as usize;
    if within_chunk && matches!(record.chunk(chunk), ChunkState::Free | ChunkState::Reserved) {
        return Some("linear points into a chunk that isn't allocated");
    }
    None
}

impl<'c> Checker<'c, '_> {
    /// Reads the freemap and checks it by itself.
    pub(super) async fn check_freemap(&mut self, header: &VolumeHeader) -> Result<(), NoMemory> {
        let subject = Subject { freemap: true, ..Subject::default() };
        let mut walk =
            Walk::new(self.heap, Role::Freemap, &header.freemap_blockset, header.mirror_tid(), KeyRange::ALL);
        while let Some(entry) = walk.next(self, subject).await? {
            match self.load(subject, &entry, Cost::FreemapPart).await? {
                Some(block) => {
                    let bytes = block.bytes();
                    let Ok(records) = records(&bytes) else { continue };
                    self.freemap.add(entry.key(), records, &self.layout)?;
                }
                None => memory::push(&mut self.freemap.unknown, entry.span().unwrap_or(KeyRange::only(entry.key())))?,
            }
        }
        if walk.lost && self.freemap.unknown.is_empty() {
            // Nodes or entries are lost: space that no leaf describes is unknown, not free.
            memory::push(&mut self.freemap.unknown, KeyRange::ALL)?;
        }
        self.check_records();
        Ok(())
    }

    fn check_records(&mut self) {
        for leaf in &self.freemap.leaves {
            for (index, record) in leaf.records.iter().enumerate() {
                if !leaf.is_managed(index) {
                    if !record.is_reserved() {
                        self.reports.quirk(Quirk::ReservedRecord);
                    }
                    continue;
                }
                if let Some(what) = check_record(record, &mut self.reports) {
                    let trouble = Trouble::Record { segment: Key(leaf.segment(index).0), what };
                    self.reports.problem(Place { freemap: true, ..Place::default() }, trouble, Cost::Figures);
                }
            }
        }
    }

    /// Marks a block as used, and reports where the freemap contradicts that.
    pub(super) async fn mark(&mut self, subject: Subject<'_>, bref: &Blockref) {
        if self.reports.is_older() || matches!(bref.kind(), Ok(BlockKind::FreemapNode | BlockKind::FreemapLeaf)) {
            return;
        }
        let before = self.freemap.used_chunks;
        let marked = self.freemap.mark(bref, &self.layout);
        if marked.mixed {
            self.reports.quirk(Quirk::ClassMixed);
        }
        if marked.staged {
            self.reports.quirk(Quirk::StagedInUse);
        }
        if let Some(trouble) = marked.trouble {
            self.problem(subject, Some(bref), trouble, Cost::Overwrite).await;
        }
        if before / PROGRESS_CHUNKS != self.freemap.used_chunks / PROGRESS_CHUNKS {
            self.reports.progress(self.freemap.progress());
        }
    }

    /// Reports what is allocated but not in use, and wrong sums, once all blocks are marked.
    pub(super) fn conclude_freemap(&mut self, header: &VolumeHeader) {
        let place = Place { freemap: true, ..Place::default() };
        let (mut leaked, mut staged) = (0, 0);
        for leaf in &self.freemap.leaves {
            for (record, chunk, state) in leaf.managed_chunks() {
                match state {
                    ChunkState::Free => {}
                    _ if leaf.used.is_set(record, chunk) => {}
                    ChunkState::Staged => staged += CHUNK_BYTES,
                    ChunkState::Reserved | ChunkState::Allocated => leaked += CHUNK_BYTES,
                }
            }
        }
        self.reports.summary.leaked_bytes = leaked + staged;
        if leaked > 0 {
            let is_damaged = self.reports.summary.problems > 0;
            let cost = if is_damaged { Cost::MaybeDamaged } else { Cost::UntilBulkfree };
            self.reports.remark(place, Trouble::Leaked(leaked), cost);
        }
        if staged > 0 {
            self.reports.remark(place, Trouble::Staged(staged), Cost::UntilBulkfree);
        }
        if self.freemap.late_chunks > 0 {
            self.reports.deviation(place, Trouble::NewerThanFreemap(self.freemap.late_chunks), Cost::Overwrite);
        }
        let counted = header.allocator_size().saturating_sub(self.freemap.taken_chunks * CHUNK_BYTES);
        if self.freemap.unknown.is_empty() && counted != header.allocator_free() {
            let trouble = Trouble::AllocatorFree { stored: header.allocator_free(), counted };
            self.reports.deviation(place, trouble, Cost::Figures);
        }
        self.reports.progress(self.freemap.progress());
    }
}
