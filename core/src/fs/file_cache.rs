//! File content in memory: decompressed file blocks, by file and offset.

use core::cell::RefCell;

use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Inum, Key, KeyRange};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

struct Page {
    inum: Inum,
    key: Key,
    content: Buffer,
    recent: bool,
    /// Holds what isn't on media.
    dirty: bool,
}

/// Pages of 64 KiB, as many as the budget allows.
pub(super) struct FileCache {
    table: RefCell<Table>,
}

struct Table {
    pages: Vec<Option<Page>>,
    index: HashIndex,
    hand: usize,
    dirty: usize,
}

fn hash(inum: Inum, key: Key) -> u64 {
    inum.0.rotate_left(32) ^ key.0 >> FILE_BLOCK_BYTES.trailing_zeros()
}

impl FileCache {
    pub(super) fn new(heap: Heap, budget_bytes: usize) -> Result<Self, NoMemory> {
        let count = (budget_bytes / FILE_BLOCK_BYTES).max(2);
        let pages = memory::filled(heap, count, || None)?;
        let table = Table { pages, index: HashIndex::new(heap, count)?, hand: 0, dirty: 0 };
        Ok(Self { table: RefCell::new(table) })
    }

    /// Copies from a file block in memory to `out`, from byte `start` of it; false when it isn't there.
    pub(super) fn copy_out(&self, inum: Inum, key: Key, start: usize, out: &mut [u8]) -> bool {
        let table = &mut *self.table.borrow_mut();
        let Some(page) = table.get(inum, key) else { return false };
        page.recent = true;
        out.copy_from_slice(&page.content.bytes()[start..start + out.len()]);
        true
    }

    /// Changes a file block in memory, which is then not on media; false when it isn't there.
    pub(super) fn change(&self, inum: Inum, key: Key, work: impl FnOnce(&mut [u8])) -> bool {
        let table = &mut *self.table.borrow_mut();
        let Some(page) = table.get(inum, key) else { return false };
        page.recent = true;
        work(page.content.bytes_mut());
        let was_dirty = core::mem::replace(&mut page.dirty, true);
        table.dirty += usize::from(!was_dirty);
        true
    }

    /// Keeps a file block as it is on media, in place of one not used lately. Whoever comes second with the same block, or
    /// when all others hold what isn't on media, keeps nothing.
    pub(super) fn insert(&self, inum: Inum, key: Key, content: Buffer) {
        let _ = self.try_insert(inum, key, content);
    }

    /// Keeps a file block; it comes back when there is no room.
    pub(super) fn try_insert(&self, inum: Inum, key: Key, content: Buffer) -> Result<(), Buffer> {
        let table = &mut *self.table.borrow_mut();
        if table.find(inum, key).is_some() {
            return Ok(());
        }
        let Some(place) = table.make_room() else { return Err(content) };
        table.pages[place] = Some(Page { inum, key, content, recent: true, dirty: false });
        table.index.insert(hash(inum, key), place as u32);
        Ok(())
    }

    /// Takes a file block out.
    pub(super) fn take(&self, inum: Inum, key: Key) -> Option<Buffer> {
        let table = &mut *self.table.borrow_mut();
        let place = table.find(inum, key)?;
        table.remove(place).map(|page| page.content)
    }

    /// Looks at a file block in memory, which is on media from then on.
    pub(super) fn clean<T>(&self, inum: Inum, key: Key, work: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let table = &mut *self.table.borrow_mut();
        let page = table.get(inum, key)?;
        let was_dirty = core::mem::replace(&mut page.dirty, false);
        let done = work(page.content.bytes());
        table.dirty -= usize::from(was_dirty);
        Some(done)
    }

    /// Forgets a file's blocks from `first` on.
    pub(super) fn forget(&self, inum: Inum, first: Key) {
        self.forget_within(inum, KeyRange { first, last: Key(u64::MAX) });
    }

    /// Forgets a file's blocks in a range.
    pub(super) fn forget_within(&self, inum: Inum, range: KeyRange) {
        let table = &mut *self.table.borrow_mut();
        for place in 0..table.pages.len() {
            if table.pages[place]
                .as_ref()
                .is_some_and(|page| page.inum == inum && range.contains(KeyRange::only(page.key)))
            {
                table.remove(place);
            }
        }
    }

    /// True when so many blocks are not on media that others find no room.
    pub(super) fn is_crowded(&self) -> bool {
        let table = self.table.borrow();
        table.dirty > table.pages.len() * 3 / 4
    }

    /// Bytes that are not on media yet.
    pub(super) fn dirty_bytes(&self) -> u64 {
        self.table.borrow().dirty as u64 * FILE_BLOCK_BYTES as u64
    }

    /// The first block behind `after`, of one file or of all, that is not on media.
    pub(super) fn next_dirty(&self, of: Option<Inum>, after: Option<(Inum, Key)>) -> Option<(Inum, Key)> {
        let table = self.table.borrow();
        let dirty = table.pages.iter().flatten().filter(|page| page.dirty).map(|page| (page.inum, page.key));
        dirty
            .filter(|(inum, _)| of.is_none_or(|of| of == *inum))
            .filter(|place| after.is_none_or(|after| *place > after))
            .min()
    }

    /// A block that should be written to make room: not on media, and not used lately.
    pub(super) fn oldest_dirty(&self) -> Option<(Inum, Key)> {
        let table = &mut *self.table.borrow_mut();
        for _ in 0..2 * table.pages.len() {
            let place = table.hand;
            table.hand = (table.hand + 1) % table.pages.len();
            match &mut table.pages[place] {
                Some(page) if page.dirty && !page.recent => return Some((page.inum, page.key)),
                Some(page) if page.dirty => page.recent = false,
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
        let page = self.pages[place].take()?;
        self.dirty -= usize::from(page.dirty);
        Some(page)
    }

    /// An empty place, a page that is on media given up for it; none when there is none.
    fn make_room(&mut self) -> Option<usize> {
        for _ in 0..2 * self.pages.len() {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.pages.len();
            match &mut self.pages[place] {
                None => return Some(place),
                Some(page) if page.dirty => {}
                Some(page) if page.recent => page.recent = false,
                Some(_) => {
                    self.remove(place);
                    return Some(place);
                }
            }
        }
        None
    }
}
