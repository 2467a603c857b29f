//! Inodes that are in use or were used lately, by number.

use core::cell::RefCell;

use super::dirty_places::{DirtyPlaces, PLACE_BYTES};
use super::read_ahead::ReadAhead;
use super::{Attributes, Error, FileSystem};
use crate::cluster::{InodeRecord, SLOT_BYTES, Slot};
use crate::media::{Inum, KeyRange};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

/// After this many blocks in a row that can't be compressed, only one in [`TRY_EVERY`] is tried.
const HOPELESS_BLOCKS: u8 = 8;
/// Trying takes half as long as everything else that is done for a block.
const TRY_EVERY: u8 = 32;

/// The most memory of the index for an entry.
const INDEX_BYTES: usize = 32;

/// Memory for an entry, including its slot on each of `nodes` nodes: for budgets.
pub(super) fn entry_bytes(nodes: usize) -> usize {
    size_of::<Option<Cached>>() + INDEX_BYTES + PLACE_BYTES + nodes.max(1) * SLOT_BYTES
}

struct Cached {
    inum: Inum,
    slot: Slot,
    record: InodeRecord,
    pins: u32,
    /// How often it is open; this is included in the pins.
    opens: u32,
    recent: bool,
    /// Blocks in a row that weren't compressed.
    incompressible: u8,
    /// True when its blocks have changed since their size was counted.
    is_uncounted: bool,
    ahead: ReadAhead,
}

/// A table of inodes of fixed size, allocated at once.
pub(super) struct InodeCache {
    table: RefCell<Table>,
}

struct Table {
    entries: Vec<Option<Cached>>,
    index: HashIndex,
    hand: usize,
    /// Entries whose content isn't on the nodes.
    dirty: DirtyPlaces,
}

/// An inode in use: it stays in the cache as long as this value lives.
pub(super) struct InodeRef<'f> {
    cache: &'f InodeCache,
    entry: usize,
    /// Its number.
    pub(super) inum: Inum,
    /// Its slot.
    pub(super) slot: Slot,
}

impl InodeRef<'_> {
    /// Calls `look` with its record.
    pub(super) fn with<T>(&self, look: impl FnOnce(&InodeRecord) -> T) -> T {
        let table = self.cache.table.borrow();
        let cached = table.entries[self.entry].as_ref().expect("an inode in use is in the cache");
        look(&cached.record)
    }

    /// Changes its record; the nodes get the change later.
    pub(super) fn change(&self, work: impl FnOnce(&mut InodeRecord)) {
        let table = &mut *self.cache.table.borrow_mut();
        let cached = table.entries[self.entry].as_mut().expect("an inode in use is in the cache");
        work(&mut cached.record);
        table.dirty.insert(self.entry);
    }

    /// Notes that the nodes have its record.
    pub(super) fn set_clean(&self) {
        self.cache.table.borrow_mut().dirty.remove(self.entry);
    }

    /// Counts an opening or a closing of it; returns how often it is open.
    pub(super) fn count_open(&self, opened: bool) -> u32 {
        let mut table = self.cache.table.borrow_mut();
        let Some(cached) = &mut table.entries[self.entry] else { return 0 };
        (cached.opens, cached.pins) = match opened {
            true => (cached.opens + 1, cached.pins + 1),
            false if cached.opens > 0 => (cached.opens - 1, cached.pins - 1),
            false => (0, cached.pins),
        };
        cached.opens
    }

    /// The blocks to request ahead of a read (see [`ReadAhead::plan`]).
    pub(super) fn plan_ahead(&self, offset: u64, bytes: u64, size: u64, window_bytes: u64) -> Option<KeyRange> {
        let mut table = self.cache.table.borrow_mut();
        table.entries[self.entry].as_mut()?.ahead.plan(offset, bytes, size, window_bytes)
    }

    /// True when its next block is worth compressing, judged by the last ones.
    pub(super) fn tries_compression(&self) -> bool {
        let table = self.cache.table.borrow();
        let incompressible = table.entries[self.entry].as_ref().map_or(0, |cached| cached.incompressible);
        incompressible < HOPELESS_BLOCKS || incompressible.is_multiple_of(TRY_EVERY)
    }

    /// Notes whether a block of it was compressed.
    pub(super) fn note_compression(&self, compressed: bool) {
        if let Some(cached) = &mut self.cache.table.borrow_mut().entries[self.entry] {
            let more = cached.incompressible.checked_add(1).unwrap_or(TRY_EVERY);
            cached.incompressible = if compressed { 0 } else { more };
        }
    }

    /// Notes that its blocks change: their size must be counted again.
    pub(super) fn note_blocks_changed(&self) {
        if let Some(cached) = &mut self.cache.table.borrow_mut().entries[self.entry] {
            cached.is_uncounted = true;
        }
    }

    /// True when the size of its blocks is unknown.
    pub(super) fn is_uncounted(&self) -> bool {
        self.cache.table.borrow().entries[self.entry].as_ref().is_some_and(|cached| cached.is_uncounted)
    }

    /// Notes the size of its blocks.
    pub(super) fn set_stored_bytes(&self, bytes: u64) {
        if let Some(cached) = &mut self.cache.table.borrow_mut().entries[self.entry] {
            cached.record.stats.data_bytes = bytes;
            cached.is_uncounted = false;
        }
    }

    /// How often it is open.
    pub(super) fn opens(&self) -> u32 {
        self.cache.table.borrow().entries[self.entry].as_ref().map_or(0, |cached| cached.opens)
    }

    pub(super) fn attributes(&self) -> Result<Attributes, Error> {
        self.with(|record| Attributes::of(self.inum, record))
    }
}

