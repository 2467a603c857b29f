//! A node's topology as it is now: blocks on media, with the modified chains over them.

use core::ops::Range;

use super::{Arena, Chain, ChainError, ChainId, Container, ModifiedPath, Stop, packed};
use crate::io::{BlockCache, ReadError};
use crate::media::volume_header::Blockset;
use crate::media::{
    BlockArray, BlockKind, BlockName, Blockref, Corruption, Inode, Key, KeyRange, MirrorTid, ModifyTid, Radix,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// The two trees of a volume header and everything below them.
pub(crate) struct Topology {
    /// Leads to the super-root.
    pub(crate) super_root: Blockset,
    /// Leads to the freemap.
    pub(crate) freemap: Blockset,
    /// Blocks that are modified.
    pub(crate) arena: Arena,
    /// The flush that will write the blocks that are modified now.
    pub(crate) pending_tid: MirrorTid,
    /// No header, on media or on its way there, refers to a block written by this flush or a later one.
    pub(crate) uncommitted_from: MirrorTid,
    /// How changes are made now. The caller that sets it puts it back, with no await between.
    pub(crate) manner: Manner,
    /// Counts inodes that were modified or removed and so are no longer where they were found on media.
    inodes_moved: u64,
}

/// How changes are made, if not in the usual way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The arena's limit doesn't hold: everything that can be written has been.
    pub(crate) over_limit: bool,
    /// Elements of another node are copied: containers are stamped with this operation, whatever their stamp was before.
    pub(crate) copied_stamp: Option<ModifyTid>,
}

/// An array's handle outlived its chain: a bug of ours.
const STALE: &str = "an array's handle names a modified chain";

impl Topology {
    /// A topology in which nothing is modified.
    pub(crate) fn new(
        heap: Heap,
        mut super_root: Blockset,
        mut freemap: Blockset,
        committed: MirrorTid,
        limit_bytes: usize,
    ) -> Self {
        packed::pack(&mut super_root);
        packed::pack(&mut freemap);
        Self {
            super_root,
            freemap,
            arena: Arena::new(heap, limit_bytes),
            pending_tid: MirrorTid(committed.0 + 1),
            uncommitted_from: MirrorTid(committed.0 + 1),
            manner: Manner::default(),
            inodes_moved: 0,
        }
    }

    /// True for a block that no header refers to: it may be overwritten as soon as it is replaced.
    pub(crate) fn is_uncommitted(&self, bref: &Blockref) -> bool {
        (self.uncommitted_from..=self.pending_tid).contains(&bref.mirror_tid())
    }

    /// From here on, changes belong to the flush after the pending one. Returns the first flush of which no block was committed
    /// before.
    pub(crate) fn begin_flush(&mut self) -> MirrorTid {
        self.pending_tid = MirrorTid(self.pending_tid.0.saturating_add(1));
        core::mem::replace(&mut self.uncommitted_from, self.pending_tid)
    }

    /// A modified chain.
    pub(crate) fn chain(&self, id: ChainId) -> &Chain {
        self.arena.get(id).expect(STALE)
    }

    /// A modified chain, for changes.
    pub(crate) fn chain_mut(&mut self, id: ChainId) -> &mut Chain {
        self.arena.get_mut(id).expect(STALE)
    }

    /// The inode of a modified chain of that kind.
    pub(crate) fn inode(&self, id: ChainId) -> &Inode {
        Inode::in_block(&self.chain(id).content).expect("an inode's chain holds an inode")
    }

    /// The inode of a modified chain, for changes.
    pub(crate) fn inode_mut(&mut self, id: ChainId) -> &mut Inode {
        use zerocopy::FromBytes;
        Inode::mut_from_bytes(&mut self.chain_mut(id).content).expect("an inode's chain holds an inode")
    }

    /// Counts inodes that are no longer where they were found on media. While this number stays the same, clean inodes are where
    /// they were.
    pub(crate) fn inodes_moved(&self) -> u64 {
        self.inodes_moved
    }

