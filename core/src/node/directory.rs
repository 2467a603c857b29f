//! Directory entries: matching a name, reading them in order (spec 3.5).

use core::ops::ControlFlow;

use super::{EntryBatch, Node, NodeError, Reply, Scanned, Slot, failed, holder};
use crate::chain::{ChainError, Cursor, find, load_missing, scan};
use crate::media::{BlockKind, Blockref, Corruption, Dirent, Inode, KeyRange, directory_hash};

/// Entries whose blockrefs are collected before their name blocks are looked at.
const GATHERED: usize = 16;

impl Node {
    /// Finds the entry called `name` among all that share its hash.
    pub(super) async fn match_name(&self, directory: Slot, name: &[u8]) -> Result<Reply, NodeError> {
        let directory = self.slots.get(directory)?;
        let mut cursor = Cursor::new(directory_hash(name));
        loop {
            let found =
                self.in_inode(&directory, |inode| find(&self.blocks, holder(&directory, inode)?, &mut cursor)).await?;
            let Some(bref) = found else { return Ok(Reply::Absent) };
            let matched = self.with_entry(&bref, |entry, found| (found == name).then_some(entry)).await?;
            if let Some(entry) = matched {
                return Ok(Reply::Entry(bref.key(), entry));
            }
        }
    }

    /// Fills `batch` with the entries from `range`. Damaged ones are left out and noted in the batch.
    pub(super) async fn scan(
        &self,
        directory: Slot,
        range: KeyRange,
        batch: &mut EntryBatch,
    ) -> Result<Reply, NodeError> {
        let directory = self.slots.get(directory)?;
        batch.clear();
        let mut cursor = Cursor::new(range);
        while cursor.remaining.is_some() && batch.has_room() {
            let mut gathered: heapless::Vec<Blockref, GATHERED> = heapless::Vec::new();
            let scanned = self
                .in_inode(&directory, |inode| {
                    scan(&self.blocks, holder(&directory, inode)?, &mut cursor, &mut |leaf| {
                        let _ = gathered.push(*leaf);
                        if gathered.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })
                })
                .await;
            let damage = match scanned {
                Ok(()) if gathered.len() < GATHERED => {
                    cursor.remaining = None;
                    None
                }
                Ok(()) => None,
                Err(error) => {
                    cursor.skip_through(error.through);
                    Some(error)
                }
            };
            gathered.iter().filter(|bref| !bref.data_off().radix().is_ok_and(|radix| radix.is_none())).for_each(
                |bref| {
                    self.blocks.prefetch(bref);
                },
            );
            for bref in &gathered {
                if !batch.has_room() {
                    cursor.remaining = Some(KeyRange { first: bref.key(), last: range.last });
                    return Ok(Reply::Scanned(Scanned { remaining: cursor.remaining }));
                }
                match self.with_entry(bref, |entry, name| batch.push(bref.key(), &entry, name)).await {
                    Ok(()) => {}
                    Err(error) => note(batch, error)?,
                }
            }
            if let Some(error) = damage {
                note(batch, error)?;
            }
        }
        Ok(Reply::Scanned(Scanned { remaining: cursor.remaining }))
    }

    /// Does `work` on an entry and its name. An inode under a visible key is an entry too: its own (spec 3.2).
    async fn with_entry<T>(&self, bref: &Blockref, mut work: impl FnMut(Dirent, &[u8]) -> T) -> Result<T, ChainError> {
        let corrupt = |corruption| ChainError::corrupt(bref, corruption);
        match bref.kind().map_err(corrupt)? {
            BlockKind::Inode => {
                self.in_inode(bref, |inode| {
                    let (entry, name) = embedded_entry(inode).map_err(|corruption| failed(bref, corruption))?;
                    Ok(work(entry, name))
                })
                .await
            }
            BlockKind::Dirent => {
                let entry = Dirent::read(bref).map_err(corrupt)?;
                if bref.data_off().radix().is_ok_and(|radix| radix.is_none()) {
                    return Ok(work(entry, entry.name(bref, None).map_err(corrupt)?));
                }
                load_missing(&self.blocks, || {
                    let block = self.blocks.get(bref).ok_or(crate::chain::Stop::Missing(*bref))?;
                    let bytes = block.bytes();
                    let name = entry.name(bref, Some(&bytes)).map_err(|corruption| failed(bref, corruption))?;
                    Ok(work(entry, name))
                })
                .await
            }
            _ => Err(corrupt(Corruption::BlockType(bref.kind_code()))),
        }
    }
}

/// Notes damage in the batch, unless it is only that memory ran out: then the whole scan ends.
fn note(batch: &mut EntryBatch, error: ChainError) -> Result<(), NodeError> {
    match NodeError::from(error) {
        NodeError::NoMemory => Err(NodeError::NoMemory),
        NodeError::Fault(fault) => {
            batch.note_damage(fault);
            Ok(())
        }
    }
}

fn embedded_entry(inode: &Inode) -> Result<(Dirent, &[u8]), Corruption> {
    let name = inode.meta.name()?;
    let entry = Dirent { inum: inode.meta.inum(), name_len: name.len(), kind: inode.meta.kind()? };
    Ok((entry, name))
}
