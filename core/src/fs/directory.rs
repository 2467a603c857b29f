//! Directories: finding a name, reading entries in a stable order.

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Command, EntryBatch, NodeFault, Reply};
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::{Dirent, FileKind, Inum, Key, KeyRange};

/// A place in a directory that stays valid whatever happens to the entries: it depends on an entry's name, not on its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cookie(pub u64);

impl Cookie {
    /// Before the first entry. `.` and `..` are not stored; callers that want them add them.
    pub const START: Self = Self(0);

    /// The place right after the entry with this key. It fits a signed 64-bit offset, and is never [`START`](Self::START), as no
    /// name has the lowest key.
    pub fn after(key: Key) -> Self {
        Self((key.0 & !Key::VISIBLE).max(1))
    }

    /// The keys after it.
    fn rest(self) -> Option<KeyRange> {
        if self == Self::START { Some(KeyRange::VISIBLE) } else { KeyRange::VISIBLE.above(Key(self.0 | Key::VISIBLE)) }
    }
}

/// How far a directory was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Where to continue; none at the end.
    pub next: Option<Cookie>,
    /// The first thing that couldn't be read. What it hides is missing from the batch; everything else is there.
    pub damaged: Option<NodeFault>,
}

impl FileSystem {
    /// The inode that `name` stands for in a directory.
    pub async fn lookup(&self, directory: Inum, name: &[u8]) -> Result<Inum, Error> {
        let _reading = self.reading().await?;
        let directory = self.directory(directory).await?;
        match name {
            b"." | b"" => return Ok(directory.inum),
            b".." => return Ok(directory.attributes()?.parent),
            _ if name.len() > MAX_NAME_BYTES => return Err(Error::NameTooLong),
            _ => {}
        }
        let (_, entry) = self.find_entry(&directory, name).await?.ok_or(Error::NotFound)?;
        Ok(entry.inum)
    }

    /// The entry with this name, and its key.
    pub(super) async fn find_entry(
        &self,
        directory: &InodeRef<'_>,
        name: &[u8],
    ) -> Result<Option<(Key, Dirent)>, Error> {
        match self.cluster.execute(Command::MatchName { directory: directory.slot, name }).await? {
            Reply::Entry(key, entry) => Ok(Some((key, entry))),
            _ => Ok(None),
        }
    }

    /// Fills `batch` with a directory's entries after `from`.
    pub async fn read_directory(
        &self,
        directory: Inum,
        from: Cookie,
        batch: &mut EntryBatch,
    ) -> Result<Listing, Error> {
        let _reading = self.reading().await?;
        let directory = self.directory(directory).await?;
        batch.clear();
        let Some(range) = from.rest() else { return Ok(Listing { next: None, damaged: None }) };
        let reply = self.cluster.execute(Command::Scan { directory: directory.slot, range, batch }).await?;
        let remaining = if let Reply::Scanned(scanned) = reply { scanned.remaining } else { None };
        // Keys of entries are never the lowest one, so the first remaining key has one before it.
        let next = remaining.map(|range| Cookie::after(Key(range.first.0 - 1)));
        Ok(Listing { next, damaged: batch.damaged() })
    }

    pub(super) async fn directory(&self, inum: Inum) -> Result<InodeRef<'_>, Error> {
        let inode = self.inode(inum).await?;
        if inode.attributes()?.kind == FileKind::Directory { Ok(inode) } else { Err(Error::NotADirectory) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_name_places_between_keys() {
        assert_eq!(Cookie::START.rest(), Some(KeyRange::VISIBLE));
        let key = Key(Key::VISIBLE | 0x8000);
        assert_eq!(Cookie::after(key), Cookie(0x8000));
        assert_eq!(Cookie::after(key).rest(), Some(KeyRange { first: Key(key.0 + 1), last: Key::MAX }));
        assert_eq!(Cookie::after(Key::MAX).rest(), None);
        assert_ne!(Cookie::after(Key(Key::VISIBLE)), Cookie::START);
    }
}
