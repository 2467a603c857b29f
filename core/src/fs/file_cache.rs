//! File content in memory: decompressed file blocks, by file and offset, and [pieces](Pieces) of blocks that aren't in memory. No
//! block is there as both.

use core::cell::RefCell;

use super::dirty_places::DirtyPlaces;
use super::pieces::Pieces;
use super::tally::Tally;
use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Inum, Key, KeyRange};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

struct Page {
    inum: Inum,
    key: Key,
    content: Buffer,
    recent: bool,
}

/// The number of pages that pieces must leave.
const LEAST_PAGES: usize = 8;

/// Pages of 64 KiB, as many as the budget allows beside the pieces.
pub(super) struct FileCache {
    table: RefCell<Table>,
}

struct Table {
    pages: Vec<Option<Page>>,
    index: HashIndex,
    /// The file of each page, in a vector of its own, because it is searched.
    owners: Vec<Inum>,
    hand: usize,
    /// Pages whose content isn't on media.
    dirty: DirtyPlaces,
    /// The number of those pages for each file.
    dirty_tally: Tally,
    /// Places that hold a page.
    used: usize,
    pieces: Pieces,
    /// The buffer of a page that was given up, for the next page.
    spare: Option<Buffer>,
}

/// The owner of empty places.
const NOBODY: Inum = Inum(0);

fn hash(inum: Inum, key: Key) -> u64 {
    inum.0.rotate_left(32) ^ key.0 >> FILE_BLOCK_BYTES.trailing_zeros()
}

impl FileCache {
    pub(super) fn new(heap: Heap, budget_bytes: usize) -> Result<Self, NoMemory> {
        let count = (budget_bytes / FILE_BLOCK_BYTES).max(2);
        let most_in_pieces = (count / 4 * 3).min(count.saturating_sub(LEAST_PAGES));
        let pages = memory::filled(heap, count, || None)?;
        let table = Table {
            pages,
            index: HashIndex::new(heap, count)?,
            owners: memory::filled(heap, count, || NOBODY)?,
            hand: 0,
            dirty: DirtyPlaces::new(heap, count)?,
            dirty_tally: Tally::new(heap, count)?,
            used: 0,
            pieces: Pieces::new(heap, most_in_pieces)?,
            spare: None,
        };
        Ok(Self { table: RefCell::new(table) })
    }

    /// True when the whole of a file block is in memory.
    pub(super) fn has(&self, inum: Inum, key: Key) -> bool {
        self.copy_out(inum, key, 0, &mut [])
    }

    /// True when pieces of a file block are in memory.
    pub(super) fn has_pieces(&self, inum: Inum, key: Key) -> bool {
        self.table.borrow().pieces.has(inum, key)
    }

    /// Copies from a file block in memory to `out`, from byte `start` on; false when the block isn't in memory.
    pub(super) fn copy_out(&self, inum: Inum, key: Key, start: usize, out: &mut [u8]) -> bool {
        let table = &mut *self.table.borrow_mut();
        let Some(page) = table.get(inum, key) else {
            return !out.is_empty() && table.pieces.copy_out(inum, key, start, out);
        };
        page.recent = true;
        out.copy_from_slice(&page.content.bytes()[start..start + out.len()]);
        true
    }

    /// Changes a file block in memory, which then differs from media; false when the block isn't in memory.
    pub(super) fn change(&self, inum: Inum, key: Key, work: impl FnOnce(&mut [u8])) -> bool {
        let table = &mut *self.table.borrow_mut();
        let Some(place) = table.find(inum, key) else { return false };
        let Some(page) = &mut table.pages[place] else { return false };
        page.recent = true;
        work(page.content.bytes_mut());
        table.set_dirty(place, inum);
        true
    }

    /// Keeps a file block that is the same on media, in place of one not used lately. It isn't kept if the block is there
    /// already, or if all pages hold what isn't on media.
    pub(super) fn insert(&self, inum: Inum, key: Key, content: Buffer) {
        let _ = self.try_insert(inum, key, content);
    }

    /// Keeps a file block, merged with the pieces of it that are in memory; returns the buffer when there is no room.
    pub(super) fn try_insert(&self, inum: Inum, key: Key, mut content: Buffer) -> Result<(), Buffer> {
        let table = &mut *self.table.borrow_mut();
        if table.find(inum, key).is_some() {
            return Ok(());
        }
        let Some(place) = table.make_room() else { return Err(content) };
        if table.pieces.has(inum, key) {
            table.pieces.lay_over(inum, key, 0, content.bytes_mut());
            table.pieces.forget_block(inum, key);
            table.set_dirty(place, inum);
        }
        table.pages[place] = Some(Page { inum, key, content, recent: true });
        table.owners[place] = inum;
        table.index.insert(hash(inum, key), place as u32);
        table.used += 1;
        Ok(())
    }

