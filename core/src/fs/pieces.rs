//! Pieces of file blocks that were written while the blocks weren't in memory.
//!
//! A program that writes a little here and there in a large file changes blocks that memory has no room for: each would be read
//! for one piece of it, and soon be written again to make room for the next. So only the written pieces are kept. A block is
//! read, changed and written once for all its pieces when somebody reads it, when memory is short, or at a sync.

use core::convert::identity;

use super::dirty_places::DirtyPlaces;
use super::tally::Tally;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Inum, Key, KeyRange};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

/// The size of a piece in bytes; its offset is a multiple of this.
pub(super) const PIECE_BYTES: usize = 4096;

/// The number of pieces in a block.
const PER_BLOCK: usize = FILE_BLOCK_BYTES / PIECE_BYTES;

struct Piece {
    inum: Inum,
    /// Its offset in the file.
    at: u64,
    content: Vec<u8>,
}

/// The pieces of all files.
pub(super) struct Pieces {
    pieces: Vec<Option<Piece>>,
    index: HashIndex,
    /// Places that hold a piece.
    used: DirtyPlaces,
    /// The number of pieces of each file.
    tally: Tally,
    free: Vec<u32>,
    hand: usize,
    /// The number of blocks that have pieces.
    blocks: usize,
    heap: Heap,
}

fn hash(inum: Inum, at: u64) -> u64 {
    inum.0.rotate_left(32) ^ at >> PIECE_BYTES.trailing_zeros()
}

/// The block that an offset is in.
fn block_of(at: u64) -> Key {
    Key(at - at % FILE_BLOCK_BYTES as u64)
}

impl Pieces {
    /// Makes room for as many pieces as fit into the memory of `blocks` blocks.
    pub(super) fn new(heap: Heap, blocks: usize) -> Result<Self, NoMemory> {
        let count = blocks * PER_BLOCK;
        Ok(Self {
            pieces: memory::filled(heap, count, || None)?,
            index: HashIndex::new(heap, count)?,
            used: DirtyPlaces::new(heap, count)?,
            tally: Tally::new(heap, count)?,
            free: memory::free_places(heap, count, identity)?,
            hand: 0,
            blocks: 0,
            heap,
        })
    }

    /// True for a part of a block that consists of whole pieces.
    pub(super) fn is_whole(start: usize, bytes: usize) -> bool {
        start.is_multiple_of(PIECE_BYTES) && bytes.is_multiple_of(PIECE_BYTES)
    }

    /// How many blocks have pieces.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The memory that the pieces take when there are `more` of them, in blocks.
    pub(super) fn memory_blocks(&self, more: usize) -> usize {
        (self.used.count() + more).div_ceil(PER_BLOCK)
    }

    /// How many pieces `bytes` bytes at `at` add to those that are kept; none if there is no room for them.
    pub(super) fn missing(&self, inum: Inum, at: u64, bytes: usize) -> Option<usize> {
        let missing = offsets(at, bytes).filter(|at| self.find(inum, *at).is_none()).count();
        (missing <= self.free.len()).then_some(missing)
    }

    /// Keeps pieces of one block. There must be room for those that are [missing](Self::missing). When memory runs out, the
    /// pieces before that point are kept.
    pub(super) fn put(&mut self, inum: Inum, at: u64, data: &[u8]) -> Result<(), NoMemory> {
        for (at, data) in offsets(at, data.len()).zip(data.chunks_exact(PIECE_BYTES)) {
            if let Some(piece) = self.find(inum, at).and_then(|place| self.pieces[place].as_mut()) {
                piece.content.copy_from_slice(data);
                continue;
            }
            let mut content = Vec::new_in(self.heap);
            memory::extend(&mut content, data)?;
            let is_first = !self.has(inum, block_of(at));
            let Some(place) = self.free.pop() else { return Err(NoMemory) };
            self.pieces[place as usize] = Some(Piece { inum, at, content });
            self.index.insert(hash(inum, at), place);
            self.used.insert(place as usize);
            self.tally.add(inum);
            self.blocks += usize::from(is_first);
        }
        Ok(())
    }

    /// True when a block has pieces.
    pub(super) fn has(&self, inum: Inum, key: Key) -> bool {
        self.blocks > 0 && offsets(key.0, FILE_BLOCK_BYTES).any(|at| self.find(inum, at).is_some())
    }