impl Drop for InodeRef<'_> {
    fn drop(&mut self) {
        if let Some(cached) = &mut self.cache.table.borrow_mut().entries[self.entry] {
            cached.pins -= 1;
        }
    }
}

impl InodeCache {
    pub(super) fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        // The root of the PFS has a slot of its own, and another is for an inode that is opened while the cache is full.
        let count = count.saturating_sub(2).max(1);
        let table = Table {
            entries: memory::filled(heap, count, || None)?,
            index: HashIndex::new(heap, count)?,
            hand: 0,
            dirty: DirtyPlaces::new(heap, count)?,
        };
        Ok(Self { table: RefCell::new(table) })
    }

    /// The slots of all cached inodes.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let count = self.table.borrow().entries.len();
        (0..count).filter_map(|entry| self.table.borrow().entries[entry].as_ref().map(|cached| cached.slot))
    }

    /// Gathers the inodes whose records aren't on the nodes, to be taken in the order of their numbers.
    pub(super) fn gather_dirty(&self) {
        let Table { entries, dirty, .. } = &mut *self.table.borrow_mut();
        dirty.gather(|entry| entries[entry].as_ref().map(|cached| cached.inum));
    }

    /// The next of these inodes.
    pub(super) fn next_dirty(&self) -> Option<Inum> {
        let table = &mut *self.table.borrow_mut();
        let entry = table.dirty.next_gathered()?;
        table.entries[entry].as_ref().map(|cached| cached.inum)
    }

    /// The number of inodes whose records aren't on the nodes.
    pub(super) fn dirty_count(&self) -> usize {
        self.table.borrow().dirty.count()
    }

    /// True when so many inodes are to be written that others find no room.
    pub(super) fn is_crowded(&self) -> bool {
        let table = self.table.borrow();
        table.dirty.count() > table.entries.len() / 2
    }

    /// Forgets an inode that was removed; returns its slot, to be closed.
    pub(super) fn remove(&self, inode: InodeRef<'_>) -> Slot {
        let (entry, slot) = (inode.entry, inode.slot);
        inode.set_clean();
        drop(inode);
        self.table.borrow_mut().remove(entry);
        slot
    }

    /// The inode, if it is in the cache.
    pub(super) fn get(&self, inum: Inum) -> Option<InodeRef<'_>> {
        let table = &mut *self.table.borrow_mut();
        let entry = table.find(inum)?;
        let cached = table.entries[entry].as_mut()?;
        cached.pins += 1;
        cached.recent = true;
        Some(InodeRef { cache: self, entry, inum, slot: cached.slot })
    }

    /// The number of the first inode in the cache for which `is_it` holds.
    pub(super) fn search(&self, mut is_it: impl FnMut(&InodeRecord) -> bool) -> Option<Inum> {
        let table = self.table.borrow();
        table.entries.iter().flatten().find(|cached| is_it(&cached.record)).map(|cached| cached.inum)
    }

    /// Enters an inode in place of another, or returns its slot when all are in use.
    fn insert(&self, inum: Inum, slot: Slot, record: &InodeRecord) -> Result<(InodeRef<'_>, Option<Slot>), Slot> {
        let table = &mut *self.table.borrow_mut();
        let (entry, evicted) = table.make_room().ok_or(slot)?;
        table.entries[entry] = Some(Cached {
            inum,
            slot,
            record: *record,
            pins: 1,
            opens: 0,
            recent: true,
            incompressible: 0,
            is_uncounted: false,
            ahead: ReadAhead::default(),
        });
        table.index.insert(inum.0, entry as u32);
        Ok((InodeRef { cache: self, entry, inum, slot }, evicted))
    }
}

impl Table {
    fn find(&self, inum: Inum) -> Option<usize> {
        let is_it = |entry: u32| self.entries[entry as usize].as_ref().is_some_and(|cached| cached.inum == inum);
        self.index.find(inum.0, is_it).map(|entry| entry as usize)
    }

    /// An empty entry, and the slot of the inode that was evicted for it.
    fn make_room(&mut self) -> Option<(usize, Option<Slot>)> {
        for _ in 0..2 * self.entries.len() {
            let entry = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            match &mut self.entries[entry] {
                None => return Some((entry, None)),
                Some(cached) if cached.pins > 0 || self.dirty.contains(entry) => {}
                Some(cached) if cached.recent => cached.recent = false,
                Some(cached) => {
                    let slot = cached.slot;
                    self.remove(entry);
                    return Some((entry, Some(slot)));
                }
            }
        }
        None
    }

    fn remove(&mut self, entry: usize) {
        let Some(inum) = self.entries[entry].as_ref().map(|cached| cached.inum) else { return };
        self.index.remove(inum.0, entry as u32);
        self.entries[entry] = None;
    }
}

impl FileSystem {
    /// The inode with this number.
    pub(super) async fn inode(&self, inum: Inum) -> Result<InodeRef<'_>, Error> {
        if let Some(inode) = self.inodes.get(inum) {
            return Ok(inode);
        }
        let (slot, record) = self.cluster.open_inode(self.root, inum).await?.ok_or(Error::NotFound)?;
        // Another task may have opened it meanwhile.
        if let Some(inode) = self.inodes.get(inum) {
            self.cluster.close(slot);
            return Ok(inode);
        }
        self.keep_open(inum, slot, &record)
    }

    /// Enters an inode that was just opened.
    pub(super) fn keep_open(&self, inum: Inum, slot: Slot, record: &InodeRecord) -> Result<InodeRef<'_>, Error> {
        match self.inodes.insert(inum, slot, record) {
            Ok((inode, None)) => Ok(inode),
            Ok((inode, Some(evicted))) => {
                self.cluster.close(evicted);
                Ok(inode)
            }
            Err(slot) => {
                self.cluster.close(slot);
                Err(Error::TooManyOpen)
            }
        }
    }
}
