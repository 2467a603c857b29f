//! The arena of modified chains: blocks that were changed, or created, since they were last written.
//!
//! A chain is a block in memory with its blockref. The array of its parent holds the blockref too, and carries the chain's handle
//! in the field that the format leaves unused (`update_tid`), where media always has 0. A walk down an array therefore sees at
//! once which blocks are in memory only, and the generation tells a handle that outlived its chain from a new one.

use core::ops::Range;

use super::packed;
use crate::media::inode::INODE_META_BYTES;
use crate::media::{BlockArray, BlockKind, Blockref, Inode, KeyRange, ModifyTid};
use crate::memory::{self, Heap, NoMemory, Vec};
use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

/// Names a modified chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChainId {
    index: u32,
    /// Never 0, so that a handle is never all zero.
    generation: u32,
}

impl ChainId {
    /// The chain an array's entry stands for, when its block is a modified one.
    pub(crate) fn of(entry: &Blockref) -> Option<Self> {
        let handle = entry.update_tid.get();
        let (index, generation) = (handle as u32, (handle >> 32) as u32);
        (generation != 0).then_some(Self { index, generation })
    }

    /// Marks an array's entry as standing for this chain.
    pub(crate) fn mark(self, entry: &mut Blockref) {
        entry.update_tid = U64::new(u64::from(self.generation) << 32 | u64::from(self.index));
    }
}

/// Where an array of blockrefs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Container {
    /// The volume header's set that leads to the super-root.
    SuperRootSet,
    /// The volume header's set that leads to the freemap.
    FreemapSet,
    /// A modified inode or indirect block.
    Chain(ChainId),
}

/// A modified block.
pub(crate) struct Chain {
    /// What its container's array says of it, without the handle. The place is where the block was last written, if it ever was.
    pub(crate) bref: Blockref,
    /// Where that array is.
    pub(crate) container: Container,
    /// The block. Its array is packed.
    pub(crate) content: Vec<u8>,
    /// Entries of the array.
    live: usize,
}

impl Chain {
    /// Makes a chain of a block and what its container's array says of it. Nothing below it is modified.
    pub(crate) fn new(bref: Blockref, container: Container, content: Vec<u8>) -> Self {
        let mut chain = Self { bref, container, content, live: 0 };
        chain.live = packed::pack(chain.whole_array_mut());
        chain
    }

    /// The keys its array may hold.
    pub(crate) fn span(&self) -> KeyRange {
        match self.bref.is(BlockKind::Inode) {
            true => KeyRange::ALL,
            false => KeyRange { first: self.bref.key(), last: self.bref.last_key() },
        }
    }

    /// The entries it holds, in an inode's body or an indirect block; empty for blocks that hold none.
    pub(crate) fn entries(&self) -> &[Blockref] {
        let start = self.array_start();
        let bytes = self.content.get(start..start + self.live * size_of::<Blockref>());
        bytes.and_then(|bytes| <[Blockref]>::ref_from_bytes(bytes).ok()).unwrap_or(&[])
    }

    /// The entries it holds; anything in them but their keys may be changed.
    pub(crate) fn entries_mut(&mut self) -> &mut [Blockref] {
        let live = self.live;
        self.whole_array_mut().get_mut(..live).unwrap_or(&mut [])
    }

    /// The number of entries that its block has room for.
    pub(crate) fn capacity(&self) -> usize {
        (self.content.len() - self.array_start()) / size_of::<Blockref>()
    }

    /// Adds consecutive entries, for which there must be room.
    pub(crate) fn insert_entries(&mut self, entries: &[Blockref]) {
        let live = self.live;
        packed::insert(self.whole_array_mut(), live, entries);
        self.live += entries.len();
    }

    /// Removes entries.
    pub(crate) fn remove_entries(&mut self, range: Range<usize>) {
        let live = self.live;
        self.live -= range.len();
        packed::remove(self.whole_array_mut(), live, range);
    }

    fn whole_array_mut(&mut self) -> &mut [Blockref] {
        let start = self.array_start();
        <[Blockref]>::mut_from_bytes(&mut self.content[start..]).unwrap_or(&mut [])
    }