    /// Keeps whole pieces of a block that isn't in memory; false when there is no room for them.
    pub(super) fn put_pieces(&self, inum: Inum, key: Key, start: usize, data: &[u8]) -> bool {
        let table = &mut *self.table.borrow_mut();
        let at = key.0 + start as u64;
        let Some(missing) = table.pieces.missing(inum, at, data.len()) else { return false };
        while table.used + table.pieces.memory_blocks(missing) > table.pages.len() {
            if table.give_up_page().is_none() {
                return false;
            }
        }
        // The pieces use the memory of the spare buffer.
        table.spare = None;
        table.pieces.put(inum, at, data).is_ok()
    }

    /// Lays the pieces of a block over a part of it that begins at byte `start`.
    pub(super) fn lay_pieces_over(&self, inum: Inum, key: Key, start: usize, part: &mut [u8]) {
        self.table.borrow().pieces.lay_over(inum, key, start, part);
    }

    /// Forgets the pieces of a block.
    pub(super) fn forget_pieces(&self, inum: Inum, key: Key) {
        self.table.borrow_mut().pieces.forget_block(inum, key);
    }

    /// Takes a file block out.
    pub(super) fn take(&self, inum: Inum, key: Key) -> Option<Buffer> {
        let table = &mut *self.table.borrow_mut();
        let place = table.find(inum, key)?;
        table.remove(place).map(|page| page.content)
    }

    /// Calls `work` with a file block in memory.
    pub(super) fn look<T>(&self, inum: Inum, key: Key, work: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let table = self.table.borrow();
        let page = table.pages[table.find(inum, key)?].as_ref()?;
        Some(work(page.content.bytes()))
    }

    /// Notes that the nodes have a file block as it is in memory. It isn't given up before that, since a reader would find it
    /// nowhere.
    pub(super) fn set_clean(&self, inum: Inum, key: Key) {
        let table = &mut *self.table.borrow_mut();
        if let Some(place) = table.find(inum, key) {
            table.set_clean(place, inum);
        }
    }

    /// Forgets a file's blocks from `first` on.
    pub(super) fn forget(&self, inum: Inum, first: Key) {
        self.forget_within(inum, KeyRange { first, last: Key(u64::MAX) });
    }

    /// Forgets a file's blocks in a range.
    pub(super) fn forget_within(&self, inum: Inum, range: KeyRange) {
        let table = &mut *self.table.borrow_mut();
        for place in 0..table.pages.len() {
            let is_inside = |page: &Page| range.contains(KeyRange::only(page.key));
            if table.owners[place] == inum && table.pages[place].as_ref().is_some_and(is_inside) {
                table.spare = table.remove(place).map(|page| page.content);
            }
        }
        table.pieces.forget_within(inum, range);
    }

    /// True when so many blocks aren't on media that others find no room.
    pub(super) fn is_crowded(&self) -> bool {
        let table = self.table.borrow();
        table.dirty.count() > table.most_pages() * 3 / 4
    }

    /// The number of blocks that aren't on media yet, in whole or in pieces.
    pub(super) fn dirty_count(&self) -> usize {
        let table = self.table.borrow();
        table.dirty.count() + table.pieces.blocks()
    }

    /// Bytes of a file of `size` bytes that aren't on media yet.
    pub(super) fn dirty_bytes(&self, inum: Inum, size: u64) -> u64 {
        let Some(last_byte) = size.checked_sub(1) else { return 0 };
        let table = self.table.borrow();
        let whole = table.dirty_tally.of(inum) as u64 * FILE_BLOCK_BYTES as u64;
        let within = last_byte % FILE_BLOCK_BYTES as u64;
        let is_dirty = |place: &usize| table.dirty.contains(*place);
        let beyond = match table.find(inum, Key(last_byte - within)).filter(is_dirty) {
            Some(_) => FILE_BLOCK_BYTES as u64 - 1 - within,
            None => 0,
        };
        whole.saturating_sub(beyond) + table.pieces.bytes_of(inum)
    }

    /// Gathers the blocks of one file, or of all, that are in memory in pieces, to be taken file by file and in order.
    pub(super) fn gather_pieces(&self, of: Option<Inum>) {
        self.table.borrow_mut().pieces.gather(of);
    }

    /// The next of these blocks.
    pub(super) fn next_in_pieces(&self) -> Option<(Inum, Key)> {
        self.table.borrow_mut().pieces.next_gathered()
    }

    /// A block whose pieces should be written to make room for others.
    pub(super) fn oldest_in_pieces(&self) -> Option<(Inum, Key)> {
        self.table.borrow_mut().pieces.oldest()
    }

    /// Gathers the blocks of one file, or of all, that aren't on media, to be taken file by file and in order.
    pub(super) fn gather_dirty(&self, of: Option<Inum>) {
        let Table { pages, dirty, .. } = &mut *self.table.borrow_mut();
        dirty.gather(|place| {
            let page = pages[place].as_ref().filter(|page| of.is_none_or(|of| of == page.inum))?;
            Some((page.inum, page.key))
        });
    }

