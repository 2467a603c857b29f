//! Walking a whole tree, in the order of paths.
//!
//! The order is that of paths as bytes: `a`, `a-b`, `a/c`. What is below a directory comes after siblings whose names continue
//! with a byte lower than `/`. So each directory has two places among its siblings, one for itself and one for what is below.
//! Memory is used for the names in the directories on the way down and for the numbers of all directories seen: a directory is
//! walked once, whatever its entries say, so cycles do no harm.

use super::{Attributes, Cookie, Error, FileSystem};
use crate::cluster::EntryBatch;
use crate::media::{Corruption, FileKind, Inum};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Bytes of directory entries read at a time.
const BATCH_BYTES: usize = 32 << 10;

/// The path of the directory a walk starts at.
pub const ROOT_PATH: &[u8] = b".";

/// A walk over everything below a directory, and the directory itself.
pub struct TreeWalk<'f> {
    fs: &'f FileSystem,
    heap: Heap,
    root: Inum,
    /// The directories on the way down; none before the first step and after the last.
    levels: Vec<Level>,
    begun: bool,
    /// What is wrong with the entries of the root, if anything.
    root_incomplete: Option<Error>,
    /// The path of the last entry found.
    path: Vec<u8>,
    /// The numbers of all directories met, in ascending order.
    seen: Vec<Inum>,
    /// The last directory found, which usually is the next to be entered.
    listed: Option<(Inum, Level)>,
    batch: EntryBatch,
}

/// A directory's entries, and how many of them were visited.
struct Level {
    names: Vec<u8>,
    items: Vec<Item>,
    next: usize,
    /// Bytes of the directory's path, including the slash after it.
    path_len: usize,
}

/// A place in a directory's order.
#[derive(Clone, Copy)]
struct Item {
    visit: Visit,
    name_start: u32,
    name_len: u8,
    kind: FileKind,
    inum: Inum,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// An entry.
    Entry,
    /// What is below a directory. Its place in the order is that of the name with a slash appended.
    Below,
    /// What is below a directory that was met before: it isn't walked again.
    Elsewhere,
}

/// An entry of a tree.
#[derive(Debug)]
pub struct Found<'w> {
    /// The path from the start of the walk; the start itself is [`ROOT_PATH`].
    pub path: &'w [u8],
    /// The inode.
    pub inum: Inum,
    /// Its type, according to the directory.
    pub kind: FileKind,
    /// For a directory: what is wrong with its entries, because of which some or all of what is below is left out.
    pub incomplete: Option<Error>,
}

impl Found<'_> {
    /// The attributes of its inode. An entry that names no inode, or one of another kind, is damage of the directory.
    pub async fn attributes(&self, fs: &FileSystem) -> Result<Attributes, Error> {
        let inum = self.inum;
        match fs.attributes(inum).await {
            Ok(attributes) if attributes.kind == self.kind => Ok(attributes),
            Ok(Attributes { kind: inode, .. }) => {
                Err(Error::Corrupt { inum, corruption: Corruption::EntryType { entry: self.kind, inode } })
            }
            Err(Error::NotFound) => Err(Error::Corrupt { inum, corruption: Corruption::Dangling(inum) }),
            Err(error) => Err(error),
        }
    }
}

impl<'f> TreeWalk<'f> {
    /// Makes a walk that begins with the directory `root`; its memory comes from `heap`.
    pub fn new(heap: Heap, fs: &'f FileSystem, root: Inum) -> Result<Self, NoMemory> {
        Ok(Self {
            fs,
            heap,
            root,
            levels: Vec::new_in(heap),
            begun: false,
            root_incomplete: None,
            path: Vec::new_in(heap),
            seen: Vec::new_in(heap),
            listed: None,
            batch: EntryBatch::new(heap, BATCH_BYTES)?,
        })
    }