    /// The array, for walks.
    pub(crate) fn array(&self) -> BlockArray<'_> {
        BlockArray::of(self.entries(), self.span())
    }

    fn array_start(&self) -> usize {
        if self.bref.is(BlockKind::Indirect) || self.bref.is(BlockKind::FreemapNode) {
            return 0;
        }
        let holds_set = self.bref.is(BlockKind::Inode) && !Inode::in_block(&self.content).is_ok_and(Inode::is_direct);
        if holds_set { INODE_META_BYTES } else { self.content.len() }
    }

    /// Notes a change by operation `tid`.
    pub(crate) fn touch(&mut self, tid: ModifyTid) {
        if tid > self.bref.modify_tid() {
            self.bref.set_modify_tid(tid);
        }
    }
}

struct ArenaPlace {
    generation: u32,
    chain: Option<Chain>,
}

/// All modified chains of a node.
pub(crate) struct Arena {
    places: Vec<ArenaPlace>,
    free: Vec<u32>,
    bytes: usize,
    limit_bytes: usize,
    heap: Heap,
}

impl Arena {
    /// An arena for up to `limit_bytes` bytes of modified blocks.
    pub(crate) fn new(heap: Heap, limit_bytes: usize) -> Self {
        Self { places: Vec::new_in(heap), free: Vec::new_in(heap), bytes: 0, limit_bytes, heap }
    }

    /// True when modified blocks should be written before more are made.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.limit_bytes
    }

    /// The number of bytes of modified blocks that the arena is for.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Bytes of modified blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when nothing is modified.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What its memory is taken from.
    pub(super) fn heap(&self) -> Heap {
        self.heap
    }

    /// Memory for a block of `len` zero bytes.
    pub(crate) fn blank(&self, len: usize) -> Result<Vec<u8>, NoMemory> {
        memory::zeroed(self.heap, len)
    }

    /// Makes room for one more chain, so that the next [`insert`](Self::insert) can't fail.
    pub(crate) fn reserve(&mut self) -> Result<(), NoMemory> {
        // The free list must be able to take every place back.
        self.free.try_reserve(self.places.len() + 1 - self.free.len()).map_err(|_| NoMemory)?;
        self.places.try_reserve(1).map_err(|_| NoMemory)
    }

    /// Adds a chain; room for it must have been [reserved](Self::reserve).
    pub(crate) fn insert(&mut self, chain: Chain) -> ChainId {
        self.bytes += chain.content.len();
        match self.free.pop() {
            Some(index) => {
                let place = &mut self.places[index as usize];
                place.generation = place.generation.wrapping_add(1).max(1);
                place.chain = Some(chain);
                ChainId { index, generation: place.generation }
            }
            None => {
                self.places.push(ArenaPlace { generation: 1, chain: Some(chain) });
                ChainId { index: self.places.len() as u32 - 1, generation: 1 }
            }
        }
    }

    /// The chain, if it still is modified.
    pub(crate) fn get(&self, id: ChainId) -> Option<&Chain> {
        let place = self.places.get(id.index as usize)?;
        if place.generation == id.generation { place.chain.as_ref() } else { None }
    }

    /// The chain, to be changed.
    pub(crate) fn get_mut(&mut self, id: ChainId) -> Option<&mut Chain> {
        let place = self.places.get_mut(id.index as usize)?;
        if place.generation == id.generation { place.chain.as_mut() } else { None }
    }

    /// Gives the array of an indirect block more room: the block becomes as long as `content`, which is zero.
    pub(crate) fn enlarge(&mut self, id: ChainId, mut content: Vec<u8>) {
        let Some(chain) = self.get_mut(id) else { return };
        let before = chain.content.len();
        let Some(start) = content.get_mut(..before) else { return };
        start.copy_from_slice(&chain.content);
        let more = content.len() - before;
        chain.content = content;
        self.bytes += more;
    }

    /// Takes out a chain that was written or deleted.
    pub(crate) fn remove(&mut self, id: ChainId) -> Option<Chain> {
        let place = self.places.get_mut(id.index as usize)?;
        if place.generation != id.generation {
            return None;
        }
        let chain = place.chain.take()?;
        self.bytes -= chain.content.len();
        self.free.push(id.index);
        Some(chain)
    }
}
