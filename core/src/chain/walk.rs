//! Lookup and iteration through indirect blocks (spec 4.2).

use core::ops::ControlFlow;

use super::{ChainError, MAX_DEPTH, Stop};
use crate::io::{BlockCache, ReadError};
use crate::media::{BlockArray, BlockKind, BlockName, Blockref, Corruption, KeyRange};

/// An array and what it is in.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// The block the array is in.
    pub block: BlockName,
    /// The array.
    pub array: BlockArray<'a>,
    /// The array was checked: all entries are in order and in place.
    pub sound: bool,
}

/// The first leaf below `root` whose span reaches into `range`.
pub fn find(blocks: &BlockCache, root: Holder<'_>, range: KeyRange) -> Result<Option<Blockref>, Stop> {
    let mut found = None;
    scan(blocks, root, range, &mut |leaf| {
        found = Some(*leaf);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Shows `visit` every leaf below `root` whose span reaches into `range`, in ascending order, until it has enough. After a
/// [`Stop`] the leaves already shown are shown again, unless the caller narrows the range.
pub fn scan(
    blocks: &BlockCache,
    root: Holder<'_>,
    range: KeyRange,
    visit: &mut dyn FnMut(&Blockref) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Stop> {
    Walk { blocks, range, visit }.array(root, 0)
}

struct Walk<'w> {
    blocks: &'w BlockCache,
    range: KeyRange,
    visit: &'w mut dyn FnMut(&Blockref) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn array(&mut self, holder: Holder<'_>, depth: usize) -> Result<ControlFlow<()>, Stop> {
        let Holder { block, array, sound } = holder;
        // An array out of order: nothing in it can be relied on from here to its end.
        let failed = |corruption| {
            Stop::Failed(ChainError { block, error: ReadError::Corrupt(corruption), through: array.span().last })
        };
        let first = self.range.first;
        let start = if sound { array.first_reaching_sound(first) } else { array.first_reaching(0, first) };
        let Some((start, _)) = start.map_err(failed)? else { return Ok(ControlFlow::Continue(())) };
        let mut previous = None;
        for entry in array.entries()[start..].iter().filter(|entry| !entry.is_empty()) {
            if entry.key() > self.range.last {
                break;
            }
            if !sound {
                previous = Some(array.check_entry(previous, entry).map_err(failed)?);
            }
            if self.entry(entry, depth)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn entry(&mut self, entry: &Blockref, depth: usize) -> Result<ControlFlow<()>, Stop> {
        let failed = |corruption| Stop::Failed(ChainError::corrupt(entry, corruption));
        if entry.kind().map_err(failed)? != BlockKind::Indirect {
            return Ok((self.visit)(entry));
        }
        if depth == MAX_DEPTH {
            return Err(failed(Corruption::TooDeep));
        }
        let block = self.blocks.get(entry).ok_or(Stop::Missing(*entry))?;
        let bytes = block.bytes();
        let array = BlockArray::new(&bytes, entry.span().map_err(failed)?);
        self.array(Holder { block: entry.name(), array, sound: block.is_sound_array() }, depth + 1)
    }
}
