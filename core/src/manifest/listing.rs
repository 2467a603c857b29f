//! A directory's entries in the order their paths sort.
//!
//! Paths sort by their bytes, and `/` lies between other characters: `a-b` comes before `a/b`, though `a` comes before both. So
//! a directory stands in the order twice: as itself, and with a slash for what is in it.

use super::ManifestError;
use crate::cluster::EntryBatch;
use crate::fs::{Cookie, Error, FileSystem};
use crate::media::{FileKind, Inum};
use crate::memory::{self, Heap, NoMemory, Vec};
use crate::node::NodeFault;

/// Bytes of a batch of entries.
const BATCH_BYTES: usize = 16 << 10;

struct Item {
    name_start: usize,
    /// With the slash, for what is in a directory.
    name_len: usize,
    inum: Inum,
    kind: FileKind,
    is_content: bool,
    /// The directory was named before, by another entry of this one.
    is_second_link: bool,
}

/// All of a directory.
pub(super) struct Listing {
    /// The directory.
    pub(super) inum: Inum,
    names: Vec<u8>,
    items: Vec<Item>,
    damaged: Option<NodeFault>,
}

/// What comes next.
pub(super) struct Event<'l> {
    pub(super) name: &'l [u8],
    pub(super) inum: Inum,
    pub(super) kind: FileKind,
    pub(super) is_content: bool,
    pub(super) is_second_link: bool,
}

impl Listing {
    pub(super) async fn read(fs: &FileSystem, heap: Heap, inum: Inum) -> Result<Self, ManifestError> {
        let mut listing = Self { inum, names: Vec::new_in(heap), items: Vec::new_in(heap), damaged: None };
        let mut batch = EntryBatch::new(heap, BATCH_BYTES)?;
        let mut from = Some(Cookie::START);
        while let Some(cookie) = from {
            match fs.read_directory(inum, cookie, &mut batch).await {
                Ok(read) => {
                    from = read.next;
                    listing.damaged = listing.damaged.or(read.damaged);
                }
                Err(Error::Io(fault)) => {
                    listing.damaged = listing.damaged.or(Some(fault));
                    break;
                }
                Err(Error::NoMemory) => return Err(NoMemory.into()),
                Err(error) => return Err(ManifestError::Fs(error)),
            }
            for entry in batch.iter() {
                listing.add(entry.name, entry.inum, entry.kind)?;
            }
        }
        listing.mark_second_links();
        let names = &listing.names;
        listing.items.sort_unstable_by(|a, b| name(names, a).cmp(name(names, b)));
        Ok(listing)
    }

    fn add(&mut self, name: &[u8], inum: Inum, kind: FileKind) -> Result<(), NoMemory> {
        let name_start = self.names.len();
        memory::extend(&mut self.names, name)?;
        let mut item = |is_content: bool| {
            let name_len = name.len() + usize::from(is_content);
            let item = Item { name_start, name_len, inum, kind, is_content, is_second_link: false };
            memory::push(&mut self.items, item)
        };
        item(false)?;
        if kind == FileKind::Directory {
            item(true)?;
            memory::extend(&mut self.names, b"/")?;
        }
        Ok(())
    }

    /// A directory has one name; of several in here the first is taken for it.
    fn mark_second_links(&mut self) {
        self.items.sort_unstable_by_key(|item| (item.inum, item.is_content, item.name_start));
        for index in 1..self.items.len() {
            let (before, here) = (&self.items[index - 1], &self.items[index]);
            let again =
                here.kind == FileKind::Directory && here.inum == before.inum && here.is_content == before.is_content;
            self.items[index].is_second_link = again;
        }
    }

    /// What was wrong with the first entry that can't be read.
    pub(super) fn damaged(&self) -> Option<NodeFault> {
        self.damaged
    }

    /// The event number `index`.
    pub(super) fn event(&self, index: usize) -> Option<Event<'_>> {
        let item = self.items.get(index)?;
        let (inum, kind, is_content, is_second_link) = (item.inum, item.kind, item.is_content, item.is_second_link);
        Some(Event { name: name(&self.names, item), inum, kind, is_content, is_second_link })
    }
}

fn name<'n>(names: &'n [u8], item: &Item) -> &'n [u8] {
    &names[item.name_start..item.name_start + item.name_len]
}
