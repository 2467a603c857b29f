//! A filesystem that does as little as possible: names and sizes in maps, no content. No FUSE filesystem can be faster.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, SessionACL, TimeOrNow, WriteFlags,
};

use crate::protocol::{self, KEPT};

struct Limit(Mutex<State>);

struct State {
    files: BTreeMap<u64, FileAttr>,
    directories: BTreeMap<u64, BTreeMap<OsString, u64>>,
    zeros: Vec<u8>,
}

/// Serves it until it is unmounted.
pub(crate) fn serve(directory: &Path) -> io::Result<()> {
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.mount_options = vec![MountOption::DefaultPermissions, MountOption::FSName("limit".into())];
    let root = attributes(1, FileType::Directory, 0o755);
    let state = State {
        files: BTreeMap::from([(1, root)]),
        directories: BTreeMap::from([(1, BTreeMap::new())]),
        zeros: vec![0; protocol::MOST_BYTES as usize],
    };
    fuser::mount(Limit(Mutex::new(state)), directory, &config)
}

fn attributes(number: u64, kind: FileType, mode: u32) -> FileAttr {
    let now = SystemTime::now();
    FileAttr {
        ino: INodeNo(number),
        size: 0,
        blocks: 0,
        atime: now,
        mtime: now,
        ctime: now,
        crtime: now,
        kind,
        perm: mode as u16 & 0o7777,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 65536,
        flags: 0,
    }
}

impl Limit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, parent: INodeNo, name: &OsStr) -> Option<FileAttr> {
        let number = self.directories.get(&parent.0)?.get(name)?;
        self.files.get(number).copied()
    }

    fn make(&mut self, parent: INodeNo, name: &OsStr, kind: FileType, mode: u32) -> FileAttr {
        let number = self.files.last_key_value().map_or(1, |(last, _)| last + 1);
        let made = attributes(number, kind, mode);
        self.files.insert(number, made);
        if kind == FileType::Directory {
            self.directories.insert(number, BTreeMap::new());
        }
        self.directories.entry(parent.0).or_default().insert(name.to_owned(), number);
        made
    }

    /// The entries behind the first `offset`, with their numbers and offsets.
    fn entries(&self, directory: INodeNo, offset: u64) -> impl Iterator<Item = (u64, &OsString, &FileAttr)> {
        let entries = self.directories.get(&directory.0).into_iter().flatten().enumerate().skip(offset as usize);
        entries.filter_map(|(index, (name, number))| Some((index as u64 + 1, name, self.files.get(number)?)))
    }
}

impl Filesystem for Limit {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        protocol::configure(config);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.state().find(parent, name) {
            Some(found) => reply.entry(&KEPT, &found, Generation(0)),
            None => reply.entry(&KEPT, &attributes(0, FileType::RegularFile, 0), Generation(0)),
        }
    }

    fn forget(&self, _: &Request, _: INodeNo, _: u64) {}

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().files.get(&ino.0) {
            Some(found) => reply.attr(&KEPT, found),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.state().files.get_mut(&ino.0) {
            Some(found) => {
                found.size = size.unwrap_or(found.size);
                found.perm = mode.map_or(found.perm, |mode| mode as u16 & 0o7777);
                reply.attr(&KEPT, found);
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        reply.entry(&KEPT, &self.state().make(parent, name, FileType::Directory, mode), Generation(0));
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let made = self.state().make(parent, name, FileType::RegularFile, mode);
        reply.created(&KEPT, &made, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let removed = state.directories.get_mut(&parent.0).and_then(|names| names.remove(name));
        match removed.and_then(|number| state.files.remove(&number)) {
            Some(_) => reply.ok(),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mut answer = FopenFlags::FOPEN_KEEP_CACHE;
        if flags.acc_mode() == fuser::OpenAccMode::O_RDONLY {
            answer |= FopenFlags::FOPEN_NOFLUSH;
        }
        reply.opened(FileHandle(0), answer);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(&self.state().zeros[..size as usize]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if let Some(found) = self.state().files.get_mut(&ino.0) {
            found.size = found.size.max(offset + data.len() as u64);
        }
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        for (next, name, facts) in self.state().entries(ino, offset) {
            if reply.add(facts.ino, next, facts.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        for (next, name, facts) in self.state().entries(ino, offset) {
            if reply.add(facts.ino, next, name, &KEPT, facts, Generation(0)) {
                break;
            }
        }
        reply.ok();
    }
}
