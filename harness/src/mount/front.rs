//! The protocol's side: every request becomes a job.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use hammer2_core::media::Inum;
use rustix::fs::{FallocateFlags, OFlags};

use super::attributes::Change;
use super::buffers::Buffers;
use super::counters::Operation;
use super::files::Range;
use super::mailbox::{Mailbox, Work};
use super::names::{Entry, Owner};
use super::protocol;
use super::server::Server;
use super::snapshot::SNAPSHOT_ATTRIBUTE;
use super::snapshots::is_kept;

/// Turns requests into jobs.
pub(super) struct Front {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) buffers: Arc<Buffers>,
}

impl Front {
    fn post<W>(&self, operation: Operation, work: W)
    where
        W: for<'s> FnOnce(&'s Server) -> Work<'s> + Send + 'static,
    {
        self.mailbox.post(Box::new(move |server| {
            server.counters.count(operation);
            work(server)
        }));
    }
}

fn entry(directory: INodeNo, name: &OsStr) -> Entry {
    Entry { directory: inum(directory), name: name.to_owned() }
}

fn inum(number: INodeNo) -> Inum {
    Inum(number.0)
}

fn owner(request: &Request) -> Owner {
    Owner { uid: request.uid(), gid: request.gid() }
}

fn open_flags(flags: i32) -> OFlags {
    OFlags::from_bits_retain(flags.cast_unsigned())
}

impl Filesystem for Front {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        protocol::configure(config);
        Ok(())
    }

    fn destroy(&mut self) {
        self.mailbox.close();
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let entry = entry(parent, name);
        self.post(Operation::Lookup, move |server| Box::pin(server.lookup(entry, reply)));
    }

    fn forget(&self, _: &Request, ino: INodeNo, answers: u64) {
        self.post(Operation::Forget, move |server| Box::pin(server.forget(inum(ino), answers)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.post(Operation::GetAttr, move |server| Box::pin(server.getattr(inum(ino), reply)));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if is_kept(ino) {
            return reply.error(Errno::EROFS);
        }
        let change = Change { mode, uid, gid, size, atime, mtime, ctime };
        self.post(Operation::SetAttr, move |server| Box::pin(server.setattr(inum(ino), change, reply)));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        self.post(Operation::ReadLink, move |server| Box::pin(server.readlink(inum(ino), reply)));
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, rdev: u32, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        self.post(Operation::MkNod, move |server| Box::pin(server.mknod(entry, mode, rdev, owner, reply)));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        self.post(Operation::MkDir, move |server| Box::pin(server.mkdir(entry, mode, owner, reply)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(parent, name);
        self.post(Operation::Unlink, move |server| Box::pin(server.unlink(entry, reply)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(parent, name);
        self.post(Operation::RmDir, move |server| Box::pin(server.rmdir(entry, reply)));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner, target) = (entry(parent, link_name), owner(req), target.to_owned());
        self.post(Operation::SymLink, move |server| Box::pin(server.symlink(entry, target, owner, reply)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if is_kept(parent) || is_kept(newparent) {
            return reply.error(Errno::EROFS);
        }
        let (from, to) = (entry(parent, name), entry(newparent, newname));
        self.post(Operation::Rename, move |server| Box::pin(server.rename(from, to, flags, reply)));
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        if is_kept(ino) || is_kept(newparent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(newparent, newname);
        self.post(Operation::Link, move |server| Box::pin(server.link(inum(ino), entry, reply)));
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.post(Operation::Open, move |server| Box::pin(server.open(inum(ino), open_flags(flags.0), reply)));
    }

    fn create(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, flags: i32, reply: ReplyCreate) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        let flags = open_flags(flags);
        self.post(Operation::Create, move |server| Box::pin(server.create(entry, mode, flags, owner, reply)));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let range = Range { file: inum(ino), offset };
        self.post(Operation::Read, move |server| Box::pin(server.read(range, size as usize, reply)));
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if is_kept(ino) {
            return reply.error(Errno::EROFS);
        }
        let (range, data) = (Range { file: inum(ino), offset }, self.buffers.copy_of(data));
        let flags = open_flags(flags.0);
        self.post(Operation::Write, move |server| Box::pin(server.write(range, data, flags, reply)));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.post(Operation::Flush, move |server| Box::pin(server.flush(reply)));
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.post(Operation::Release, move |server| Box::pin(server.release(inum(ino), reply)));
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.post(Operation::FSync, move |server| Box::pin(server.fsync(inum(ino), reply)));
    }

    // ENOSYS: the kernel doesn't ask again, and keeps listings until something changes.
    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.post(Operation::ReadDir, move |server| Box::pin(server.readdir(inum(ino), offset, reply)));
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        self.post(Operation::ReadDirPlus, move |server| Box::pin(server.readdirplus(inum(ino), offset, reply)));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.post(Operation::FSync, move |server| Box::pin(server.fsync(inum(ino), reply)));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.post(Operation::StatFs, move |server| Box::pin(server.statfs(reply)));
    }

    fn setxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, value: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        if ino != INodeNo::ROOT || name != SNAPSHOT_ATTRIBUTE {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let (label, uid) = (value.to_vec(), req.uid());
        self.post(Operation::Snapshot, move |server| Box::pin(server.snapshot(label, uid, reply)));
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if is_kept(ino) {
            return reply.error(Errno::EROFS);
        }
        let range = Range { file: inum(ino), offset };
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        self.post(Operation::FAllocate, move |server| Box::pin(server.fallocate(range, length, mode, reply)));
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        let range = Range { file: inum(ino), offset };
        self.post(Operation::Seek, move |server| Box::pin(server.seek(range, whence, reply)));
    }

    fn copy_file_range(
        &self,
        _: &Request,
        ino_in: INodeNo,
        _: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        _: FileHandle,
        offset_out: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        if is_kept(ino_out) {
            return reply.error(Errno::EROFS);
        }
        if is_kept(ino_in) {
            // The kernel copies it by reading and writing.
            return reply.error(Errno::EXDEV);
        }
        let from = Range { file: inum(ino_in), offset: offset_in };
        let to = Range { file: inum(ino_out), offset: offset_out };
        self.post(Operation::CopyFileRange, move |server| Box::pin(server.copy(from, to, len, reply)));
    }
}
