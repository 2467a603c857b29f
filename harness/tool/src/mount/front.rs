//! The side of the FUSE protocol: every request is served by the thread that reads it.

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

use super::asked::{Change, Entry, Owner, Range};
use super::buffers::Buffers;
use super::counters::Operation;
use super::inside::{Mounted, Serving};
use super::mailbox::Mailbox;
use super::protocol;
use super::snapshot::SNAPSHOT_ATTRIBUTE;
use super::snapshots::is_kept;

/// Serves requests.
pub(super) struct Front {
    pub(super) mounted: Arc<Mounted>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) buffers: Arc<Buffers>,
}

impl Front {
    fn serve<F>(&self, operation: Operation, work: impl FnOnce(Serving) -> F + Send)
    where
        F: Future<Output = ()> + 'static,
    {
        self.mounted.enter(move |inside| inside.serve(operation, work));
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
        self.serve(Operation::Lookup, move |server| async move { server.lookup(entry, reply).await });
    }

    fn forget(&self, _: &Request, ino: INodeNo, answers: u64) {
        self.serve(Operation::Forget, move |server| async move { server.forget(inum(ino), answers).await });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.serve(Operation::GetAttr, move |server| async move { server.getattr(inum(ino), reply).await });
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
        self.serve(Operation::SetAttr, move |server| async move { server.setattr(inum(ino), change, reply).await });
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        self.serve(Operation::ReadLink, move |server| async move { server.readlink(inum(ino), reply).await });
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, rdev: u32, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        self.serve(Operation::MkNod, move |server| async move { server.mknod(entry, mode, rdev, owner, reply).await });
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        self.serve(Operation::MkDir, move |server| async move { server.mkdir(entry, mode, owner, reply).await });
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(parent, name);
        self.serve(Operation::Unlink, move |server| async move { server.unlink(entry, reply).await });
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(parent, name);
        self.serve(Operation::RmDir, move |server| async move { server.rmdir(entry, reply).await });
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner, target) = (entry(parent, link_name), owner(req), target.to_owned());
        self.serve(Operation::SymLink, move |server| async move { server.symlink(entry, target, owner, reply).await });
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
        self.serve(Operation::Rename, move |server| async move { server.rename(from, to, flags, reply).await });
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        if is_kept(ino) || is_kept(newparent) {
            return reply.error(Errno::EROFS);
        }
        let entry = entry(newparent, newname);
        self.serve(Operation::Link, move |server| async move { server.link(inum(ino), entry, reply).await });
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.serve(
            Operation::Open,
            move |server| async move { server.open(inum(ino), open_flags(flags.0), reply).await },
        );
    }

    fn create(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, flags: i32, reply: ReplyCreate) {
        if is_kept(parent) {
            return reply.error(Errno::EROFS);
        }
        let (entry, owner) = (entry(parent, name), owner(req));
        let flags = open_flags(flags);
        self.serve(
            Operation::Create,
            move |server| async move { server.create(entry, mode, flags, owner, reply).await },
        );
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
        self.serve(Operation::Read, move |server| async move { server.read(range, size as usize, reply).await });
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
        self.serve(Operation::Write, move |server| async move { server.write(range, data, flags, reply).await });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.serve(Operation::Flush, move |server| async move { server.flush(reply).await });
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
        self.serve(Operation::Release, move |server| async move { server.release(inum(ino), reply).await });
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.serve(Operation::FSync, move |server| async move { server.fsync(inum(ino), reply).await });
    }

    // ENOSYS: the kernel doesn't ask again, and keeps listings until something changes.
    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.serve(Operation::ReadDir, move |server| async move { server.readdir(inum(ino), offset, reply).await });
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        self.serve(
            Operation::ReadDirPlus,
            move |server| async move { server.readdirplus(inum(ino), offset, reply).await },
        );
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.serve(Operation::FSync, move |server| async move { server.fsync(inum(ino), reply).await });
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.serve(Operation::StatFs, move |server| async move { server.statfs(reply).await });
    }

    fn setxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, value: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        if ino != INodeNo::ROOT || name != SNAPSHOT_ATTRIBUTE {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let (label, uid) = (value.to_vec(), req.uid());
        self.serve(Operation::Snapshot, move |server| async move { server.snapshot(label, uid, reply).await });
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
        self.serve(
            Operation::FAllocate,
            move |server| async move { server.fallocate(range, length, mode, reply).await },
        );
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        let range = Range { file: inum(ino), offset };
        self.serve(Operation::Seek, move |server| async move { server.seek(range, whence, reply).await });
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
            // The kernel then copies by reading and writing.
            return reply.error(Errno::EXDEV);
        }
        let from = Range { file: inum(ino_in), offset: offset_in };
        let to = Range { file: inum(ino_out), offset: offset_out };
        self.serve(Operation::CopyFileRange, move |server| async move { server.copy(from, to, len, reply).await });
    }
}
