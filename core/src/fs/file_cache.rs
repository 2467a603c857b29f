//! File content in memory: decompressed file blocks, by file and offset.

use core::cell::RefCell;

use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Inum, Key};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

struct Page {
    inum: Inum,
    key: Key,
    content: Buffer,
    recent: bool,
}

/// Pages of 64 KiB, as many as the budget allows.
pub(super) struct FileCache {
    table: RefCell<Table>,
}

struct Table {
    pages: Vec<Option<Page>>,
    index: HashIndex,
    hand: usize,
}

fn hash(inum: Inum, key: Key) -> u64 {
    inum.0.rotate_left(32) ^ key.0 >> FILE_BLOCK_BYTES.trailing_zeros()
}

impl FileCache {
    pub(super) fn new(heap: Heap, budget_bytes: usize) -> Result<Self, NoMemory> {
        let count = (budget_bytes / FILE_BLOCK_BYTES).max(2);
        let table =
            Table { pages: memory::filled(heap, count, || None)?, index: HashIndex::new(heap, count)?, hand: 0 };
        Ok(Self { table: RefCell::new(table) })
    }

    /// Copies from a file block in memory to `out`, from byte `start` of it; false when it isn't there.
    pub(super) fn copy_out(&self, inum: Inum, key: Key, start: usize, out: &mut [u8]) -> bool {
        let table = &mut *self.table.borrow_mut();
        let is_it =
            |page: u32| table.pages[page as usize].as_ref().is_some_and(|page| page.inum == inum && page.key == key);
        let Some(found) = table.index.find(hash(inum, key), is_it) else { return false };
        let Some(page) = &mut table.pages[found as usize] else { return false };
        page.recent = true;
        out.copy_from_slice(&page.content.bytes()[start..start + out.len()]);
        true
    }

    /// Keeps a file block, in place of one not used lately. Whoever comes second with the same block keeps nothing.
    pub(super) fn insert(&self, inum: Inum, key: Key, content: Buffer) {
        let table = &mut *self.table.borrow_mut();
        let same =
            |page: u32| table.pages[page as usize].as_ref().is_some_and(|page| page.inum == inum && page.key == key);
        if table.index.find(hash(inum, key), same).is_some() {
            return;
        }
        let place = table.make_room();
        table.pages[place] = Some(Page { inum, key, content, recent: true });
        table.index.insert(hash(inum, key), place as u32);
    }
}

impl Table {
    fn make_room(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.pages.len();
            match &mut self.pages[place] {
                None => return place,
                Some(page) if page.recent => page.recent = false,
                Some(page) => {
                    let home = hash(page.inum, page.key);
                    let pages = &self.pages;
                    let hash_of =
                        |other: u32| pages[other as usize].as_ref().map_or(0, |page| hash(page.inum, page.key));
                    self.index.remove(home, place as u32, hash_of);
                    self.pages[place] = None;
                    return place;
                }
            }
        }
    }
}
