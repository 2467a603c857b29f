//! One node's topology: the trees of blockrefs below an inode or the volume header (format 4).
//!
//! Everything here is synchronous and works on blocks that are in memory. When one is missing, the work ends with
//! [`Stop::Missing`]; the caller loads the block and repeats the work ([`load_missing`]). So nothing is ever half done across an
//! await, and no borrow is held over one.

mod arena;
mod insert;
mod occupied;
mod packed;
mod remove;
mod split;
#[cfg(test)]
mod tests;
mod topology;
mod walk;

pub(crate) use arena::{Arena, Chain, ChainId, Container};
pub(crate) use insert::Inserted;
pub(crate) use topology::{Manner, Topology};
pub use walk::{Cursor, Holder, Source, Trust, find, scan};
pub(crate) use walk::{scan_changed, trace};

use crate::io::{Block, BlockCache, ReadError};
use crate::media::{BlockName, Blockref, Corruption, DataOff, Key};

/// How deep indirect blocks may be nested. Real trees need six levels; a loop would have no end.
pub const MAX_DEPTH: usize = 32;

/// Modified chains on the way down, each with the index of the entry to go on at; no longer than trees are deep.
pub(crate) type ModifiedPath = heapless::Vec<(Container, usize), { MAX_DEPTH + 4 }>;

/// Why topology work can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This block isn't in memory.
    Missing(Blockref),
    /// Modified blocks fill the memory allowed for them: they must be written first.
    Full,
    /// Something is wrong on media.
    Failed(ChainError),
}

/// A part of the topology that can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// The block.
    pub block: BlockName,
    /// What happened.
    pub error: ReadError,
    /// The last key that is lost with it; what lies beyond may be readable.
    pub through: Key,
}

impl ChainError {
    /// A block that can't be used.
    pub fn new(bref: &Blockref, error: ReadError) -> Self {
        let through = bref.span().map_or(bref.key(), |span| span.last);
        Self { block: bref.name(), error, through }
    }

    /// A block whose content is invalid.
    pub fn corrupt(bref: &Blockref, corruption: Corruption) -> Self {
        Self::new(bref, ReadError::Corrupt(corruption))
    }
}

/// The blocks loaded for one piece of work. They stay in memory until it is done, so that it gets on however small the cache is.
#[derive(Default)]
pub(crate) struct Held<'b>(heapless::Vec<(DataOff, Block<'b>), MAX_DEPTH>);

impl<'b> Held<'b> {
    /// Checks a block that is missing. If it is missing although it is held, two blockrefs that don't agree on it ask for it:
    /// that is a loop, or damage, and loading would never end.
    pub(crate) fn check(&self, missing: &Blockref) -> Result<(), ChainError> {
        let is_held = self.0.iter().any(|(place, _)| *place == missing.data_off());
        if is_held { Err(ChainError::corrupt(missing, Corruption::TooDeep)) } else { Ok(()) }
    }

    /// Holds a block that was loaded.
    pub(crate) fn keep(&mut self, bref: &Blockref, block: Block<'b>) {
        // More than MAX_DEPTH blocks are held only in a long scan, and the oldest are behind it.
        if self.0.is_full() {
            self.0.remove(0);
        }
        let _ = self.0.push((bref.data_off(), block));
    }

    /// Releases all blocks.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Does `work` on blocks in memory, loading those it finds missing and holding them in memory, until it is done.
pub async fn load_missing<T>(blocks: &BlockCache, work: impl FnMut() -> Result<T, Stop>) -> Result<T, ChainError> {
    load_missing_by(async |bref| blocks.load(bref).await.map_err(|error| ChainError::new(bref, error)), work).await
}

/// Does the same with another way of loading a block.
pub(crate) async fn load_missing_by<'b, T>(
    load: impl AsyncFn(&Blockref) -> Result<Block<'b>, ChainError>,
    mut work: impl FnMut() -> Result<T, Stop>,
) -> Result<T, ChainError> {
    let mut held = Held::default();
    loop {
        let missing = match work() {
            Ok(done) => return Ok(done),
            Err(Stop::Failed(error)) => return Err(error),
            // Only modifications stop for this, and they handle it themselves.
            Err(Stop::Full) => return Err(ChainError::new(&Blockref::EMPTY, ReadError::NoMemory)),
            Err(Stop::Missing(bref)) => bref,
        };
        held.check(&missing)?;
        held.keep(&missing, load(&missing).await?);
    }
}
