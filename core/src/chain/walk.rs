//! Lookup and iteration through indirect blocks (format 4.2).

use core::ops::ControlFlow;

use super::{ChainError, ChainId, MAX_DEPTH, Stop, Topology};
use crate::io::{BlockCache, ReadError};
use crate::media::{BlockArray, BlockKind, BlockName, Blockref, Corruption, Key, KeyRange, ModifyTid};

/// An array and the block it is in.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// The block the array is in.
    pub block: BlockName,
    /// The array.
    pub array: BlockArray<'a>,
    /// What is known of it.
    pub trust: Trust,
}

/// What is known of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: entries are checked as they are passed.
    Unchecked,
    /// All entries are in order and in place.
    Sound,
    /// It is sound, and in memory only: entries may stand for modified chains.
    Modified,
}

/// What is left of a walk. It shrinks as the walk advances, so that a walk resumed after a [`Stop`] doesn't repeat itself, and
/// needs no more blocks in memory than one path down the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The keys not seen yet; none when the walk is done.
    pub remaining: Option<KeyRange>,
}

impl Cursor {
    /// A walk over `range`.
    pub fn new(range: KeyRange) -> Self {
        Self { remaining: Some(range) }
    }

    /// Does one step of the walk; a step that fails is repeated by the next call.
    pub fn step<T, E>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let before = *self;
        work(self).inspect_err(|_| *self = before)
    }

    /// Skips all keys through `key`.
    pub fn skip_through(&mut self, key: Key) {
        self.remaining = self.remaining.and_then(|range| range.above(key));
    }
}

/// What a walk reads: blocks as they are on media, with modified ones over them.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    /// Blocks on media.
    pub blocks: &'s BlockCache,
    /// Modified blocks.
    pub(crate) topology: Option<&'s Topology>,
}

impl<'s> Source<'s> {
    /// Blocks as they are on media.
    pub fn on_media(blocks: &'s BlockCache) -> Self {
        Self { blocks, topology: None }
    }