    /// The next of these blocks.
    pub(super) fn next_dirty(&self) -> Option<(Inum, Key)> {
        let table = &mut *self.table.borrow_mut();
        let place = table.dirty.next_gathered()?;
        table.pages[place].as_ref().map(|page| (page.inum, page.key))
    }

    /// The buffer of a page that was given up; its content means nothing.
    pub(super) fn take_spare(&self) -> Option<Buffer> {
        self.table.borrow_mut().spare.take()
    }

    /// A block that should be written to make room: it isn't on media, and wasn't used lately.
    pub(super) fn oldest_dirty(&self) -> Option<(Inum, Key)> {
        let table = &mut *self.table.borrow_mut();
        for _ in 0..2 * table.pages.len() {
            let place = table.hand;
            table.hand = (table.hand + 1) % table.pages.len();
            match &mut table.pages[place] {
                Some(page) if table.dirty.contains(place) && !page.recent => return Some((page.inum, page.key)),
                Some(page) if table.dirty.contains(place) => page.recent = false,
                _ => {}
            }
        }
        None
    }
}

impl Table {
    fn find(&self, inum: Inum, key: Key) -> Option<usize> {
        let is_it =
            |page: u32| self.pages[page as usize].as_ref().is_some_and(|page| page.inum == inum && page.key == key);
        self.index.find(hash(inum, key), is_it).map(|place| place as usize)
    }

    fn get(&mut self, inum: Inum, key: Key) -> Option<&mut Page> {
        let place = self.find(inum, key)?;
        self.pages[place].as_mut()
    }

    fn remove(&mut self, place: usize) -> Option<Page> {
        let (inum, key) = self.pages[place].as_ref().map(|page| (page.inum, page.key))?;
        self.index.remove(hash(inum, key), place as u32);
        self.owners[place] = NOBODY;
        self.set_clean(place, inum);
        self.used -= 1;
        self.pages[place].take()
    }

    fn set_dirty(&mut self, place: usize, inum: Inum) {
        if self.dirty.insert(place) {
            self.dirty_tally.add(inum);
        }
    }

    fn set_clean(&mut self, place: usize, inum: Inum) {
        if self.dirty.remove(place) {
            self.dirty_tally.remove(inum);
        }
    }

    /// The number of pages that pieces leave room for.
    fn most_pages(&self) -> usize {
        self.pages.len() - self.pieces.memory_blocks(0)
    }

    /// An empty place, for which a page that is on media may be given up; none if there is no such page.
    fn make_room(&mut self) -> Option<usize> {
        let may_be_empty = self.used < self.most_pages();
        self.next_place(may_be_empty)
    }

    /// Gives up a page whose content is on media, and returns its place.
    fn give_up_page(&mut self) -> Option<usize> {
        self.next_place(false)
    }

    fn next_place(&mut self, may_be_empty: bool) -> Option<usize> {
        for _ in 0..2 * self.pages.len() {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.pages.len();
            match &mut self.pages[place] {
                None if may_be_empty => return Some(place),
                None => {}
                Some(_) if self.dirty.contains(place) => {}
                Some(page) if page.recent => page.recent = false,
                Some(_) => {
                    self.spare = self.remove(place).map(|page| page.content);
                    return Some(place);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{HEAP, pattern};

    const FILE: Inum = Inum(1024);
    const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

    #[test]
    fn what_is_not_on_media_is_counted_up_to_the_end_of_the_file() {
        let files = FileCache::new(HEAP, 16 * FILE_BLOCK_BYTES).unwrap();
        let keys = [0, BLOCK, 2 * BLOCK].map(Key);
        let size = 2 * BLOCK + 100;
        for key in keys {
            files.try_insert(FILE, key, pattern(FILE_BLOCK_BYTES, 1)).unwrap();
        }
        assert_eq!(files.dirty_bytes(FILE, size), 0);
        for expected in [(0, BLOCK), (2, BLOCK + 100), (2, BLOCK + 100), (1, size)] {
            assert!(files.change(FILE, keys[expected.0], |_| ()));
            assert_eq!(files.dirty_bytes(FILE, size), expected.1);
        }
        assert!(files.put_pieces(FILE, Key(5 * BLOCK), 0, &[1; 8192]));
        assert_eq!((files.dirty_bytes(FILE, 6 * BLOCK), files.dirty_bytes(Inum(7), size)), (3 * BLOCK + 8192, 0));
        files.set_clean(FILE, keys[1]);
        files.forget(FILE, Key(2 * BLOCK));
        assert_eq!(files.dirty_bytes(FILE, size), BLOCK);
        files.forget(FILE, Key(0));
        assert_eq!((files.dirty_bytes(FILE, size), files.dirty_count()), (0, 0));
    }
}
