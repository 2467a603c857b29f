//! Requests about open files and their content.

use fuser::{Errno, FopenFlags, ReplyData, ReplyEmpty, ReplyLseek, ReplyOpen, ReplyWrite};
use hammer2_core::fs::Allocation;
use hammer2_core::media::Inum;
use rustix::fs::{FallocateFlags, OFlags};

use super::asked::Range;
use super::counters::add;
use super::refusal::Refusal;
use super::server::{ANY_FILE, Server};
use super::snapshots::KeptPlace;

/// How much one request clones at most, so that others get their turn. What must be copied is less.
const CLONED_AT_ONCE: u64 = 1 << 30;

const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// The flags of every file that the kernel opens. Its cached content stays good. Closing a file sends no request: by then,
/// written bytes are in the server's memory with their room reserved, so `close` has nothing to report. Later errors are reported
/// by `fsync` and the next change.
pub(super) const OPENED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE.union(FopenFlags::FOPEN_NOFLUSH);

impl Server {
    pub(super) async fn open(&self, file: Inum, flags: OFlags, reply: ReplyOpen) {
        if let Some(place) = KeptPlace::of(file) {
            return self.open_kept(place, flags, reply).await;
        }
        match self.patience.keep_trying(async || self.fs.open(file).await).await {
            Ok(()) => reply.opened(ANY_FILE, OPENED),
            Err(error) => reply.error(self.refuse(error.into())),
        }
    }

    pub(super) async fn release(&self, file: Inum, reply: ReplyEmpty) {
        if KeptPlace::of(file).is_none() {
            self.let_go(file).await;
        }
        reply.ok();
    }

    pub(super) async fn read(&self, from: Range, bytes: usize, reply: ReplyData) {
        let mut buffer = self.buffers.of_size(bytes);
        let read = match KeptPlace::of(from.file) {
            None => {
                let read =
                    self.patience.keep_trying(async || self.fs.read(from.file, from.offset, &mut buffer).await).await;
                read.map_err(Refusal::from)
            }
            Some(place) => self.read_kept(place, from.offset, &mut buffer).await,
        };
        match read {
            Ok(count) => {
                add(&self.counters.read_bytes, count as u64);
                reply.data(&buffer[..count]);
            }
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
        self.buffers.give_back(buffer);
    }

    pub(super) async fn write(&self, to: Range, data: Vec<u8>, flags: OFlags, reply: ReplyWrite) {
        let mut written = self.patience.keep_trying(async || self.fs.write(to.file, to.offset, &data).await).await;
        if written.is_ok() && flags.intersects(OFlags::SYNC | OFlags::DSYNC) {
            written = self.patience.keep_trying(async || self.fs.fsync(to.file).await).await;
        }
        match written {
            Ok(()) => {
                add(&self.counters.written_bytes, data.len() as u64);
                let bytes = data.len() as u32;
                match flags.contains(OFlags::DIRECT) {
                    true => self.direct_writes.finish(to, bytes, reply),
                    false => reply.written(bytes),
                }
            }
            Err(error) => reply.error(self.refuse(error.into())),
        }
        self.buffers.give_back(data);
    }

    /// Serves every `close` if the kernel is older than Linux 5.16: reports here, too, if something could not be made durable.
    pub(super) async fn flush(&self, reply: ReplyEmpty) {
        self.reply_done(self.patience.keep_trying(async || self.fs.check_writes()).await, reply);
    }

    pub(super) async fn fsync(&self, file: Inum, reply: ReplyEmpty) {
        if KeptPlace::of(file).is_some() {
            return reply.ok();
        }
        self.reply_done(self.patience.keep_trying(async || self.fs.fsync(file).await).await, reply);
    }

    pub(super) async fn seek(&self, from: Range, whence: i32, reply: ReplyLseek) {
        if !matches!(whence, SEEK_DATA | SEEK_HOLE) {
            return reply.error(Errno::EINVAL);
        }
        if let Some(place) = KeptPlace::of(from.file) {
            return match self.seek_kept(place, from.offset, whence == SEEK_HOLE).await {
                Ok(offset) => reply.offset(offset.cast_signed()),
                Err(refusal) => reply.error(self.refuse(refusal)),
            };
        }
        let found = match whence {
            SEEK_DATA => self.patience.keep_trying(async || self.fs.seek_data(from.file, from.offset).await).await,
            _ => self.patience.keep_trying(async || self.fs.seek_hole(from.file, from.offset).await).await,
        };
        match found {
            Ok(offset) => reply.offset(offset.cast_signed()),
            Err(error) => reply.error(self.refuse(error.into())),
        }
    }

    pub(super) async fn fallocate(&self, range: Range, bytes: u64, mode: FallocateFlags, reply: ReplyEmpty) {
        let keep_size = mode.contains(FallocateFlags::KEEP_SIZE);
        // Ranges can't be collapsed or inserted, as a file's blocks are aligned.
        let allocation = match mode - FallocateFlags::KEEP_SIZE {
            FallocateFlags::PUNCH_HOLE if keep_size => Allocation::PunchHole,
            FallocateFlags::ZERO_RANGE => Allocation::ZeroRange,
            rest if rest.is_empty() => Allocation::Reserve,
            _ => return reply.error(Errno::EOPNOTSUPP),
        };
        let allocate = async || self.fs.allocate(range.file, range.offset, bytes, allocation, keep_size).await;
        self.reply_done(self.patience.keep_trying(allocate).await, reply);
    }

    pub(super) async fn copy(&self, from: Range, to: Range, bytes: u64, reply: ReplyWrite) {
        let bytes = bytes.min(CLONED_AT_ONCE);
        let clone = async || self.fs.clone_range(from.file, from.offset, to.file, to.offset, bytes).await;
        match self.patience.keep_trying(clone).await {
            Ok(count) => reply.written(count as u32),
            Err(error) => reply.error(self.refuse(error.into())),
        }
    }
}