    /// Copies from a block to `out`, from byte `start` on, if the pieces cover all of that.
    pub(super) fn copy_out(&self, inum: Inum, key: Key, start: usize, out: &mut [u8]) -> bool {
        let (from, to) = (key.0 + start as u64, key.0 + (start + out.len()) as u64);
        let first = from - from % PIECE_BYTES as u64;
        let is_there = |at| self.find(inum, at).is_some();
        let has_all = self.blocks > 0 && offsets(first, (to - first) as usize).all(is_there);
        if has_all {
            self.lay_over(inum, key, start, out);
        }
        has_all
    }

    /// Lays the pieces of a block over a part of it that begins at byte `start`.
    pub(super) fn lay_over(&self, inum: Inum, key: Key, start: usize, part: &mut [u8]) {
        if self.blocks == 0 {
            return;
        }
        let (from, to) = (key.0 + start as u64, key.0 + (start + part.len()) as u64);
        for piece in offsets(key.0, FILE_BLOCK_BYTES).filter_map(|at| self.pieces[self.find(inum, at)?].as_ref()) {
            let (first, end) = (piece.at.max(from), (piece.at + PIECE_BYTES as u64).min(to));
            if first < end {
                let within = &piece.content[(first - piece.at) as usize..(end - piece.at) as usize];
                part[(first - from) as usize..(end - from) as usize].copy_from_slice(within);
            }
        }
    }

    /// Forgets the pieces of a block; true when there were any.
    pub(super) fn forget_block(&mut self, inum: Inum, key: Key) -> bool {
        let mut count = 0;
        for at in offsets(key.0, FILE_BLOCK_BYTES) {
            if let Some(place) = self.find(inum, at) {
                self.index.remove(hash(inum, at), place as u32);
                self.pieces[place] = None;
                self.used.remove(place);
                self.tally.remove(inum);
                // There is room for all places.
                self.free.push(place as u32);
                count += 1;
            }
        }
        self.blocks -= usize::from(count > 0);
        count > 0
    }

    /// Forgets the pieces of a file's blocks in a range.
    pub(super) fn forget_within(&mut self, inum: Inum, range: KeyRange) {
        let mut end = if self.tally.of(inum) > 0 { self.used.count() } else { 0 };
        while let Some((position, place)) = self.used.before(end) {
            end = position;
            let block = self.pieces[place].as_ref().filter(|piece| piece.inum == inum).map(|piece| block_of(piece.at));
            if let Some(key) = block.filter(|key| range.contains(KeyRange::only(*key))) {
                self.forget_block(inum, key);
            }
        }
    }

    /// The bytes of a file's pieces.
    pub(super) fn bytes_of(&self, inum: Inum) -> u64 {
        (self.tally.of(inum) * PIECE_BYTES) as u64
    }

    /// Gathers the blocks of one file, or of all, that have pieces, to be taken file by file and in order.
    pub(super) fn gather(&mut self, of: Option<Inum>) {
        let Self { pieces, used, .. } = self;
        used.gather(|place| {
            let piece = pieces[place].as_ref().filter(|piece| of.is_none_or(|of| of == piece.inum))?;
            Some((piece.inum, piece.at))
        });
    }

    /// The next gathered block that still has pieces.
    pub(super) fn next_gathered(&mut self) -> Option<(Inum, Key)> {
        let place = self.used.next_gathered()?;
        self.pieces[place].as_ref().map(|piece| (piece.inum, block_of(piece.at)))
    }

    /// A block whose pieces should be written to make room for others.
    pub(super) fn oldest(&mut self) -> Option<(Inum, Key)> {
        for _ in 0..self.pieces.len() {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.pieces.len();
            if let Some(piece) = &self.pieces[place] {
                return Some((piece.inum, block_of(piece.at)));
            }
        }
        None
    }

    fn find(&self, inum: Inum, at: u64) -> Option<usize> {
        let is_it =
            |place: u32| self.pieces[place as usize].as_ref().is_some_and(|piece| piece.inum == inum && piece.at == at);
        self.index.find(hash(inum, at), is_it).map(|place| place as usize)
    }
}