    /// Does `work` on the array in an indirect block, or in its modified copy if there is one; `trust` is that of the array it is
    /// in.
    fn below<T>(
        self,
        entry: &Blockref,
        span: KeyRange,
        trust: Trust,
        work: impl FnOnce(Holder<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let name = entry.name();
        if let (Trust::Modified, Some(topology), Some(id)) = (trust, self.topology, ChainId::of(entry)) {
            return work(Holder { block: name, array: topology.chain(id).array(), trust: Trust::Modified });
        }
        let block = self.blocks.get(entry).ok_or(Stop::Missing(*entry))?;
        let bytes = block.bytes();
        let array = BlockArray::new(&bytes, span);
        let (array, trust) = match block.sound_entries() {
            Some(count) => (array.truncated(count), Trust::Sound),
            None => (array, Trust::Unchecked),
        };
        work(Holder { block: name, array, trust })
    }
}

/// The next leaf below `root` whose span reaches into what remains of the walk.
pub fn find(source: Source<'_>, root: Holder<'_>, cursor: &mut Cursor) -> Result<Option<Blockref>, Stop> {
    let mut found = None;
    scan(source, root, cursor, &mut |leaf| {
        found = Some(*leaf);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Calls `visit` with every leaf below `root` whose span reaches into what remains of the walk, in ascending order, until it has
/// enough. Each leaf is shown once, however often the walk stops and resumes.
pub fn scan(
    source: Source<'_>,
    root: Holder<'_>,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(&Blockref) -> ControlFlow<()>,
) -> Result<(), Stop> {
    Walk { source, cursor, since: None, visit }.array(root, 0).map(drop)
}

/// Like [`scan`], but where nothing changed below an indirect block since operation `since`, `visit` is called with that block
/// instead of its leaves.
pub(crate) fn scan_changed(
    source: Source<'_>,
    root: Holder<'_>,
    cursor: &mut Cursor,
    since: ModifyTid,
    visit: &mut dyn FnMut(&Blockref) -> ControlFlow<()>,
) -> Result<(), Stop> {
    Walk { source, cursor, since: Some(since), visit }.array(root, 0).map(drop)
}

/// The entry below `root` that leads to a block on media, if there is one; the blocks above it must be readable. A block that is
/// modified has been read since, whatever is wrong with it on media.
pub(crate) fn trace(source: Source<'_>, root: Holder<'_>, name: BlockName) -> Result<Option<Blockref>, Stop> {
    trace_from(source, root, name, 0)
}

fn trace_from(source: Source<'_>, holder: Holder<'_>, name: BlockName, depth: usize) -> Result<Option<Blockref>, Stop> {
    let holds = |entry: &&Blockref| entry.span().is_ok_and(|span| span.first <= name.key && name.key <= span.last);
    let Some(entry) = holder.array.entries().iter().filter(|entry| !entry.is_empty()).find(holds) else {
        return Ok(None);
    };
    if entry.name() == name {
        let is_modified = holder.trust == Trust::Modified && ChainId::of(entry).is_some();
        return Ok((!is_modified).then_some(*entry));
    }
    if !entry.is(BlockKind::Indirect) || depth == MAX_DEPTH {
        return Ok(None);
    }
    let span = entry.span().map_err(|corruption| Stop::Failed(ChainError::corrupt(entry, corruption)))?;
    source.below(entry, span, holder.trust, |below| trace_from(source, below, name, depth + 1))
}

struct Walk<'w> {
    source: Source<'w>,
    cursor: &'w mut Cursor,
    since: Option<ModifyTid>,
    visit: &'w mut dyn FnMut(&Blockref) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn array(&mut self, holder: Holder<'_>, depth: usize) -> Result<ControlFlow<()>, Stop> {
        let Holder { block, array, trust } = holder;
        let sound = trust != Trust::Unchecked;
        // The array is out of order: from here to its end, nothing in it can be relied on.
        let failed = |corruption| {
            Stop::Failed(ChainError { block, error: ReadError::Corrupt(corruption), through: array.span().last })
        };
        let Some(range) = self.cursor.remaining else { return Ok(ControlFlow::Break(())) };
        let start = match sound {
            true => array.first_reaching_sound(range.first),
            false => array.first_reaching(0, range.first).map_err(failed)?,
        };
        let Some((start, _)) = start else { return Ok(ControlFlow::Continue(())) };
        let mut previous = None;
        for entry in array.entries()[start..].iter().filter(|entry| !entry.is_empty()) {
            if entry.key() > range.last {
                return Ok(ControlFlow::Break(()));
            }
            let span = if sound { entry.span() } else { array.check_entry(previous, entry) }.map_err(failed)?;
            previous = Some(span);
            let flow = self.entry(entry, span, trust, depth)?;
            if flow.is_break() {
                return Ok(flow);
            }
            self.cursor.skip_through(span.last);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn entry(&mut self, entry: &Blockref, span: KeyRange, trust: Trust, depth: usize) -> Result<ControlFlow<()>, Stop> {
        let failed = |corruption| Stop::Failed(ChainError::corrupt(entry, corruption));
        let is_unchanged = |since| self.modify_tid_of(entry, trust) <= since;
        if entry.kind().map_err(failed)? != BlockKind::Indirect || self.since.is_some_and(is_unchanged) {
            let mut leaf = *entry;
            if trust != Trust::Modified {
                // On media, the field that holds handles means nothing.
                leaf.update_tid = 0.into();
            }
            let flow = (self.visit)(&leaf);
            self.cursor.skip_through(span.last);
            return Ok(flow);
        }
        if depth == MAX_DEPTH {
            return Err(failed(Corruption::TooDeep));
        }
        self.source.below(entry, span, trust, |below| self.array(below, depth + 1))
    }

    fn modify_tid_of(&self, entry: &Blockref, trust: Trust) -> ModifyTid {
        match (trust, self.source.topology) {
            (Trust::Modified, Some(topology)) => topology.modify_tid_of(entry),
            _ => entry.modify_tid(),
        }
    }
}
