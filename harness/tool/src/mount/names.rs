//! Requests about names.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use fuser::{Errno, RenameFlags, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry};
use hammer2_core::fs::NewFile;
use hammer2_core::media::{FileKind, Inum};
use rustix::fs::OFlags;

use super::asked::{Entry, Owner};
use super::attributes::{Facts, device_of};
use super::files::OPENED;
use super::refusal::Refusal;
use super::server::{ANY_FILE, Server};
use super::snapshots::KeptPlace;

/// The longest target of a symbolic link in Linux.
const MAX_TARGET_BYTES: usize = 4096;

const TYPE_BITS: u32 = 0o170_000;

impl Server {
    pub(super) async fn lookup(&self, entry: Entry, reply: ReplyEntry) {
        match KeptPlace::of(entry.directory) {
            // Snapshots come and go without the kernel.
            Some(KeptPlace::Folder) => self.reply_entry(self.find_kept(KeptPlace::Folder, entry.name()).await, reply),
            Some(place) => self.reply_found(self.find_kept(place, entry.name()).await, reply),
            None if self.is_snapshot_folder(&entry).await => self.reply_entry(self.facts_of_folder().await, reply),
            None => self.reply_found(self.find(&entry).await, reply),
        }
    }

    async fn find(&self, entry: &Entry) -> Result<Facts, Refusal> {
        match entry.name() {
            // A file that is opened by its handle is known by its number only.
            b"." => return self.facts_of(entry.directory).await,
            b".." => {
                let parent =
                    self.patience.keep_trying(async || self.fs.attributes(entry.directory).await).await?.parent;
                return self.facts_of(parent).await;
            }
            _ => {}
        }
        let file = self.patience.keep_trying(async || self.fs.lookup(entry.directory, entry.name()).await).await?;
        // An entry without its inode is damage, not a name that isn't there.
        self.facts_of(file).await.map_err(|refusal| match refusal.errno {
            Errno::ENOENT => Errno::EIO.into(),
            _ => refusal,
        })
    }

    pub(super) async fn mknod(&self, entry: Entry, mode: u32, device: u32, owner: Owner, reply: ReplyEntry) {
        let kind = match mode & TYPE_BITS {
            0 | 0o100_000 => FileKind::Regular,
            0o010_000 => FileKind::Fifo,
            0o020_000 => FileKind::CharDevice,
            0o060_000 => FileKind::BlockDevice,
            0o140_000 => FileKind::Socket,
            _ => return reply.error(Errno::EINVAL),
        };
        let new = NewFile { device: device_of(device), ..NewFile::new(kind, mode) };
        self.reply_entry(self.make(&entry, new, owner).await, reply);
    }

    pub(super) async fn mkdir(&self, entry: Entry, mode: u32, owner: Owner, reply: ReplyEntry) {
        self.reply_entry(self.make(&entry, NewFile::new(FileKind::Directory, mode), owner).await, reply);
    }

    pub(super) async fn symlink(&self, entry: Entry, target: PathBuf, owner: Owner, reply: ReplyEntry) {
        let target = target.into_os_string().into_vec();
        if target.len() >= MAX_TARGET_BYTES {
            return reply.error(Errno::ENAMETOOLONG);
        }
        let new = NewFile { target: &target, ..NewFile::new(FileKind::Symlink, 0o777) };
        self.reply_entry(self.make(&entry, new, owner).await, reply);
    }

    pub(super) async fn create(&self, entry: Entry, mode: u32, flags: OFlags, owner: Owner, reply: ReplyCreate) {
        match self.make_open(&entry, mode, flags, owner).await {
            Ok(facts) => {
                self.known.count(facts.inum());
                reply.created(&facts.kept, &facts.attr, facts.generation, ANY_FILE, OPENED);
            }
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    async fn make_open(&self, entry: &Entry, mode: u32, flags: OFlags, owner: Owner) -> Result<Facts, Refusal> {
        let facts = match self.make(entry, NewFile::new(FileKind::Regular, mode), owner).await {
            Err(Refusal { errno: Errno::EEXIST, .. }) if !flags.contains(OFlags::EXCL) => self.find(entry).await?,
            made => made?,
        };
        self.patience.keep_trying(async || self.fs.open(facts.inum()).await).await?;
        Ok(facts)
    }

    /// Makes a file that belongs to the caller; its group is the directory's if the directory's mode says so.
    async fn make(&self, entry: &Entry, new: NewFile<'_>, owner: Owner) -> Result<Facts, Refusal> {
        let new = NewFile { mode: new.mode & 0o7777, uid: owner.uid, gid: owner.gid, ..new };
        let file =
            self.patience.keep_trying(async || self.fs.create(entry.directory, entry.name(), &new).await).await?;
        self.facts_of(file).await
    }

    pub(super) async fn link(&self, file: Inum, entry: Entry, reply: ReplyEntry) {
        let linked =
            match self.patience.keep_trying(async || self.fs.link(file, entry.directory, entry.name()).await).await {
                Ok(()) => self.facts_of(file).await,
                Err(error) => Err(error.into()),
            };
        self.reply_entry(linked, reply);
    }

    pub(super) async fn unlink(&self, entry: Entry, reply: ReplyEmpty) {
        let unlink = async || self.fs.unlink(entry.directory, entry.name()).await;
        self.reply_done(self.keeping_known(&entry, async || self.patience.keep_trying(unlink).await).await, reply);
    }

    pub(super) async fn rmdir(&self, entry: Entry, reply: ReplyEmpty) {
        if self.is_snapshot_folder(&entry).await {
            return reply.error(Errno::EROFS);
        }
        let remove = async || self.fs.remove_directory(entry.directory, entry.name()).await;
        self.reply_done(self.keeping_known(&entry, async || self.patience.keep_trying(remove).await).await, reply);
    }

    pub(super) async fn rename(&self, from: Entry, to: Entry, flags: RenameFlags, reply: ReplyEmpty) {
        if self.is_snapshot_folder(&from).await || self.is_snapshot_folder(&to).await {
            return reply.error(Errno::EROFS);
        }
        if flags == RenameFlags::RENAME_NOREPLACE {
            let (name, new_name) = (from.name(), to.name());
            let rename = async || self.fs.rename_no_replace(from.directory, name, to.directory, new_name).await;
            return self.reply_done(self.patience.keep_trying(rename).await, reply);
        } else if flags == RenameFlags::RENAME_EXCHANGE {
            let exchange = async || self.fs.exchange(from.directory, from.name(), to.directory, to.name()).await;
            return self.reply_done(self.patience.keep_trying(exchange).await, reply);
        } else if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let rename = async || self.fs.rename(from.directory, from.name(), to.directory, to.name()).await;
        self.reply_done(self.keeping_known(&to, async || self.patience.keep_trying(rename).await).await, reply);
    }

    pub(super) async fn readlink(&self, link: Inum, reply: ReplyData) {
        let mut target = [0; MAX_TARGET_BYTES];
        let read = match KeptPlace::of(link) {
            None => {
                let read = self.patience.keep_trying(async || self.fs.read_link(link, &mut target).await).await;
                read.map_err(Refusal::from)
            }
            Some(place) => self.read_kept_link(place, &mut target).await,
        };
        match read {
            Ok(len) => reply.data(&target[..len.min(MAX_TARGET_BYTES)]),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }
}