    /// The array in a container, empty entries left out.
    pub(crate) fn array(&self, container: Container) -> BlockArray<'_> {
        match container {
            Container::SuperRootSet => BlockArray::of(&self.super_root[..live(&self.super_root)], KeyRange::ALL),
            Container::FreemapSet => BlockArray::of(&self.freemap[..live(&self.freemap)], KeyRange::ALL),
            Container::Chain(id) => self.chain(id).array(),
        }
    }

    /// How many entries a container has room for.
    pub(super) fn capacity(&self, container: Container) -> usize {
        match container {
            Container::SuperRootSet | Container::FreemapSet => self.super_root.len(),
            Container::Chain(id) => self.chain(id).capacity(),
        }
    }

    /// True if an entry can be added to a container as it is.
    pub(crate) fn has_room(&self, container: Container) -> bool {
        self.array(container).entries().len() < self.capacity(container)
    }

    /// Adds an entry to a container that has room for it.
    pub(super) fn insert_entry(&mut self, container: Container, entry: Blockref) {
        self.insert_entries(container, &[entry]);
    }

    /// Adds consecutive entries to a container that has room for them.
    pub(super) fn insert_entries(&mut self, container: Container, entries: &[Blockref]) {
        let set = match container {
            Container::SuperRootSet => &mut self.super_root,
            Container::FreemapSet => &mut self.freemap,
            Container::Chain(id) => return self.chain_mut(id).insert_entries(entries),
        };
        let live = live(set);
        packed::insert(set, live, entries);
    }

    /// Removes entries from a container.
    pub(super) fn remove_entries(&mut self, container: Container, range: Range<usize>) {
        let set = match container {
            Container::SuperRootSet => &mut self.super_root,
            Container::FreemapSet => &mut self.freemap,
            Container::Chain(id) => return self.chain_mut(id).remove_entries(range),
        };
        let live = live(set);
        packed::remove(set, live, range);
    }

    /// Notes that the block of an entry is no longer where it was.
    pub(super) fn note_moved(&mut self, entry: &Blockref) {
        self.inodes_moved += u64::from(entry.is(BlockKind::Inode));
    }

    /// The entries of a container; anything in them but their keys may be changed.
    pub(crate) fn entries_mut(&mut self, container: Container) -> &mut [Blockref] {
        match container {
            Container::SuperRootSet => {
                let live = live(&self.super_root);
                &mut self.super_root[..live]
            }
            Container::FreemapSet => {
                let live = live(&self.freemap);
                &mut self.freemap[..live]
            }
            Container::Chain(id) => self.chain_mut(id).entries_mut(),
        }
    }

    /// The entry whose span holds `key`.
    pub(crate) fn position(&self, container: Container, key: Key) -> Option<usize> {
        let found = self.array(container).first_reaching_sound(key);
        found.filter(|(_, entry)| entry.key() <= key).map(|(index, _)| index)
    }

    /// Makes the block of an entry a modified chain; it may be one already.
    pub(crate) fn modify(&mut self, blocks: &BlockCache, container: Container, index: usize) -> Result<ChainId, Stop> {
        let entry = self.array(container).entries()[index];
        if let Some(id) = ChainId::of(&entry) {
            return Ok(id);
        }
        self.check_room()?;
        let no_memory = |_: NoMemory| Stop::Failed(ChainError::new(&entry, ReadError::NoMemory));
        if let Some(content) = blocks.take_written(&entry) {
            self.arena.reserve().map_err(no_memory)?;
            return Ok(self.change_block(container, index, &entry, Chain::new(entry, container, content)));
        }
        let block = blocks.get(&entry).ok_or(Stop::Missing(entry))?;
        let bytes = block.bytes();
        let content = self.block_of(&bytes, bytes.len()).map_err(no_memory)?;
        let chain = Chain::new(entry, container, content);
        // An unsound array isn't changed: that would make the damage worse.
        let sound = block.is_sound_array() || chain.array().check().is_ok();
        if !sound {
            return Err(Stop::Failed(ChainError::corrupt(&entry, Corruption::Order(entry.key()))));
        }
        self.arena.reserve().map_err(no_memory)?;
        Ok(self.change_block(container, index, &entry, chain))
    }

    /// Puts the chain of a block that is to be changed in its place; there is room for it.
    fn change_block(&mut self, container: Container, index: usize, entry: &Blockref, chain: Chain) -> ChainId {
        self.note_moved(entry);
        let id = self.arena.insert(chain);
        id.mark(&mut self.entries_mut(container)[index]);
        id
    }

    /// Puts an entry in the place of another that has no chain yet, and a modified chain with this content where its block was,
    /// whatever that block holds.
    pub(crate) fn replace(
        &mut self,
        container: Container,
        index: usize,
        entry: Blockref,
        content: Vec<u8>,
    ) -> Result<(), NoMemory> {
        self.arena.reserve()?;
        let id = self.arena.insert(Chain::new(entry, container, content));
        let place = &mut self.entries_mut(container)[index];
        *place = entry;
        id.mark(place);
        Ok(())
    }

    /// Finds the entry of a block, modifying all blocks above it; none if the block itself is modified, or nothing leads to it.
    pub(crate) fn descend_to(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        block: BlockName,
    ) -> Result<Option<(Container, usize)>, Stop> {
        let mut container = root;
        loop {
            let Some(index) = self.position(container, block.key) else { return Ok(None) };
            let entry = &self.array(container).entries()[index];
            if ChainId::of(entry).is_none() && entry.name() == block {
                return Ok(Some((container, index)));
            }
            if !matches!(entry.kind(), Ok(BlockKind::Indirect | BlockKind::FreemapNode)) {
                return Ok(None);
            }
            container = Container::Chain(self.modify(blocks, container, index)?);
        }
    }

    /// Stops a change that would modify more than memory allows.
    pub(super) fn check_room(&self) -> Result<(), Stop> {
        if self.arena.is_full() && !self.manner.over_limit { Err(Stop::Full) } else { Ok(()) }
    }

    /// Goes down from a modified inode to the array that holds `key` or would hold it, modifying the blocks on the way. Returns
    /// that array, and the entry whose span holds the key, if there is one.
    pub(crate) fn descend(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        key: Key,
    ) -> Result<(Container, Option<usize>), Stop> {
        let (container, next) = self.descend_to_next(blocks, root, key)?;
        Ok((container, next.filter(|(_, first)| *first <= key).map(|(index, _)| index)))
    }

    /// Does the same, and returns the first entry of that array that reaches the key or lies beyond it, with its own first key.
    pub(super) fn descend_to_next(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        key: Key,
    ) -> Result<(Container, Option<(usize, Key)>), Stop> {
        let mut container = root;
        loop {
            let (index, entry) = match self.array(container).first_reaching_sound(key) {
                Some((index, entry))
                    if entry.key() <= key && (entry.is(BlockKind::Indirect) || entry.is(BlockKind::FreemapNode)) =>
                {
                    (index, entry)
                }
                next => return Ok((container, next.map(|(index, entry)| (index, entry.key())))),
            };
            container = Container::Chain(match ChainId::of(entry) {
                Some(id) => id,
                None => self.modify(blocks, container, index)?,
            });
        }
    }

    /// Notes that operation `tid` changed something in the array, below the modified inode `root`, that holds the first key of a
    /// range or would hold it. Returns the part of the range that lies in further arrays.
    pub(crate) fn stamp_first(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        range: KeyRange,
        tid: ModifyTid,
    ) -> Result<Option<KeyRange>, Stop> {
        let (container, _) = self.descend(blocks, root, range.first)?;
        self.touch(container, tid);
        let arrays = self.array(container).entries().iter().filter(|entry| entry.is(BlockKind::Indirect));
        let above =
            arrays.filter_map(|entry| entry.span().ok()).map(|span| span.first).filter(|key| *key > range.first);
        let next = match (above.min(), container) {
            (Some(first), _) => Some(KeyRange { first, last: range.last }),
            (None, Container::Chain(id)) if container != root => range.above(self.chain(id).span().last),
            (None, _) => None,
        };
        Ok(next.filter(|next| next.first <= next.last))
    }

    /// Makes the inode under `key`, below the modified inode `root`, a modified chain; none if there is no such inode.
    pub(crate) fn modify_inode(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        key: Key,
    ) -> Result<Option<ChainId>, Stop> {
        let (container, index) = self.descend(blocks, root, key)?;
        let Some(index) = index else { return Ok(None) };
        let entry = self.array(container).entries()[index];
        if !entry.is(BlockKind::Inode) {
            return Err(Stop::Failed(ChainError::corrupt(&entry, Corruption::BlockType(entry.kind_code()))));
        }
        self.modify(blocks, container, index).map(Some)
    }

    /// The operation that last changed what an entry stands for.
    pub(crate) fn modify_tid_of(&self, entry: &Blockref) -> ModifyTid {
        ChainId::of(entry).map_or(entry.modify_tid(), |id| self.chain(id).bref.modify_tid())
    }

    /// The first entry of an array from `start` on whose block is modified.
    pub(crate) fn next_modified(&self, container: Container, start: usize) -> Option<(usize, ChainId)> {
        let entries = self.array(container).entries();
        entries.iter().enumerate().skip(start).find_map(|(index, entry)| Some((index, ChainId::of(entry)?)))
    }

    /// The operation that last changed a modified chain or anything below it. The chain's own stamp says so only once the blocks
    /// below it are written.
    pub(crate) fn newest_in(&self, id: ChainId) -> ModifyTid {
        let mut newest = self.chain(id).bref.modify_tid();
        let mut path = ModifiedPath::new();
        let _ = path.push((Container::Chain(id), 0));
        while let Some((container, next)) = path.last_mut() {
            match self.next_modified(*container, *next) {
                Some((index, id)) => {
                    *next = index + 1;
                    newest = newest.max(self.chain(id).bref.modify_tid());
                    // The path is longer than any tree is deep: walking this one would have failed before.
                    let _ = path.push((Container::Chain(id), 0));
                }
                None => {
                    path.pop();
                }
            }
        }
        newest
    }

    /// Notes that operation `tid` changed something in a container.
    pub(crate) fn touch(&mut self, container: Container, tid: ModifyTid) {
        match (container, self.manner.copied_stamp) {
            (Container::Chain(id), Some(stamp)) => self.chain_mut(id).bref.set_modify_tid(stamp),
            _ => self.raise(container, tid),
        }
    }

    /// Notes that a block in a container was last changed by operation `tid`.
    pub(crate) fn raise(&mut self, container: Container, tid: ModifyTid) {
        if let Container::Chain(id) = container {
            self.chain_mut(id).touch(tid);
        }
    }

    /// Bytes of the blocks below a chain; for unmodified ones, as their blockrefs say.
    pub(crate) fn stored_bytes(&self, id: ChainId) -> u64 {
        let Some(chain) = self.arena.get(id) else { return 0 };
        let below = chain.entries().iter().filter(|entry| !entry.is_empty()).map(|entry| {
            let counts_below = matches!(entry.kind(), Ok(BlockKind::Inode | BlockKind::Indirect));
            let (block, below) = match ChainId::of(entry).and_then(|child| Some((child, self.arena.get(child)?))) {
                Some((child, chain)) => (Radix::holding(chain.content.len()), self.stored_bytes(child)),
                None => {
                    (entry.data_off().radix().ok().flatten(), if counts_below { entry.stats().data_bytes } else { 0 })
                }
            };
            block.map_or(0, |radix| radix.bytes() as u64).saturating_add(below)
        });
        below.fold(0, u64::saturating_add)
    }

    /// Takes a deleted chain and all modified chains below it out of the arena. `dropped` is called with the blockrefs of their
    /// entries.
    pub(crate) fn discard(&mut self, id: ChainId, dropped: &mut dyn FnMut(&Blockref)) {
        let Some(chain) = self.arena.remove(id) else { return };
        for entry in chain.entries() {
            dropped(entry);
            if let Some(child) = ChainId::of(entry) {
                self.discard(child, dropped);
            }
        }
    }

    /// The content of a new block of `len` bytes that begins with `bytes`.
    pub(crate) fn block_of(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>, NoMemory> {
        memory::padded(self.arena.heap(), bytes, len)
    }

    /// Memory for the content of a new block.
    pub(crate) fn blank(&self, len: usize) -> Result<Vec<u8>, NoMemory> {
        self.arena.blank(len)
    }
}

/// The number of entries in a packed set.
fn live(set: &Blockset) -> usize {
    set.partition_point(|entry| !entry.is_empty())
}
