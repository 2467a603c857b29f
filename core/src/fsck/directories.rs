//! Directories: each entry by itself, and the inode it names (format 3.5).

use super::inode_table::InodeTable;
use super::pfs::PfsRoot;
use super::topology::{Role, Walk};
use super::{Checker, Cost, Quirk, Subject, Trouble};
use crate::media::check::xxhash64;
use crate::media::dirent::EMBEDDED_NAME_BYTES;
use crate::media::{
    BlockKind, Blockref, Corruption, Dirent, FileKind, Inode, Inum, Key, KeyRange, directory_hash, is_zero,
};
use crate::memory::{self, Heap, NoMemory, Vec};

/// The last names seen that share a hash, each as a hash of another kind. If two of these are equal, one name occurs twice.
struct Namesakes {
    range: KeyRange,
    names: Vec<u64>,
}

impl Namesakes {
    fn new(heap: Heap) -> Self {
        Self { range: KeyRange::only(Key(0)), names: Vec::new_in(heap) }
    }

    /// Adds a name; true when it was there already.
    fn add(&mut self, range: KeyRange, name: &[u8]) -> Result<bool, NoMemory> {
        if self.range != range {
            self.range = range;
            self.names.clear();
        }
        let print = xxhash64(name);
        let known = self.names.contains(&print);
        memory::push(&mut self.names, print)?;
        Ok(known)
    }
}

impl Checker<'_, '_> {
    /// Walks all directories of a PFS and counts the names of every inode.
    pub(super) async fn check_directories(&mut self, root: &PfsRoot, table: &mut InodeTable) -> Result<(), NoMemory> {
        for index in 0..table.len() {
            let (inum, kind) = (table.at(index).inum, table.at(index).kind);
            if kind == FileKind::Directory {
                self.check_directory(root, inum, table).await?;
            }
        }
        Ok(())
    }

    async fn check_directory(&mut self, root: &PfsRoot, inum: Inum, table: &mut InodeTable) -> Result<(), NoMemory> {
        let is_root = inum == Inum::PFS_ROOT;
        let subject = Subject { pfs: Some(root), inode: Some(inum), ..Subject::default() };
        let found = self.find_inode(Subject { table: Some(table), ..subject }, root, inum).await?;
        let Some(holder) = found else {
            table.names_lost = true;
            return Ok(());
        };
        let set = match self.blocks.load(&holder).await {
            Ok(block) => Inode::in_block(&block.bytes()).map(Inode::body_set).unwrap_or([Blockref::EMPTY; 4]),
            Err(error) => {
                table.names_lost = true;
                return self.unreadable(subject, &holder, error, Cost::Inode).await;
            }
        };
        let (role, range) = if is_root { (Role::PfsRoot, KeyRange::VISIBLE) } else { (Role::Directory, KeyRange::ALL) };
        let mut walk = Walk::new(self.heap, role, &set, holder.mirror_tid(), range);
        let mut namesakes = Namesakes::new(self.heap);
        while let Some(entry) = walk.next(self, Subject { table: Some(table), ..subject }).await? {
            if entry.is(BlockKind::Inode) {
                let about = Subject { table: Some(table), ..subject };
                self.remark(about, Some(&entry), Trouble::EmbeddedInode, Cost::Name).await;
                continue;
            }
            self.reports.summary.entries += 1;
            if !self.check_entry(subject, &entry, inum, table, &mut namesakes).await? {
                table.names_lost = true;
            }
        }
        table.names_lost |= walk.lost;
        Ok(())
    }

    /// Checks an entry; false when it can't be read.
    async fn check_entry(
        &mut self,
        subject: Subject<'_>,
        bref: &Blockref,
        directory: Inum,
        table: &mut InodeTable,
        namesakes: &mut Namesakes,
    ) -> Result<bool, NoMemory> {
        let about = Subject { table: Some(table), ..subject };
        let entry = match Dirent::read(bref) {
            Ok(entry) => entry,
            Err(corruption) => {
                self.problem(about, Some(bref), corruption.into(), Cost::Name).await;
                return Ok(false);
            }
        };
        let mut name_bytes = [0; 256];
        let stored = &mut name_bytes[..entry.name_len];
        if bref.data_off().radix() == Ok(None) {
            stored.copy_from_slice(&bref.check[..entry.name_len]);
            self.note_tail(&bref.check[entry.name_len..]);
        } else {
            self.seen.enter(bref, self.owner)?;
            let Some(block) = self.load(about, bref, Cost::Name).await? else { return Ok(false) };
            let bytes = block.bytes();
            let Some((name, tail)) = bytes.split_at_checked(entry.name_len) else { return Ok(false) };
            stored.copy_from_slice(name);
            self.note_tail(tail);
            if entry.name_len <= EMBEDDED_NAME_BYTES {
                self.reports.quirk(Quirk::NameBlock);
            }
        }
        let name = match entry.name(bref, Some(stored)) {
            Ok(name) => name,
            Err(corruption) => {
                let about = Subject { name: Some(stored), ..about };
                self.problem(about, Some(bref), corruption.into(), Cost::Name).await;
                // The inode still has this name.
                count_name(table, &entry, directory, bref.key());
                return Ok(true);
            }
        };
        let about = Subject { name: Some(name), ..about };
        let range = directory_hash(name);
        if !range.contains(KeyRange::only(bref.key())) {
            self.problem(about, Some(bref), Trouble::NameHash(bref.key()), Cost::NameUnfindable).await;
        }
        if namesakes.add(range, name)? {
            self.problem(about, Some(bref), Trouble::DuplicateName, Cost::Name).await;
        }
        self.check_target(about, bref, &entry, directory, table).await;
        count_name(table, &entry, directory, bref.key());
        Ok(true)
    }

    fn note_tail(&mut self, tail: &[u8]) {
        if !is_zero(tail) {
            self.reports.quirk(Quirk::NameTail);
        }
    }

    /// Checks the inode an entry names.
    async fn check_target(
        &mut self,
        subject: Subject<'_>,
        bref: &Blockref,
        entry: &Dirent,
        directory: Inum,
        table: &InodeTable,
    ) {
        let target = table.find(entry.inum).map(|index| table.at(index));
        let Some(target) = target else {
            if table.is_unreadable(entry.inum) {
                let trouble = Trouble::InodeUnreadable(entry.inum);
                return self.problem(subject, Some(bref), trouble, Cost::Named).await;
            }
            return self.problem(subject, Some(bref), Corruption::Dangling(entry.inum).into(), Cost::Name).await;
        };
        if target.kind != entry.kind {
            let corruption = Corruption::EntryType { entry: entry.kind, inode: target.kind };
            self.problem(subject, Some(bref), corruption.into(), Cost::Name).await;
        }
        if target.kind != FileKind::Directory {
            return;
        }
        if target.names > 0 || target.inum == Inum::PFS_ROOT {
            self.problem(subject, Some(bref), Corruption::DirectoryCycle(target.inum).into(), Cost::Name).await;
        } else if target.parent != directory {
            let trouble = Trouble::Parent { said: target.parent, named_in: directory };
            self.problem(subject, Some(bref), trouble, Cost::DotDot).await;
        }
    }
}

fn count_name(table: &mut InodeTable, entry: &Dirent, directory: Inum, key: Key) {
    if let Some(index) = table.find(entry.inum) {
        let facts = table.at_mut(index);
        if facts.names == 0 {
            facts.named_in = directory;
            facts.name_key = key;
        }
        facts.names = facts.names.saturating_add(1);
    }
}
