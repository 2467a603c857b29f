//! Walks over trees that may be broken anywhere.

use super::Rescue;
use crate::chain::{self, Cursor, Holder, Source, Trust, load_missing};
use crate::io::ReadError;
use crate::media::volume_header::Blockset;
use crate::media::{BlockArray, BlockName, Blockref, Key, KeyRange};
use crate::memory::NoMemory;

/// A part of a tree that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The keys that are lost.
    pub keys: KeyRange,
    /// The damaged block.
    pub block: BlockName,
    /// What is wrong with it.
    pub error: ReadError,
}

/// What one step of a walk finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A leaf: an inode, a name or a block of data.
    Leaf(Blockref),
    /// Something is lost here.
    Gap(Gap),
}

/// A walk over the leaves of a tree in the order of their keys. It is small, and holds no blocks between two steps.
#[derive(Clone)]
pub struct Walk {
    root: Blockset,
    cursor: Cursor,
}

impl Walk {
    /// A walk over the keys in `range` below `root`.
    pub fn new(root: Blockset, range: KeyRange) -> Self {
        Self { root, cursor: Cursor::new(range) }
    }

    /// The next step; none at the end.
    pub async fn next(&mut self, rescue: &Rescue) -> Result<Option<Step>, NoMemory> {
        let Self { root, cursor } = self;
        let source = Source::on_media(&rescue.blocks);
        let array = BlockArray::of(root, KeyRange::ALL);
        let holder = Holder { block: BlockName::HEADER, array, trust: Trust::Unchecked };
        match load_missing(&rescue.blocks, || chain::find(source, holder, cursor)).await {
            Ok(leaf) => Ok(leaf.map(Step::Leaf)),
            Err(chain::ChainError { error: ReadError::NoMemory, .. }) => Err(NoMemory),
            Err(chain::ChainError { block, error, through }) => {
                let first = cursor.remaining.map_or(Key(0), |range| range.first);
                let last = cursor.remaining.map_or(through, |range| range.last.min(through));
                cursor.skip_through(through);
                Ok(Some(Step::Gap(Gap { keys: KeyRange { first: first.max(block.key), last }, block, error })))
            }
        }
    }
}
