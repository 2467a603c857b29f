//! Freemap blocks as they were written last, in case they go bad.
//!
//! What is in use of a leaf that can't be read is told by the blocks that the header in force leads to. Those don't know what was
//! allocated since; nor do they tell anything where one of them is bad, too. Who wrote the leaf knows it.

use crate::media::Blockref;
use crate::memory::{Heap, Vec, push};

/// So many blocks are kept, a quarter of a mebibyte. A leaf describes a gibibyte, and room is given from one leaf after the
/// other: a flush writes more only after bulkfree.
const MOST_KEPT: usize = 8;

/// The blocks that were written last, the oldest first.
pub(crate) struct KeptBlocks(Vec<(Blockref, Vec<u8>)>);

impl KeptBlocks {
    /// None so far.
    pub(crate) fn new(heap: Heap) -> Self {
        Self(Vec::new_in(heap))
    }

    /// Keeps the block that `bref` leads to, instead of its last version, if there is memory for it.
    pub(crate) fn keep(&mut self, bref: Blockref, content: Vec<u8>) {
        let is_another = |kept: &Blockref| (kept.key(), kept.keybits()) != (bref.key(), bref.keybits());
        self.0.retain(|(kept, _)| is_another(kept));
        if self.0.len() == MOST_KEPT {
            self.0.remove(0);
        }
        let _ = push(&mut self.0, (bref, content));
    }

    /// The block that `bref` leads to, if it is kept; it isn't any more.
    pub(crate) fn take(&mut self, bref: &Blockref) -> Option<Vec<u8>> {
        let index = self.0.iter().position(|(kept, _)| kept == bref)?;
        Some(self.0.remove(index).1)
    }

    /// Keeps nothing any more.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
