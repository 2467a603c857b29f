//! Metadata blocks that were written last.
//!
//! The blocks that a commit writes at its end, the roots and the freemap, are changed again by the next commit, which therefore
//! needn't read them. And if a freemap leaf becomes unreadable, the blocks below the header in force show what of it is in use,
//! but not what was allocated since, and nothing at all where one of those blocks is bad, too. The node that wrote the leaf still
//! knows its content from here.

use super::frames::Tag;
use crate::media::{Blockref, Key, KeyBits};
use crate::memory::{Heap, Vec, push};

/// The blocks that were written last, the oldest first, as many as there is memory for.
pub(super) struct WrittenBlocks {
    blocks: Vec<Written>,
    bytes: usize,
    most_blocks: usize,
    most_bytes: usize,
}

struct Written {
    tag: Tag,
    span: (Key, KeyBits),
    content: Vec<u8>,
}

impl WrittenBlocks {
    /// Makes an empty set for at most this many blocks and bytes.
    pub(super) fn new(heap: Heap, most_blocks: usize, most_bytes: usize) -> Self {
        Self { blocks: Vec::new_in(heap), bytes: 0, most_blocks, most_bytes }
    }

    /// Keeps the block that `bref` leads to, in place of its last version, if there is memory for it.
    pub(super) fn keep(&mut self, bref: &Blockref, content: Vec<u8>) {
        let span = (bref.key(), bref.keybits());
        if let Some(last) = self.blocks.iter().position(|block| block.span == span && block.is_like(&content)) {
            self.remove(last);
        }
        let bytes = content.len();
        while !self.blocks.is_empty() && (self.blocks.len() >= self.most_blocks || self.bytes + bytes > self.most_bytes)
        {
            self.remove(0);
        }
        if bytes <= self.most_bytes && push(&mut self.blocks, Written { tag: Tag::of(bref), span, content }).is_ok() {
            self.bytes += bytes;
        }
    }

    /// The block that `bref` leads to, if it is kept.
    pub(super) fn get(&self, bref: &Blockref) -> Option<&[u8]> {
        self.find(bref).map(|index| &self.blocks[index].content[..])
    }

    /// Takes out the block that `bref` leads to, if it is kept.
    pub(super) fn take(&mut self, bref: &Blockref) -> Option<Vec<u8>> {
        self.find(bref).map(|index| self.remove(index))
    }

    fn find(&self, bref: &Blockref) -> Option<usize> {
        if self.blocks.is_empty() {
            return None;
        }
        let tag = Tag::of(bref);
        self.blocks.iter().rposition(|block| block.tag == tag)
    }

    fn remove(&mut self, index: usize) -> Vec<u8> {
        let Written { content, .. } = self.blocks.remove(index);
        self.bytes -= content.len();
        content
    }

    /// Forgets all blocks.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
    }
}

impl Written {
    /// True if the block has the same size as `content`, so that with the same span one may be an older version of the other.
    fn is_like(&self, content: &[u8]) -> bool {
        self.content.len() == content.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;
    use crate::media::{BlockKind, CheckMethod, Compression, DataOff, MediaOffset, Methods, Radix};
    use crate::memory::zeroed;

    fn bref(key: u64, offset: u64) -> Blockref {
        let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
        let mut bref = Blockref::new(BlockKind::Inode, Key(key), KeyBits(0), methods);
        bref.set_data_off(DataOff::new(MediaOffset(offset), Radix::MIN));
        bref
    }

    fn keep(written: &mut WrittenBlocks, key: u64, offset: u64) {
        written.keep(&bref(key, offset), zeroed(HEAP, 1024).unwrap());
    }

    #[test]
    fn the_oldest_go_first_and_a_newer_version_takes_the_place_of_the_last() {
        let mut written = WrittenBlocks::new(HEAP, 3, 3 << 10);
        for key in 1..=3 {
            keep(&mut written, key, key << 20);
        }
        keep(&mut written, 2, 9 << 20);
        assert!(written.get(&bref(2, 2 << 20)).is_none(), "there is a newer version");
        keep(&mut written, 4, 4 << 20);
        assert!(written.get(&bref(1, 1 << 20)).is_none(), "it was the oldest");
        for (key, offset) in [(2, 9), (3, 3), (4, 4)] {
            assert!(written.take(&bref(key, offset << 20)).is_some(), "block {key}");
            assert!(written.take(&bref(key, offset << 20)).is_none(), "block {key} was taken");
        }
        assert_eq!(written.bytes, 0);
    }

    #[test]
    fn no_more_memory_is_taken_than_is_given() {
        let mut written = WrittenBlocks::new(HEAP, 16, 2 << 10);
        for key in 1..=10 {
            keep(&mut written, key, key << 20);
            assert!(written.bytes <= 2 << 10);
        }
        written.keep(&bref(11, 11 << 20), zeroed(HEAP, 4096).unwrap());
        assert!(written.get(&bref(11, 11 << 20)).is_none(), "it is too large");
    }
}
