//! A walk over the raw blocks of a node, below the filesystem.
//! The walk keeps its own stack. Entries that are out of order, or whose block can't be read, are shown with their fault and not
//! followed, so it ends whatever a disk says.

use hammer2_core::chain::MAX_DEPTH;
use hammer2_core::io::{BlockCache, ReadError};
use hammer2_core::media::{BlockArray, BlockKind, Blockref, Corruption, Inode, Inum, KeyRange};

/// The super-root, a PFS root and an inode of its index: no inode is deeper.
const MAX_INODES_ABOVE: usize = 3;

/// A walk over a tree of blockrefs.
pub(super) struct Topology<'n> {
    blocks: &'n BlockCache,
    levels: Vec<Level>,
}

/// An array and how far it was walked.
struct Level {
    entries: Vec<Blockref>,
    next: usize,
    span: KeyRange,
    previous: Option<KeyRange>,
    /// Indirect blocks between this array and the inode or header above.
    indirects_above: usize,
    /// Inodes above this array.
    inodes_above: usize,
}

/// An entry of an array.
pub(super) struct Step {
    pub(super) bref: Blockref,
    /// Arrays above it.
    pub(super) depth: usize,
    /// Inodes above it: 0 for the super-root, 1 for a PFS root.
    pub(super) inodes_above: usize,
    /// The block, except for data; empty when there is none.
    pub(super) block: Vec<u8>,
    /// What is wrong with it, so that nothing below it is walked.
    pub(super) trouble: Option<String>,
}

impl<'n> Topology<'n> {
    /// A walk over everything below a set of the volume header.
    pub(super) fn new(blocks: &'n BlockCache, set: &[Blockref]) -> Self {
        let top = Level {
            entries: set.to_vec(),
            next: 0,
            span: KeyRange::ALL,
            previous: None,
            indirects_above: 0,
            inodes_above: 0,
        };
        Self { blocks, levels: vec![top] }
    }

    /// The next entry; entries below it come after it.
    pub(super) async fn next(&mut self) -> Option<Step> {
        loop {
            let depth = self.levels.len().checked_sub(1)?;
            let level = &mut self.levels[depth];
            let Some(bref) = level.entries.get(level.next).copied() else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            if bref.is_empty() {
                continue;
            }
            let mut step = Step { bref, depth, inodes_above: level.inodes_above, block: Vec::new(), trouble: None };
            if let Err(trouble) = self.look_into(&mut step).await {
                step.trouble = Some(trouble);
            }
            return Some(step);
        }
    }

    /// Skips everything below the last entry.
    pub(super) fn skip_below(&mut self, step: &Step) {
        self.levels.truncate(step.depth + 1);
    }

    /// Reads the block of an entry and enters the array in it.
    async fn look_into(&mut self, step: &mut Step) -> Result<(), String> {
        let level = &mut self.levels[step.depth];
        let corrupt = |corruption: Corruption| corruption.to_string();
        let bref = &step.bref;
        let kind = bref.kind().map_err(corrupt)?;
        let span = BlockArray::of(&[], level.span).check_entry(level.previous, bref).map_err(corrupt)?;
        level.previous = Some(span);
        let (indirects_above, inodes_above) = (level.indirects_above, level.inodes_above);
        let without_block = kind == BlockKind::Data || (kind == BlockKind::Dirent && bref.data_off().0 & 0x3f == 0);
        if without_block {
            return Ok(());
        }
        step.block = match self.blocks.load(bref).await {
            Ok(block) => block.bytes().to_vec(),
            Err(ReadError::NoMemory) => return Err("out of memory: give more with --memory".to_owned()),
            Err(ReadError::Device { device, error }) => return Err(format!("{device}: {error}")),
            Err(ReadError::Corrupt(corruption)) => return Err(corruption.to_string()),
        };
        let mut enter = |entries: &[Blockref], span, indirects_above, inodes_above| {
            let entries = entries.to_vec();
            self.levels.push(Level { entries, next: 0, span, previous: None, indirects_above, inodes_above });
        };
        match kind {
            BlockKind::Inode => {
                let inode = Inode::in_block(&step.block).map_err(corrupt)?;
                let indexed = inodes_above > 1 && !bref.key().is_visible();
                if indexed && inode.meta.inum().key() != bref.key() {
                    let (wanted, found) = (Inum(bref.key().0), inode.meta.inum());
                    return Err(Corruption::InodeNumber { wanted, found }.to_string());
                }
                if inodes_above >= MAX_INODES_ABOVE {
                    return Err("an inode inside a file or directory".to_owned());
                }
                if let Some(array) = inode.block_array() {
                    enter(array.entries(), KeyRange::ALL, 0, inodes_above + 1);
                }
            }
            BlockKind::Indirect | BlockKind::FreemapNode => {
                if indirects_above == MAX_DEPTH {
                    return Err(Corruption::TooDeep.to_string());
                }
                enter(BlockArray::new(&step.block, span).entries(), span, indirects_above + 1, inodes_above);
            }
            BlockKind::FreemapLeaf | BlockKind::Dirent | BlockKind::Data => {}
        }
        Ok(())
    }
}
