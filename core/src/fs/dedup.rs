//! Live deduplication: a block that is about to be written, and equal to one that was written lately, shares that one's place
//! (format 9.5). Off unless it is asked for.
//!
//! A table remembers where blocks were written lately, by their check codes: in which file, and at which offset. What it says is
//! a hint: the file may be gone by then, or hold something else. So what is there now is read and compared, byte by byte, and
//! only what the file system leads to at this moment is shared. So nothing has to be forgotten when a place is given back, and
//! each node of a cluster shares the block it has, by the [same modification](crate::cluster::Modification::CloneBlocks) as a
//! clone.

use core::cell::{Cell, RefCell};

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Command, FileBlock, Reply, Sharing, StoredBlock};
use crate::media::geometry::{CHUNK_BYTES, FILE_BLOCK_BYTES};
use crate::media::{CheckMethod, Inum, Key, KeyRange};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// Memory of an entry's share of the index, at most.
const INDEX_BYTES: usize = 32;

/// Where a block was written, and what stands for its content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Written {
    print: u64,
    inum: Inum,
    key: Key,
}

/// Nothing was written to this inode: there is none.
const NOTHING: Written = Written { print: 0, inum: Inum(0), key: Key(0) };

/// Blocks written lately: as many as there is memory for, the oldest forgotten first.
struct Recent {
    written: Vec<Written>,
    index: HashIndex,
    /// The oldest.
    next: usize,
}

impl Recent {
    fn new(heap: Heap, bytes: usize) -> Result<Self, NoMemory> {
        let count = (bytes / (size_of::<Written>() + INDEX_BYTES)).max(1);
        let written = memory::filled(heap, count, || NOTHING)?;
        Ok(Self { written, index: HashIndex::new(heap, count)?, next: 0 })
    }

    fn place_of(&self, print: u64) -> Option<usize> {
        self.index.find(print, |at| self.written[at as usize].print == print).map(|at| at as usize)
    }

    fn find(&self, print: u64) -> Option<(Inum, Key)> {
        self.place_of(print).map(|at| (self.written[at].inum, self.written[at].key))
    }

    /// Notes where a block was written last that has this print.
    fn note(&mut self, print: u64, inum: Inum, key: Key) {
        let new = Written { print, inum, key };
        if let Some(at) = self.place_of(print) {
            self.written[at] = new;
            return;
        }
        let at = self.next;
        self.next = (at + 1) % self.written.len();
        let oldest = core::mem::replace(&mut self.written[at], new);
        if oldest != NOTHING {
            self.index.remove(oldest.print, at as u32);
        }
        self.index.insert(print, at as u32);
    }

    fn forget(&mut self, print: u64) {
        if let Some(at) = self.place_of(print) {
            self.index.remove(print, at as u32);
            self.written[at] = NOTHING;
        }
    }
}

/// What a mount remembers of blocks that it wrote, if it was asked to.
#[derive(Default)]
pub(super) struct Dedup {
    recent: RefCell<Option<Recent>>,
    shared_bytes: Cell<u64>,
}

impl Dedup {
    /// What stands for a block's content; none for one that isn't shared: it is too small, or has no check code.
    fn print_of(&self, block: &StoredBlock) -> Option<u64> {
        let is_on = self.recent.borrow().is_some();
        let is_checked = !matches!(block.methods.check(), Ok(CheckMethod::None | CheckMethod::Disabled) | Err(_));
        (is_on && is_checked && block.buffer.len() >= CHUNK_BYTES as usize).then(|| {
            let code = u64::from_le_bytes(core::array::from_fn(|at| block.check[at]));
            let kind = u64::from(block.methods.0) << 32 | block.buffer.len() as u64;
            (code.rotate_left(23) ^ kind).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    fn find(&self, print: u64) -> Option<(Inum, Key)> {
        self.recent.borrow().as_ref().and_then(|recent| recent.find(print))
    }

    fn forget(&self, print: u64) {
        self.recent.borrow_mut().iter_mut().for_each(|recent| recent.forget(print));
    }
}

/// An equal block that is stored already, in a file that stays open as long as this lives.
pub(super) struct Equal<'f> {
    file: InodeRef<'f>,
    key: Key,
}

impl Equal<'_> {
    /// What gives a file that block at an offset.
    pub(super) fn shared_with(&self, to: &InodeRef<'_>, key: Key) -> Sharing {
        let range = KeyRange { first: self.key, last: Key(self.key.0 + BLOCK - 1) };
        Sharing { from: self.file.slot, range, to: to.slot, first: key }
    }
}

impl FileSystem {
    /// Has blocks that are written from now on share the places of equal ones that were written lately, as far as a table of
    /// `memory_bytes` remembers them: some 56 bytes for each. With 0 that ends. The memory is taken at once.
    pub fn set_dedup(&self, memory_bytes: usize) -> Result<(), Error> {
        let dedup = &self.writing()?.dedup;
        // The old one's memory is given back first.
        dedup.recent.replace(None);
        if memory_bytes > 0 {
            dedup.recent.replace(Some(Recent::new(self.heap, memory_bytes)?));
        }
        Ok(())
    }