    /// The next entry; none at the end.
    pub async fn next(&mut self) -> Result<Option<Found<'_>>, NoMemory> {
        if !self.begun {
            self.begin().await?;
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(item) = level.items.get(level.next).copied() else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            self.path.truncate(level.path_len);
            memory::extend(&mut self.path, level.name(&item))?;
            match item.visit {
                Visit::Entry => {
                    let incomplete = self.look_into(&item).await?;
                    return Ok(Some(Found { path: &self.path, inum: item.inum, kind: item.kind, incomplete }));
                }
                Visit::Below => self.go_into(item.inum).await?,
                Visit::Elsewhere => {}
            }
        }
    }

    /// Begins with the root, which is an entry in its own level: the paths of its entries don't begin with its path.
    async fn begin(&mut self) -> Result<(), NoMemory> {
        let (mut top, incomplete) = self.read_level(self.root).await?;
        top.add(ROOT_PATH, FileKind::Directory, self.root)?;
        // This level is what is below it.
        top.items.pop();
        top.sort();
        memory::push(&mut self.seen, self.root)?;
        memory::push(&mut self.levels, top)?;
        self.root_incomplete = incomplete;
        self.begun = true;
        Ok(())
    }

    /// Reads the entries of a directory just found; returns what is wrong with them, if anything.
    async fn look_into(&mut self, item: &Item) -> Result<Option<Error>, NoMemory> {
        if item.kind != FileKind::Directory {
            return Ok(None);
        }
        if self.path == *ROOT_PATH {
            return Ok(self.root_incomplete.take());
        }
        let Err(place) = self.seen.binary_search(&item.inum) else {
            self.levels.last_mut().into_iter().for_each(|level| level.bar(item));
            return Ok(Some(Error::Corrupt { inum: item.inum, corruption: Corruption::DirectoryCycle(item.inum) }));
        };
        self.seen.try_reserve(1).map_err(|_| NoMemory)?;
        self.seen.insert(place, item.inum);
        let (level, incomplete) = self.read_level(item.inum).await?;
        self.listed = Some((item.inum, level));
        Ok(incomplete)
    }

    async fn go_into(&mut self, directory: Inum) -> Result<(), NoMemory> {
        let mut level = match self.listed.take() {
            Some((listed, level)) if listed == directory => level,
            _ => self.read_level(directory).await?.0,
        };
        memory::extend(&mut self.path, b"/")?;
        level.path_len = self.path.len();
        memory::push(&mut self.levels, level)
    }

    /// The entries of a directory in order, and what is wrong with them.
    async fn read_level(&mut self, directory: Inum) -> Result<(Level, Option<Error>), NoMemory> {
        let mut level = Level { names: Vec::new_in(self.heap), items: Vec::new_in(self.heap), next: 0, path_len: 0 };
        let mut incomplete = None;
        let mut from = Some(Cookie::START);
        while let Some(cookie) = from {
            let listing = match self.fs.read_directory(directory, cookie, &mut self.batch).await {
                Ok(listing) => listing,
                Err(Error::NoMemory) => return Err(NoMemory),
                Err(error) => {
                    incomplete.get_or_insert(error);
                    break;
                }
            };
            if let Some(fault) = listing.damaged {
                incomplete.get_or_insert(Error::Io(fault));
            }
            for entry in self.batch.iter() {
                level.add(entry.name, entry.kind, entry.inum)?;
            }
            from = listing.next;
        }
        level.sort();
        Ok((level, incomplete))
    }
}

impl Level {
    fn name(&self, item: &Item) -> &[u8] {
        item.name(&self.names)
    }

    /// Adds an entry. Names have at most 255 bytes, and 16 million of them fit.
    fn add(&mut self, name: &[u8], kind: FileKind, inum: Inum) -> Result<(), NoMemory> {
        let name_start = u32::try_from(self.names.len()).map_err(|_| NoMemory)?;
        let name_len = u8::try_from(name.len()).map_err(|_| NoMemory)?;
        memory::extend(&mut self.names, name)?;
        let item = Item { visit: Visit::Entry, name_start, name_len, kind, inum };
        memory::push(&mut self.items, item)?;
        if kind == FileKind::Directory {
            memory::push(&mut self.items, Item { visit: Visit::Below, ..item })?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        let names = &self.names;
        self.items.sort_unstable_by(|a, b| a.path_bytes(names).cmp(b.path_bytes(names)));
    }

    /// Keeps the walk from entering the directory that was just passed.
    fn bar(&mut self, entry: &Item) {
        let rest = &mut self.items[self.next..];
        let below = rest.iter_mut().find(|item| item.visit == Visit::Below && item.name_start == entry.name_start);
        below.into_iter().for_each(|item| item.visit = Visit::Elsewhere);
    }
}

impl Item {
    fn name<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        &names[self.name_start as usize..][..usize::from(self.name_len)]
    }

    /// The bytes by which it is sorted.
    fn path_bytes<'n>(&self, names: &'n [u8]) -> impl Iterator<Item = &'n u8> {
        let slash: &[u8] = if self.visit == Visit::Entry { b"" } else { b"/" };
        self.name(names).iter().chain(slash)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec as StdVec;

    use allocator_api2::alloc::Global;

    use super::*;

    fn level(names: &[(&str, FileKind)]) -> Level {
        let mut level = Level { names: Vec::new_in(&Global), items: Vec::new_in(&Global), next: 0, path_len: 0 };
        for (number, (name, kind)) in names.iter().enumerate() {
            level.add(name.as_bytes(), *kind, Inum(number as u64)).unwrap();
        }
        level.sort();
        level
    }

    #[test]
    fn what_is_below_comes_where_its_paths_do() {
        let (directory, file) = (FileKind::Directory, FileKind::Regular);
        let level = level(&[("a0", directory), ("a", directory), ("a.txt", file), ("a-b", directory), ("ä", file)]);
        let order: StdVec<_> = level.items.iter().map(|item| (level.name(item), item.visit == Visit::Below)).collect();
        let expected: [(&str, bool); 8] = [
            ("a", false),
            ("a-b", false),
            ("a-b", true),
            ("a.txt", false),
            ("a", true),
            ("a0", false),
            ("a0", true),
            ("ä", false),
        ];
        assert_eq!(order, expected.map(|(name, below)| (name.as_bytes(), below)));
    }

    #[test]
    fn barred_directories_are_not_gone_into() {
        let mut level = level(&[("a", FileKind::Directory), ("a-b", FileKind::Directory)]);
        level.next = 1;
        let first = level.items[0];
        level.bar(&first);
        let places: StdVec<_> = level.items.iter().map(|item| (item.inum.0, item.visit == Visit::Elsewhere)).collect();
        assert_eq!(places, [(0, false), (1, false), (1, false), (0, true)]);
    }
}
