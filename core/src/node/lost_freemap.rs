//! Unreadable blocks of the freemap (protocol 8): the space they described counts as used until bulkfree has found out what
//! really is. Blocks that were written lately are still in memory, and are written again.
//!
//! If little other room is left, the used space is found out at once. No content is lost with such a block, and no space is ever
//! allocated twice because of it. Its replacement goes where its next version would.

use core::cell::Cell;
use core::pin::Pin;

use allocator_api2::unsize_box;
use zerocopy::IntoBytes;

use super::{Node, NodeError, NodeFault};
use crate::chain::{ChainError, Container, Manner, Stop, Topology};
use crate::freemap::Allocator;
use crate::io::{BlockCache, DeviceError, ReadError, Wakers};
use crate::media::freemap::{FREEMAP_BLOCK_BYTES, FreemapRecord, LEAF_KEYBITS, LEVEL_BITS, ROTATIONS, place, rotation};
use crate::media::{BlockKind, BlockName, Blockref, CheckMethod, Compression, Corruption, Key, KeyBits, Methods};
use crate::memory::{Box, Heap, NoMemory, Vec, aside, boxed, push, zeroed};

/// The writing of a block and those below it: a tree whose depth depends on the size of the volume.
type Writing<'n> = Pin<Box<dyn Future<Output = Result<Blockref, NodeError>> + 'n>>;

/// A repair doesn't wait for memory.
const OVER_LIMIT: Manner = Manner { over_limit: true, copied_stamp: None };

/// The number of counts of free space that are under way; until they end, the free space is unknown.
pub(super) struct Recounts {
    count: Cell<u32>,
    ended: Wakers,
}

/// A count under way; it ends also when it is given up.
struct Recounting<'n>(&'n Recounts);

impl Recounts {
    pub(super) fn new(heap: Heap) -> Self {
        Self { count: Cell::new(0), ended: Wakers::new(heap) }
    }

    fn begin(&self) -> Recounting<'_> {
        self.count.set(self.count.get() + 1);
        Recounting(self)
    }
}

impl Drop for Recounting<'_> {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.ended.wake_all();
    }
}

impl ChainError {
    /// True for an error that means that a block of the freemap is bad in its place for good.
    pub(super) fn is_lost_freemap(&self) -> bool {
        let is_lost = matches!(self.error, ReadError::Corrupt(_) | ReadError::Device { error: DeviceError::Io(_), .. });
        is_lost && [BlockKind::FreemapLeaf, BlockKind::FreemapNode].iter().any(|kind| *kind as u8 == self.block.kind)
    }
}

/// The blockref for the replacement of an unreadable block. The span determines the kind of the block and the places of its
/// versions, whatever the entry said.
fn of_its_span(lost: &Blockref) -> Result<Blockref, Corruption> {
    let (key, keybits) = (lost.key(), lost.keybits());
    let kind = if keybits == LEAF_KEYBITS { BlockKind::FreemapLeaf } else { BlockKind::FreemapNode };
    let mut entry = *lost;
    if !lost.is(kind) {
        entry = Blockref::new(kind, key, keybits, Methods::new(CheckMethod::Freemap, Compression::None));
        entry.set_data_off(lost.data_off());
        entry.set_mirror_tid(lost.mirror_tid());
    }
    if rotation(key, keybits, lost.data_off()).is_err() {
        entry.set_data_off(place(key, keybits, 0)?);
    }
    Ok(entry)
}

impl Node {
    /// Replaces all unreadable blocks of the committed freemap, and calls `bad` for each; returns how many there were. A device
    /// that doesn't answer in time is an error.
    pub async fn mend_freemap(&self, bad: &mut dyn FnMut(NodeFault)) -> Result<u64, NodeError> {
        let mut lost: Vec<BlockName> = Vec::new_in(self.heap);
        let mut noted = Ok(());
        self.survey_freemap(&mut |fault| {
            bad(fault);
            if let NodeFault::Device { block, .. } | NodeFault::Corrupt { block, .. } = fault {
                noted = noted.and(push(&mut lost, block));
            }
        })
        .await?;
        noted?;
        for block in &lost {
            self.replace_each(*block).await?;
        }
        Ok(lost.len() as u64)
    }

