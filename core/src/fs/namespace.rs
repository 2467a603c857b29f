//! Names: making, linking, removing and moving files.

use super::gate::Changing;
use super::inode_cache::InodeRef;
use super::quota::{Amount, Holders};
use super::room::Need;
use super::undo::{DirectoryName, Step};
use super::writing::metadata_methods;
use super::{Error, FileSystem};
use crate::cluster::{Command, Creation, EntryBatch, InodeRecord, Modification, Outcome, Places, Slot};
use crate::media::blockref::BlockStats;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::inode::{InodeFlags, hidden_name};
use crate::media::{Dirent, FileKind, Inode, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid, Uuid, directory_hash};

/// The most names of a file, as on other systems.
const MAX_LINKS: u64 = 65_000;

/// In a directory with this bit, new files get the directory's group, and new directories the bit, too.
const SET_GROUP: u32 = 0o2000;

/// A file to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Its type.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group; where the directory's set-group-ID bit says so, the directory's group counts instead.
    pub gid: u32,
    /// Device number of device nodes: major, minor.
    pub device: (u32, u32),
    /// The target of a symbolic link.
    pub target: &'a [u8],
}

impl NewFile<'_> {
    /// A file of `kind` with these permissions, owned by root.
    pub fn new(kind: FileKind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, device: (0, 0), target: &[] }
    }
}

/// How the entries of a directory are protected.
fn entry_methods(directory: &InodeRef<'_>) -> Methods {
    directory.with(|record| metadata_methods(record.methods.0 >> 4, 0))
}

impl FileSystem {
    /// Makes a file called `name` in a directory and returns its number.
    pub async fn create(&self, directory: Inum, name: &[u8], new: &NewFile<'_>) -> Result<Inum, Error> {
        let mut changing = self.changing().await?;
        let directory = self.directory_to_change(directory, name).await?;
        let holders = match self.admit_file(&mut changing, &directory, new).await {
            Ok(holders) => holders,
            // A name that is taken is said first.
            Err(error) => {
                let is_taken = self.find_entry(&directory, name).await?.is_some();
                return Err(if is_taken { Error::Exists } else { error });
            }
        };
        let inum = self.writing()?.inum();
        let inode = self.new_inode(&directory, inum, new)?;
        self.add_file(&directory, name, &inode, new.kind).await?;
        holders.count(Amount::INODE, Amount::default());
        if new.kind == FileKind::Symlink
            && let Err(error) = self.write_target(inum, new.target).await
        {
            let named = DirectoryName::new(directory.inum, name);
            self.take_back([Step::Unnamed(named, inum), Step::Gone(inum)]).await?;
            return Err(error);
        }
        Ok(inum)
    }