    /// Bytes of blocks that weren't written, because equal ones were there.
    pub fn deduplicated_bytes(&self) -> u64 {
        self.writing.as_ref().map_or(0, |writing| writing.dedup.shared_bytes.get())
    }

    /// A block of another file, or elsewhere in the same, that is equal to one that is about to be written.
    pub(super) async fn equal_block(
        &self,
        to: &InodeRef<'_>,
        key: Key,
        block: &StoredBlock,
        print: u64,
    ) -> Option<Equal<'_>> {
        let dedup = &self.writing.as_ref()?.dedup;
        let (inum, other) = dedup.find(print).filter(|place| *place != (to.inum, key))?;
        let Ok(file) = self.inode(inum).await else {
            dedup.forget(print);
            return None;
        };
        let read = self.cluster.execute(Command::ReadBlock { file: file.slot, key: other }).await;
        let mut is_equal = false;
        if let Ok(Reply::Block(FileBlock::Stored { buffer, compression })) = read {
            is_equal = block.methods.compression() == Ok(compression) && buffer.bytes() == block.buffer.bytes();
            self.cluster.give_back(buffer);
        }
        if !is_equal {
            dedup.forget(print);
            return None;
        }
        Some(Equal { file, key: other })
    }

    /// Notes where a block was written, or one was shared.
    pub(super) fn note_written(&self, inode: &InodeRef<'_>, key: Key, print: Option<u64>, is_shared: bool, bytes: u64) {
        let (Some(writing), Some(print)) = (&self.writing, print) else { return };
        if is_shared {
            let shared = &writing.dedup.shared_bytes;
            shared.set(shared.get() + bytes);
        } else if let Some(recent) = &mut *writing.dedup.recent.borrow_mut() {
            recent.note(print, inode.inum, key);
        }
    }

    /// What stands for a block's content, if it is to be remembered.
    pub(super) fn print_of(&self, block: &StoredBlock) -> Option<u64> {
        self.writing.as_ref()?.dedup.print_of(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut recent = Recent::new(HEAP, 4 * (size_of::<Written>() + INDEX_BYTES)).unwrap();
        let place = |number: u64| (Inum(number), Key(number * BLOCK));
        for number in 1..=4 {
            recent.note(number * 1000, place(number).0, place(number).1);
        }
        assert_eq!([1, 2, 3, 4, 5].map(|number| recent.find(number * 1000).is_some()), [true, true, true, true, false]);
        recent.note(2000, place(9).0, place(9).1);
        assert_eq!(recent.find(2000), Some(place(9)), "where it was written last");
        recent.note(5000, place(5).0, place(5).1);
        assert_eq!([1, 2, 5].map(|number| recent.find(number * 1000)), [None, Some(place(9)), Some(place(5))]);
        recent.forget(3000);
        recent.forget(3000);
        assert_eq!(recent.find(3000), None);
        (6..100).for_each(|number| recent.note(number * 1000, place(number).0, place(number).1));
        let found: alloc::vec::Vec<u64> = (1..100).filter(|number| recent.find(number * 1000).is_some()).collect();
        assert_eq!(found, [96, 97, 98, 99]);
    }
}