    /// Replaces an unreadable block of the freemap. If the device is at fault and not the block, this fails.
    pub(super) async fn replace_freemap(&self, lost: ChainError) -> Result<(), NodeError> {
        if matches!(lost.error, ReadError::Device { .. }) && self.probe().await.is_err() {
            return Err(lost.into());
        }
        self.replace_each(lost.block).await
    }

    /// Calls `work` with the topology, loading the blocks it needs, however much is modified.
    pub(super) async fn change_over_limit<T>(
        &self,
        mut work: impl FnMut(&mut Topology, &mut Allocator, &BlockCache) -> Result<T, Stop>,
    ) -> Result<T, ChainError> {
        self.load_missing(|| self.change(OVER_LIMIT, &mut work)).await
    }

    /// Runs work on the freemap, and repeats it after replacing a block that it couldn't read.
    pub(super) async fn with_freemap<T>(
        &self,
        mut work: impl FnMut(&mut Topology, &mut Allocator, &BlockCache) -> Result<T, Stop>,
    ) -> Result<T, NodeError> {
        loop {
            match self.change_over_limit(&mut work).await {
                Err(error) if error.is_lost_freemap() => aside(self.heap, || self.replace_freemap(error))?.await?,
                done => return Ok(done?),
            }
        }
    }

    /// Waits until no count of free space is under way.
    pub(crate) async fn counted(&self) {
        self.recounts.ended.until(|| self.recounts.count.get() == 0).await;
    }

    /// Replaces an unreadable block by one that says that everything is in use, and likewise each further unreadable one that the
    /// new count of free space finds.
    async fn replace_each(&self, block: BlockName) -> Result<(), NodeError> {
        let _recounting = self.recounts.begin();
        let (mut block, mut is_replaced) = (block, false);
        loop {
            is_replaced |= self.replace_if_lost(block).await?;
            let Some(lost) = self.recount().await? else { break };
            if lost.block == block {
                return Err(lost.into());
            }
            block = lost.block;
        }
        // Otherwise users would be told that there is no room although there is.
        if is_replaced && self.allocator.borrow().is_short() && !self.free_lost().await? {
            return Err(NodeError::NoSpace);
        }
        Ok(())
    }

    /// Replaces a block if it is lost; returns true if its replacement says that everything is in use.
    async fn replace_if_lost(&self, block: BlockName) -> Result<bool, NodeError> {
        let Some(bref) = self.freemap_entry(block).await? else { return Ok(false) };
        // It may have been lost only on the way from the device.
        if self.load(&bref).await.is_ok() {
            return Ok(false);
        }
        let entry = of_its_span(&bref).map_err(|corruption| ChainError::corrupt(&bref, corruption))?;
        let kept = self.blocks.take_written(&bref);
        let is_kept = kept.is_some();
        let mut content = match kept {
            Some(kept) => {
                log::warn!("{block} can't be read, and is written again");
                Some(kept)
            }
            None => {
                log::warn!("{block} can't be read: what it describes counts as in use until bulkfree has looked");
                Some(self.full_block(&entry).await?)
            }
        };
        let size = self.header().allocator_size();
        let replaced = self.change_over_limit(|topology, allocator, blocks| {
            // Another task may have replaced it.
            let Some((container, index)) = topology.descend_to(blocks, Container::FreemapSet, block)? else {
                return Ok(false);
            };
            let failed = |error| Stop::Failed(ChainError::new(&bref, error));
            let span = bref.span().map_err(|corruption| failed(corruption.into()))?;
            let Some(content) = content.take() else { return Ok(false) };
            topology.replace(container, index, entry, content).map_err(|_| failed(ReadError::NoMemory))?;
            if !is_kept {
                allocator.note_lost(span, bref.mirror_tid(), size);
            }
            Ok(!is_kept)
        });
        Ok(replaced.await?)
    }

