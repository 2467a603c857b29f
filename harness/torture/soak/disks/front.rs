//! The FUSE side of the folder whose files are the disks.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use rustix::fs::FallocateFlags;

use super::Slots;
use super::disk::{self, Disk};

const MOST_BYTES: u32 = 1 << 20;

/// The inode number of the first disk, behind the folder's.
const FIRST_DISK: u64 = 2;

/// The kernel may keep nothing, as disks come and go.
const NOT_KEPT: Duration = Duration::ZERO;

pub(super) struct Front {
    pub(super) slots: Arc<Slots>,
}

impl Front {
    fn disk(&self, number: INodeNo) -> Result<Arc<Disk>, Errno> {
        let slot = number.0.checked_sub(FIRST_DISK).ok_or(Errno::EISDIR)?;
        self.slots.get(slot as usize).ok_or(Errno::ENOENT)
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, perm, size) = match number {
            INodeNo::ROOT => (FileType::Directory, 0o755, 0),
            disk => (FileType::RegularFile, 0o644, self.disk(disk)?.bytes()),
        };
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size / 512,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 65536,
            flags: 0,
        })
    }

    fn find(&self, name: &OsStr) -> Result<FileAttr, Errno> {
        let slot = name.to_str().and_then(super::slot_of_name).ok_or(Errno::ENOENT)?;
        self.attributes(INodeNo(slot as u64 + FIRST_DISK))
    }
}

impl Filesystem for Front {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // An older kernel lacks this, and is slower.
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        let _ = config.set_max_write(MOST_BYTES);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(name) {
            Ok(found) => reply.entry(&NOT_KEPT, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(found) => reply.attr(&NOT_KEPT, &found),
            Err(error) => reply.error(error),
        }
    }

    /// Files are opened past the host's cache, which would hide the disk's faults.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES);
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
        match self.disk(ino) {
            Ok(disk) => disk.submit(disk::Request::Read { offset, len: size as usize, reply }),
            Err(error) => reply.error(error),
        }
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
        match self.disk(ino) {
            Ok(disk) => disk.submit(disk::Request::Write { offset, data: data.to_vec(), reply }),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.disk(ino) {
            Ok(disk) => disk.submit(disk::Request::Flush { reply }),
            Err(error) => reply.error(error),
        }
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
        let is_punch = mode.cast_unsigned() & FallocateFlags::PUNCH_HOLE.bits() != 0;
        let done = match self.disk(ino) {
            Ok(disk) if is_punch => disk.punch(offset, length),
            Ok(_) => Err(Errno::EOPNOTSUPP),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}
