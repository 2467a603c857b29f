//! Directory entries: matching a name, reading them in order (format 3.5).

use core::ops::ControlFlow;

use super::{EntryBatch, Halt, Node, NodeError, NodeFault, Progress, Reply, Scanned, Slot, failed};
use crate::chain::{ChainError, ChainId, Cursor, Stop, scan};
use crate::media::{BlockKind, Blockref, Corruption, Dirent, Inode, KeyRange, directory_hash};

/// The number of entries whose blockrefs are collected before their name blocks are looked at.
const GATHERED: usize = 16;

impl Node {
    /// Finds the entry called `name` among all that share its hash.
    #[inline(never)]
    pub(super) fn match_name(&self, directory: Slot, name: &[u8], progress: &mut Progress) -> Result<Reply, Halt> {
        let (cursor, _) = progress.over(directory_hash(name));
        loop {
            let found: Result<_, Halt> = cursor.step(|cursor| {
                let Some(bref) = self.in_inode(directory, |view| view.find(cursor))? else { return Ok(None) };
                let entry = self.with_entry(&bref, |entry, found| (found == name).then_some(entry))?;
                Ok(Some((bref.key(), entry)))
            });
            match found? {
                None => return Ok(Reply::Absent),
                Some((key, Some(entry))) => return Ok(Reply::Entry(key, entry)),
                Some((_, None)) => {}
            }
        }
    }

    /// Fills `batch` with the entries of `range`. Damaged entries are left out, and the damage is noted in the batch.
    #[inline(never)]
    pub(super) fn scan(
        &self,
        directory: Slot,
        range: KeyRange,
        batch: &mut EntryBatch,
        progress: &mut Progress,
    ) -> Result<Reply, Halt> {
        let (cursor, begins) = progress.over(range);
        if begins {
            batch.clear();
        }
        while cursor.remaining.is_some() && batch.has_room() {
            let left = *cursor;
            let mut gathered: heapless::Vec<Blockref, GATHERED> = heapless::Vec::new();
            let scanned = self.in_open(directory, |view| {
                scan(view.source, view.holder()?, cursor, &mut |leaf| {
                    let _ = gathered.push(*leaf);
                    if gathered.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            });
            let damage = match scanned {
                Ok(None) => return Err(NodeError::Fault(NodeFault::UnknownSlot).into()),
                Ok(Some(())) if gathered.len() < GATHERED => {
                    cursor.remaining = None;
                    None
                }
                Ok(Some(())) => None,
                Err(Stop::Failed(error)) => {
                    skip_through(cursor, error)?;
                    Some(error)
                }
                Err(stop) => {
                    *cursor = left;
                    return Err(stop.into());
                }
            };
            gathered.iter().filter(|bref| !bref.data_off().radix().is_ok_and(|radix| radix.is_none())).for_each(
                |bref| {
                    self.blocks.prefetch(bref);
                },
            );
            for bref in &gathered {
                let rest = Some(KeyRange { first: bref.key(), last: range.last });
                if !batch.has_room() {
                    cursor.remaining = rest;
                    return Ok(Reply::Scanned(Scanned { remaining: rest }));
                }
                match self.with_entry(bref, |entry, name| batch.push(bref.key(), &entry, name)) {
                    Ok(()) => {}
                    Err(Stop::Failed(error)) => note(batch, error)?,
                    Err(stop) => {
                        cursor.remaining = rest;
                        return Err(stop.into());
                    }
                }
            }
            if let Some(error) = damage {
                note(batch, error)?;
            }
        }
        Ok(Reply::Scanned(Scanned { remaining: cursor.remaining }))
    }

    /// Calls `work` with an entry and its name. An inode under a visible key is an entry too: its own (format 3.2).
    fn with_entry<T>(&self, bref: &Blockref, work: impl FnOnce(Dirent, &[u8]) -> T) -> Result<T, Stop> {
        let corrupt = |corruption| failed(bref, corruption);
        let topology = self.topology.borrow();
        let chain = ChainId::of(bref).and_then(|id| topology.arena.get(id));
        let in_blockref = chain.is_none() && bref.data_off().radix().is_ok_and(|radix| radix.is_none());
        if in_blockref {
            let entry = Dirent::read(bref).map_err(corrupt)?;
            return Ok(work(entry, entry.name(bref, None).map_err(corrupt)?));
        }
        let block = match chain {
            Some(_) => None,
            None => Some(self.blocks.get(bref).ok_or(Stop::Missing(*bref))?),
        };
        let clean = block.as_ref().map(|block| block.bytes());
        let bytes = match (chain, &clean) {
            (Some(chain), _) => &chain.content[..],
            (None, Some(bytes)) => bytes,
            (None, None) => &[],
        };
        let (entry, name) = match bref.kind().map_err(corrupt)? {
            BlockKind::Inode => embedded_entry(Inode::in_block(bytes).map_err(corrupt)?).map_err(corrupt)?,
            BlockKind::Dirent => {
                let entry = Dirent::with_block(bref).map_err(corrupt)?;
                (entry, entry.name(bref, Some(bytes)).map_err(corrupt)?)
            }
            _ => return Err(corrupt(Corruption::BlockType(bref.kind_code()))),
        };
        Ok(work(entry, name))
    }
}

/// Skips what is lost with an error. If the error is on the way to the directory, nothing after it can be reached either.
fn skip_through(cursor: &mut Cursor, error: ChainError) -> Result<(), NodeError> {
    let before = cursor.remaining;
    cursor.skip_through(error.through);
    if cursor.remaining == before { Err(error.into()) } else { Ok(()) }
}

/// Lets a scan continue after a block that couldn't be loaded, and notes the damage in the batch.
pub(super) fn pass_over(batch: &mut EntryBatch, progress: &mut Progress, error: ChainError) -> Result<(), NodeError> {
    progress.begun().map_or(Err(error.into()), |cursor| skip_through(cursor, error))?;
    note(batch, error)
}

/// Notes damage in the batch. If only memory ran out, the whole scan ends instead.
fn note(batch: &mut EntryBatch, error: ChainError) -> Result<(), NodeError> {
    match NodeError::from(error) {
        NodeError::Fault(fault) => {
            batch.note_damage(fault);
            Ok(())
        }
        other => Err(other),
    }
}

fn embedded_entry(inode: &Inode) -> Result<(Dirent, &[u8]), Corruption> {
    let name = inode.meta.name()?;
    let entry = Dirent { inum: inode.meta.inum(), name_len: name.len(), kind: inode.meta.kind()? };
    Ok((entry, name))
}