    /// The entry of a freemap block; none if the block is no longer in its place.
    async fn freemap_entry(&self, block: BlockName) -> Result<Option<Blockref>, NodeError> {
        let found = self.change_over_limit(|topology, _, blocks| {
            let found = topology.descend_to(blocks, Container::FreemapSet, block)?;
            Ok(found.map(|(container, index)| topology.array(container).entries()[index]))
        });
        Ok(found.await?)
    }

    /// Counts the free space; an unreadable block of the freemap ends the count and is returned.
    async fn recount(&self) -> Result<Option<ChainError>, NodeError> {
        loop {
            match self.change_over_limit(|topology, allocator, blocks| allocator.recount_next(topology, blocks)).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.is_lost_freemap() => return Ok(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A block that says that everything in its span is in use. For a node, the blocks below it are written.
    async fn full_block(&self, bref: &Blockref) -> Result<Vec<u8>, NodeError> {
        if bref.is(BlockKind::FreemapLeaf) {
            return Ok(self.full_leaf()?);
        }
        let invalid = |corruption| NodeError::from(ChainError::corrupt(bref, corruption));
        let keybits = bref.keybits().0.checked_sub(LEVEL_BITS).filter(|keybits| *keybits >= LEAF_KEYBITS.0);
        let keybits = KeyBits(keybits.ok_or_else(|| invalid(Corruption::FreemapSpan(bref.keybits().0)))?);
        let span = bref.span().map_err(invalid)?;
        let now = rotation(bref.key(), bref.keybits(), bref.data_off()).unwrap_or(0);
        let mut content = zeroed(self.heap, FREEMAP_BLOCK_BYTES)?;
        let mut key = span.first.0;
        for entry in content.chunks_exact_mut(size_of::<Blockref>()) {
            if key > span.last.0 || key >= self.volumes().total_bytes() {
                break;
            }
            let child = self.write_full(Key(key), keybits, (now + 1) % ROTATIONS)?.await?;
            entry.copy_from_slice(child.as_bytes());
            key = key.saturating_add(1 << keybits.0);
        }
        Ok(content)
    }

    /// Writes a block that says that everything in its span is in use, and the blocks below it; returns its blockref.
    fn write_full(&self, key: Key, keybits: KeyBits, rotation: u64) -> Result<Writing<'_>, NoMemory> {
        let writing = boxed(self.heap, async move {
            let kind = if keybits == LEAF_KEYBITS { BlockKind::FreemapLeaf } else { BlockKind::FreemapNode };
            let method = CheckMethod::Freemap;
            let mut bref = Blockref::new(kind, key, keybits, Methods::new(method, Compression::None));
            let place = place(key, keybits, rotation).map_err(|corruption| ChainError::corrupt(&bref, corruption))?;
            bref.set_data_off(place);
            bref.set_mirror_tid(self.topology.borrow().pending_tid);
            let content = self.full_block(&bref).await?;
            bref.check[..method.code_bytes()].copy_from_slice(&method.compute(&content)[..method.code_bytes()]);
            self.make_room().await?;
            self.blocks.invalidate(place.offset(), content.len());
            self.writer.put(self.volumes(), kind, place.offset(), &content);
            Ok(bref)
        })?;
        let writing: Box<dyn Future<Output = Result<Blockref, NodeError>> + '_> = unsize_box!(writing);
        Ok(Box::into_pin(writing))
    }

    fn full_leaf(&self) -> Result<Vec<u8>, NoMemory> {
        let mut content = zeroed(self.heap, FREEMAP_BLOCK_BYTES)?;
        for record in content.chunks_exact_mut(size_of::<FreemapRecord>()) {
            record.copy_from_slice(FreemapRecord::RESERVED.as_bytes());
        }
        Ok(content)
    }
}
