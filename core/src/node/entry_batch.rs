//! Batches of directory entries.

use super::NodeFault;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::{Dirent, FileKind, Inum, Key};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Bytes of a packed entry before its name: key, inode number, kind, length.
const HEAD_BYTES: usize = 18;

/// Directory entries with their names, packed into a fixed amount of memory.
pub struct EntryBatch {
    packed: Vec<u8>,
    capacity: usize,
    /// The fault of the first entry that couldn't be read.
    damaged: Option<NodeFault>,
}

/// An entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key in the directory.
    pub key: Key,
    /// The inode.
    pub inum: Inum,
    /// The type of the inode.
    pub kind: FileKind,
    /// The name.
    pub name: &'a [u8],
}

impl EntryBatch {
    /// Makes a batch of at most `bytes` bytes; at least one entry fits.
    pub fn new(heap: Heap, bytes: usize) -> Result<Self, NoMemory> {
        let capacity = bytes.max(HEAD_BYTES + MAX_NAME_BYTES);
        let mut packed = Vec::new_in(heap);
        packed.try_reserve_exact(capacity).map_err(|_| NoMemory)?;
        Ok(Self { packed, capacity, damaged: None })
    }

    /// Empties the batch.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.damaged = None;
    }

    /// True when no entry is in it.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The fault of the first entry that couldn't be read and was left out.
    pub fn damaged(&self) -> Option<NodeFault> {
        self.damaged
    }

    pub(super) fn note_damage(&mut self, fault: NodeFault) {
        self.damaged.get_or_insert(fault);
    }

    /// True when an entry with the longest name would still fit.
    pub(super) fn has_room(&self) -> bool {
        self.capacity - self.packed.len() >= HEAD_BYTES + MAX_NAME_BYTES
    }

    /// Adds an entry, for which there must be [room](Self::has_room).
    pub(super) fn push(&mut self, key: Key, entry: &Dirent, name: &[u8]) {
        debug_assert!(self.has_room() && name.len() <= MAX_NAME_BYTES);
        memory::append(&mut self.packed, &key.0.to_le_bytes());
        memory::append(&mut self.packed, &entry.inum.0.to_le_bytes());
        memory::append(&mut self.packed, &[entry.kind as u8, name.len() as u8]);
        memory::append(&mut self.packed, name);
    }

    /// The entries, in ascending order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = &self.packed[..];
        core::iter::from_fn(move || {
            let (key, after) = rest.split_first_chunk::<8>()?;
            let (inum, after) = after.split_first_chunk::<8>()?;
            let ([kind, name_len], after) = after.split_first_chunk::<2>()?;
            let (name, after) = after.split_at_checked(usize::from(*name_len))?;
            rest = after;
            let kind = FileKind::from_code(*kind).ok()?;
            Some(Entry { key: Key(u64::from_le_bytes(*key)), inum: Inum(u64::from_le_bytes(*inum)), kind, name })
        })
    }
}

impl core::fmt::Debug for EntryBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn an_entry_that_is_added_is_there_until_the_batch_is_cleared() {
        let mut batch = EntryBatch::new(HEAP, 0).unwrap();
        assert!(batch.is_empty() && batch.has_room());
        batch.push(Key(7), &Dirent { inum: Inum(9), name_len: 1, kind: FileKind::Regular }, b"a");
        let entry = Entry { key: Key(7), inum: Inum(9), kind: FileKind::Regular, name: b"a" };
        assert!(batch.iter().eq([entry]) && !batch.is_empty() && !batch.has_room());
        batch.clear();
        assert!(batch.iter().eq([]) && batch.is_empty());
    }
}