/// The offsets of the pieces of `bytes` bytes at `at`.
fn offsets(at: u64, bytes: usize) -> impl Iterator<Item = u64> {
    (0..bytes as u64).step_by(PIECE_BYTES).map(move |within| at + within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    const FILE: Inum = Inum(1024);
    const BLOCK: u64 = FILE_BLOCK_BYTES as u64;
    const PIECE: u64 = PIECE_BYTES as u64;

    #[test]
    fn pieces_lie_over_their_block_and_only_over_that() {
        let mut pieces = Pieces::new(HEAP, 1).unwrap();
        pieces.put(FILE, BLOCK + 2 * PIECE, &[7; 2 * PIECE_BYTES]).unwrap();
        pieces.put(FILE, BLOCK + 3 * PIECE, &[8; PIECE_BYTES]).unwrap();
        let mut block = [1; FILE_BLOCK_BYTES];
        pieces.lay_over(FILE, Key(BLOCK), 0, &mut block);
        let expected = |at: usize| match at / PIECE_BYTES {
            2 => 7,
            3 => 8,
            _ => 1,
        };
        assert!((0..block.len()).all(|at| block[at] == expected(at)));
        let mut part = [0; 100];
        assert!(pieces.copy_out(FILE, Key(BLOCK), 3 * PIECE_BYTES - 50, &mut part));
        assert_eq!((part[49], part[50]), (7, 8));
        assert!(!pieces.copy_out(FILE, Key(BLOCK), 4 * PIECE_BYTES - 50, &mut part), "not all of it is there");
        assert!(!pieces.copy_out(FILE, Key(0), 2 * PIECE_BYTES, &mut part), "that is another block");
        assert!(!pieces.copy_out(Inum(7), Key(BLOCK), 2 * PIECE_BYTES, &mut part), "that is another file");
    }

    #[test]
    fn blocks_are_counted_once_and_gathered_in_order_until_they_are_forgotten() {
        let mut pieces = Pieces::new(HEAP, 2).unwrap();
        for (block, piece) in [(3, 1), (0, 5), (3, 0), (1, 15)] {
            pieces.put(FILE, block * BLOCK + piece * PIECE, &[1; PIECE_BYTES]).unwrap();
        }
        assert_eq!((pieces.blocks(), pieces.memory_blocks(0), pieces.bytes_of(FILE)), (3, 1, 4 * PIECE));
        pieces.gather(Some(FILE));
        for expected in [0, BLOCK, 3 * BLOCK] {
            assert_eq!(pieces.next_gathered(), Some((FILE, Key(expected))));
            assert!(pieces.forget_block(FILE, Key(expected)) && !pieces.forget_block(FILE, Key(expected)));
        }
        assert_eq!((pieces.next_gathered(), pieces.blocks(), pieces.oldest()), (None, 0, None));
    }

    #[test]
    fn a_range_is_forgotten_and_the_rest_stays() {
        let mut pieces = Pieces::new(HEAP, 1).unwrap();
        (0..4).for_each(|block| pieces.put(FILE, block * BLOCK, &[1; PIECE_BYTES]).unwrap());
        pieces.put(Inum(7), BLOCK, &[1; PIECE_BYTES]).unwrap();
        pieces.forget_within(FILE, KeyRange { first: Key(BLOCK), last: Key(3 * BLOCK - 1) });
        let left = [0, 1, 2, 3].map(|block| pieces.has(FILE, Key(block * BLOCK)));
        assert_eq!((left, pieces.blocks()), ([true, false, false, true], 3));
    }

    #[test]
    fn what_finds_no_room_is_refused_and_what_is_there_needs_none() {
        let mut pieces = Pieces::new(HEAP, 1).unwrap();
        pieces.put(FILE, 0, &[1; FILE_BLOCK_BYTES]).unwrap();
        assert_eq!(pieces.missing(FILE, BLOCK, PIECE_BYTES), None);
        assert_eq!(pieces.missing(FILE, PIECE, 2 * PIECE_BYTES), Some(0));
        let none = Pieces::new(HEAP, 0).unwrap();
        assert_eq!(none.missing(FILE, 0, PIECE_BYTES), None);
        assert!(!none.has(FILE, Key(0)) && !none.copy_out(FILE, Key(0), 0, &mut [0]));
    }
}