    /// Makes sure that there is room for a new file.
    async fn admit_file(
        &self,
        changing: &mut Changing<'_>,
        directory: &InodeRef<'_>,
        new: &NewFile<'_>,
    ) -> Result<Holders<'_>, Error> {
        let holders = self.admit_inode(directory.inum).await?;
        self.admit(changing, Need::new_file(new.target.len())).await?;
        Ok(holders)
    }

    /// Adds an inode and its name, under the first free key of the name (format 3.5). The first attempt asks for all keys of the
    /// name to be free, as they mostly are.
    async fn add_file(
        &self,
        directory: &InodeRef<'_>,
        name: &[u8],
        inode: &Inode,
        kind: FileKind,
    ) -> Result<(), Error> {
        let methods = metadata_methods(inode.meta.check_algo, inode.meta.comp_algo);
        let entry_methods = entry_methods(directory);
        let hashes = directory_hash(name);
        let single = (hashes.first.0..=hashes.last.0).map(|key| KeyRange::only(Key(key)));
        for keys in [hashes].into_iter().chain(single) {
            let places = Places { pfs: self.root, methods, directory: directory.slot, keys, entry_methods, into: None };
            let tid = self.writing()?.tid();
            let (outcome, slot) = self.cluster.create_file(tid, Creation { inode, kind, name, places }).await?;
            if outcome != Outcome::Exists {
                if let Some(slot) = slot {
                    self.keep_new(slot, tid, methods, &inode.meta);
                }
                return self.touch_directory(directory);
            }
            if keys == hashes && self.find_entry(directory, name).await?.is_some() {
                return Err(Error::Exists);
            }
        }
        Err(Error::NoSpace)
    }

    /// Enters a new file, which is open already, so that the nodes needn't be asked about it.
    fn keep_new(&self, slot: Slot, modify_tid: ModifyTid, methods: Methods, meta: &InodeMeta) {
        let inum = meta.inum();
        let record = InodeRecord { key: inum.key(), modify_tid, methods, stats: BlockStats::default(), meta: *meta };
        // Without room for it, the file is closed and will be opened when somebody uses it.
        let _ = self.keep_open(inum, slot, &record);
    }

    /// Gives a new symbolic link its content.
    async fn write_target(&self, inum: Inum, target: &[u8]) -> Result<(), Error> {
        let link = self.inode(inum).await?;
        self.write_content(&link, 0, 0, target).await
    }

    fn new_inode(&self, directory: &InodeRef<'_>, inum: Inum, new: &NewFile<'_>) -> Result<Inode, Error> {
        let now = self.writing()?.now();
        let mut inode = Inode::new(new.kind);
        let meta = &mut inode.meta;
        meta.set_inum(inum);
        meta.set_name_key(inum.key());
        meta.set_name(&hidden_name(inum));
        meta.set_iparent(directory.inum);
        meta.set_mode(new.mode);
        (meta.uid, meta.gid) = (Uuid::from_unix_id(new.uid), Uuid::from_unix_id(new.gid));
        (meta.rmajor, meta.rminor) = (new.device.0.into(), new.device.1.into());
        let (parent_mode, parent_gid) = directory.with(|record| (record.meta.mode(), record.meta.gid));
        if parent_mode & SET_GROUP != 0 {
            meta.gid = parent_gid;
            meta.set_mode(new.mode | if new.kind == FileKind::Directory { SET_GROUP } else { 0 });
        }
        (meta.comp_algo, meta.check_algo) = directory.with(|record| (record.meta.comp_algo, record.meta.check_algo));
        meta.set_nlinks(1);
        meta.set_atime(now);
        meta.set_mtime(now);
        meta.set_ctime(now);
        meta.set_btime(now);
        if matches!(new.kind, FileKind::Regular | FileKind::Symlink) {
            meta.set_flags(InodeFlags::DIRECTDATA);
        }
        Ok(inode)
    }

    /// Gives a file another name.
    pub async fn link(&self, file: Inum, directory: Inum, name: &[u8]) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let directory = self.directory_to_change(directory, name).await?;
        let file = self.inode(file).await?;
        let attributes = file.attributes()?;
        if attributes.kind == FileKind::Directory {
            return Err(Error::IsADirectory);
        }
        if attributes.links == 0 {
            return Err(Error::NotFound);
        }
        if attributes.links >= MAX_LINKS {
            return Err(Error::TooManyLinks);
        }
        if self.find_entry(&directory, name).await?.is_some() {
            return Err(Error::Exists);
        }
        self.admit_link(&file, directory.inum).await?;
        self.admit(&mut changing, Need::new_name()).await?;
        self.add_entry(&directory, name, file.inum, attributes.kind).await?;
        let now = self.writing()?.now();
        file.change(|record| {
            record.meta.set_nlinks(record.meta.nlinks() + 1);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Removes a name of anything but a directory. The file is removed with its last name, as soon as nobody has it open.
    pub async fn unlink(&self, directory: Inum, name: &[u8]) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_removal(&mut changing).await?;
        let directory = self.directory_to_change(directory, name).await?;
        let (key, entry) = self.find_entry(&directory, name).await?.ok_or(Error::NotFound)?;
        if entry.kind == FileKind::Directory {
            return Err(Error::IsADirectory);
        }
        self.remove_name(&directory, name, (key, entry)).await
    }

    /// Removes an empty directory.
    pub async fn remove_directory(&self, directory: Inum, name: &[u8]) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_removal(&mut changing).await?;
        let directory = self.directory_to_change(directory, name).await?;
        let (key, entry) = self.find_entry(&directory, name).await?.ok_or(Error::NotFound)?;
        if entry.kind != FileKind::Directory {
            return Err(Error::NotADirectory);
        }
        self.check_empty(entry.inum).await?;
        self.remove_name(&directory, name, (key, entry)).await
    }

    /// Removes a name and its link, or neither if one of them can't be removed.
    async fn remove_name(
        &self,
        directory: &InodeRef<'_>,
        name: &[u8],
        (key, entry): (Key, Dirent),
    ) -> Result<(), Error> {
        let file = self.inode(entry.inum).await?;
        self.remove_entry(directory, key).await?;
        let dropped = self.drop_link(file, directory.inum).await;
        if dropped.is_err() {
            self.take_back([Step::Named(DirectoryName::new(directory.inum, name), entry.inum, entry.kind)]).await?;
        }
        dropped
    }

    /// Moves `name` to `new_name` in the same or another directory. A file that has the new name is replaced.
    pub async fn rename(&self, from: Inum, name: &[u8], to: Inum, new_name: &[u8]) -> Result<(), Error> {
        self.rename_with((from, name), (to, new_name), true).await
    }

    /// Moves a name like [`rename`](Self::rename), but fails if the new name exists.
    pub async fn rename_no_replace(&self, from: Inum, name: &[u8], to: Inum, new_name: &[u8]) -> Result<(), Error> {
        self.rename_with((from, name), (to, new_name), false).await
    }

    async fn rename_with(
        &self,
        (from, name): (Inum, &[u8]),
        (to, new_name): (Inum, &[u8]),
        replaces: bool,
    ) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let from = self.directory_to_change(from, name).await?;
        let to = self.directory_to_change(to, new_name).await?;
        let (key, entry) = self.find_entry(&from, name).await?.ok_or(Error::NotFound)?;
        let replaced = self.find_entry(&to, new_name).await?;
        if replaced.is_some() && !replaces {
            return Err(Error::Exists);
        }
        let is_directory = entry.kind == FileKind::Directory;
        if is_directory {
            self.check_not_below(entry.inum, to.inum).await?;
        }
        match replaced {
            Some((_, other)) if other.inum == entry.inum => return Ok(()),
            Some((_, other)) => {
                match (is_directory, other.kind == FileKind::Directory) {
                    (true, true) => self.check_empty(other.inum).await?,
                    (true, false) => return Err(Error::NotADirectory),
                    (false, true) => return Err(Error::IsADirectory),
                    (false, false) => {}
                }
                self.admit_small(&mut changing).await?;
            }
            None => self.admit(&mut changing, Need::moved_names()).await?,
        }
        let now = self.writing()?.now();
        let moved = self.inode(entry.inum).await?;
        let new_place = DirectoryName::new(to.inum, new_name);
        let counted_elsewhere = self.admit_move(&moved, to.inum).await?;
        let is_back = Step::Named(DirectoryName::new(from.inum, name), entry.inum, entry.kind);
        if let Some(other) = replaced {
            // The new name is free for a moment. If it can't be given to the moved file, its own file gets it back.
            let file = self.inode(other.1.inum).await?;
            self.remove_entry(&to, other.0).await?;
            let done = match self.move_entry(&from, (&to, new_name), (key, entry)).await {
                Ok(()) => self.drop_link(file, to.inum).await,
                failed => failed,
            };
            if done.is_err() {
                let old = Step::Named(new_place.clone(), other.1.inum, other.1.kind);
                self.take_back([Step::Unnamed(new_place, entry.inum), is_back, old]).await?;
                return done;
            }
        } else if let Err(error) = self.move_entry(&from, (&to, new_name), (key, entry)).await {
            self.take_back([Step::Unnamed(new_place, entry.inum), is_back]).await?;
            return Err(error);
        }
        moved.change(|record| {
            record.meta.set_iparent(to.inum);
            record.meta.set_ctime(now);
        });
        if let Some(counted_elsewhere) = counted_elsewhere {
            counted_elsewhere.count();
        }
        Ok(())
    }

    async fn move_entry(
        &self,
        from: &InodeRef<'_>,
        (to, new_name): (&InodeRef<'_>, &[u8]),
        (key, entry): (Key, Dirent),
    ) -> Result<(), Error> {
        self.add_entry(to, new_name, entry.inum, entry.kind).await?;
        self.remove_entry(from, key).await
    }

    /// Notes that somebody has a file open: it stays when its last name is removed.
    pub async fn open(&self, file: Inum) -> Result<(), Error> {
        let _reading = self.reading().await?;
        self.inode(file).await?.count_open(true);
        Ok(())
    }

    /// Notes that somebody has closed a file. When that fails, the file still counts as open.
    pub async fn release(&self, file: Inum) -> Result<(), Error> {
        if self.release_named(file).await? {
            return Ok(());
        }
        let _changing = self.settled().await?;
        let file = self.inode(file).await?;
        if self.goes_with(&file) {
            return self.destroy_orphan(file).await;
        }
        file.count_open(false);
        Ok(())
    }

    /// Counts a closing of a file, as a reader; if the file would be removed with it, returns false and counts nothing.
    async fn release_named(&self, file: Inum) -> Result<bool, Error> {
        let _reading = self.reading().await?;
        let file = self.inode(file).await?;
        let stays = !self.goes_with(&file);
        if stays {
            file.count_open(false);
        }
        Ok(stays)
    }

    /// True for a file without a name that nobody else has open.
    fn goes_with(&self, file: &InodeRef<'_>) -> bool {
        file.opens() <= 1 && file.with(|record| record.meta.nlinks()) == 0 && self.writing.is_some()
    }

    /// A directory that may be changed under this name. Memory for the change is allocated now: at the end of an operation it
    /// would be too late to fail.
    pub(super) async fn directory_to_change(&self, directory: Inum, name: &[u8]) -> Result<InodeRef<'_>, Error> {
        self.writing()?;
        self.relieve().await?;
        match name {
            _ if name.len() > MAX_NAME_BYTES => return Err(Error::NameTooLong),
            b"" | b"." | b".." => return Err(Error::InvalidName),
            _ if name.iter().any(|byte| matches!(byte, 0 | b'/')) => return Err(Error::InvalidName),
            _ => {}
        }
        let directory = self.directory(directory).await?;
        if directory.with(|record| record.meta.nlinks()) == 0 { Err(Error::NotFound) } else { Ok(directory) }
    }

    /// Adds an entry under the first free key of its name (format 3.5).
    pub(super) async fn add_entry(
        &self,
        directory: &InodeRef<'_>,
        name: &[u8],
        inum: Inum,
        kind: FileKind,
    ) -> Result<(), Error> {
        let methods = entry_methods(directory);
        let range = directory_hash(name);
        let entry = Dirent { inum, name_len: name.len(), kind };
        for key in range.first.0..=range.last.0 {
            let add = Modification::AddEntry { directory: directory.slot, key: Key(key), entry, name, methods };
            if self.modify(add).await? != Outcome::Exists {
                return self.touch_directory(directory);
            }
        }
        Err(Error::NoSpace)
    }

    pub(super) async fn remove_entry(&self, directory: &InodeRef<'_>, key: Key) -> Result<(), Error> {
        self.modify(Modification::RemoveEntry { directory: directory.slot, key }).await?;
        self.touch_directory(directory)
    }

    fn touch_directory(&self, directory: &InodeRef<'_>) -> Result<(), Error> {
        let now = self.writing()?.now();
        directory.change(|record| {
            record.meta.set_mtime(now);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Takes away the name that a file had in a directory, and removes the file with its last name.
    async fn drop_link(&self, file: InodeRef<'_>, directory: Inum) -> Result<(), Error> {
        let now = self.writing()?.now();
        let attributes = file.attributes()?;
        let left = if attributes.kind == FileKind::Directory { 0 } else { attributes.links.saturating_sub(1) };
        if left == 0 && file.opens() == 0 {
            return self.destroy(file).await;
        }
        let mut parent = None;
        if left == 0 {
            self.uncounting(&file, async || self.list_orphan(&file).await).await?;
        } else {
            parent = self.parent_without(&file, directory).await?;
        }
        file.change(|record: &mut InodeRecord| {
            parent.into_iter().for_each(|parent| record.meta.set_iparent(parent));
            record.meta.set_nlinks(left);
            record.meta.set_ctime(now);
        });
        Ok(())
    }

    /// Removes an inode that has no name.
    pub(super) async fn destroy(&self, file: InodeRef<'_>) -> Result<(), Error> {
        let inum = file.inum;
        let remove = Modification::RemoveInode { pfs: self.root, inum };
        self.uncounting(&file, async || self.modify(remove).await).await?;
        self.writing()?.given_back.note_freed();
        self.writing()?.commits.take_unstored(inum);
        self.files.forget(inum, Key(0));
        let slot = self.inodes.remove(file);
        self.cluster.close(slot);
        Ok(())
    }

    pub(super) async fn check_empty(&self, directory: Inum) -> Result<(), Error> {
        let directory = self.directory(directory).await?;
        let mut batch = EntryBatch::new(self.heap, 0)?;
        let scan = Command::Scan { directory: directory.slot, range: KeyRange::VISIBLE, batch: &mut batch };
        self.cluster.execute(scan).await?;
        let is_empty = batch.is_empty() && batch.damaged().is_none();
        if is_empty { Ok(()) } else { Err(Error::NotEmpty) }
    }

    /// Fails if a directory would come to lie below itself.
    pub(super) async fn check_not_below(&self, moved: Inum, to: Inum) -> Result<(), Error> {
        let mut at = to;
        while at != Inum::PFS_ROOT {
            if at == moved {
                return Err(Error::InvalidMove);
            }
            let parent = self.inode(at).await?.attributes()?.parent;
            // A parent that leads nowhere is damage; the loop must end even then.
            if parent == at {
                break;
            }
            at = parent;
        }
        Ok(())
    }
}
