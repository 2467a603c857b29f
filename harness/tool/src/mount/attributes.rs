//! Attributes of files in the kernel's form, and changing them.

use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, FileType, Generation, INodeNo, ReplyAttr, ReplyStatfs, TimeOrNow};
use hammer2_core::fs::{Attributes, NewAttributes, TimeSource};
use hammer2_core::media::geometry::{FILE_BLOCK_BYTES, MAX_NAME_BYTES};
use hammer2_core::media::inode::EMBEDDED_BYTES;
use hammer2_core::media::{FileKind, Inum, Timestamp};
use hammer2_host::time_source::HostTime;

use super::asked::Change;
use super::protocol::KEPT;
use super::refusal::Refusal;
use super::server::Server;
use super::snapshots::KeptPlace;

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// The unit of free space in replies to the kernel.
const FRAGMENT_BYTES: u32 = 4096;

/// How long the kernel may keep the block count of a file that isn't stored yet.
const KEPT_UNSTORED: Duration = Duration::from_secs(1);

/// A file's attributes for the kernel, and how long it may keep them.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) attr: FileAttr,
    pub(super) kept: Duration,
    /// It tells the file from another with the same number: after a crash, the number of a file that wasn't durable is given
    /// again.
    pub(super) generation: Generation,
}

impl Facts {
    /// The answer that there is no such name, for the kernel to remember.
    pub(super) const NOTHING: Self = Self {
        attr: FileAttr {
            ino: INodeNo(0),
            size: 0,
            blocks: 0,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm: 0,
            nlink: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 0,
            flags: 0,
        },
        kept: KEPT,
        generation: Generation(0),
    };

    pub(super) fn inum(&self) -> Inum {
        Inum(self.attr.ino.0)
    }
}

impl Server {
    pub(super) async fn getattr(&self, file: Inum, reply: ReplyAttr) {
        self.reply_attributes(self.facts_of(file).await, reply);
    }

    pub(super) async fn setattr(&self, file: Inum, change: Change, reply: ReplyAttr) {
        self.reply_attributes(self.change_attributes(file, &change).await, reply);
    }

    fn reply_attributes(&self, facts: Result<Facts, Refusal>, reply: ReplyAttr) {
        match facts {
            Ok(facts) => reply.attr(&facts.kept, &facts.attr),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    async fn change_attributes(&self, file: Inum, change: &Change) -> Result<Facts, Refusal> {
        let new = NewAttributes {
            mode: change.mode.map(|mode| mode & 0o7777),
            uid: change.uid,
            gid: change.gid,
            size: change.size,
            atime: change.atime.map(timestamp_or_now).transpose()?,
            mtime: change.mtime.map(timestamp_or_now).transpose()?,
            ctime: change.ctime.map(timestamp).transpose()?,
            ..NewAttributes::default()
        };
        self.patience.keep_trying(async || self.fs.set_attributes(file, &new).await).await?;
        self.facts_of(file).await
    }

    pub(super) async fn facts_of(&self, file: Inum) -> Result<Facts, Refusal> {
        if let Some(place) = KeptPlace::of(file) {
            // The recursion is at most one step deep.
            return Box::pin(self.facts_of_kept(place)).await;
        }
        Ok(facts(&self.patience.keep_trying(async || self.fs.attributes(file).await).await?))
    }

    /// Replies with the room that a writer would find now.
    pub(super) async fn statfs(&self, reply: ReplyStatfs) {
        let statistics = self.fs.settled_statistics().await;
        let fragments = |bytes: u64| bytes / u64::from(FRAGMENT_BYTES);
        // Inodes are made from free space: one fits in each chunk of 1 KiB.
        let free_inodes = statistics.free_bytes / 1024;
        reply.statfs(
            fragments(statistics.total_bytes),
            fragments(statistics.free_bytes),
            fragments(statistics.available_bytes),
            statistics.inodes + free_inodes,
            free_inodes,
            FRAGMENT_BYTES,
            MAX_NAME_BYTES as u32,
            FRAGMENT_BYTES,
        );
    }
}

/// The space that a file takes, in blocks of [`BLOCK_BYTES`].
fn blocks(attributes: &Attributes) -> u64 {
    let is_in_inode = (1..=EMBEDDED_BYTES as u64).contains(&attributes.size);
    match attributes.stored_bytes.saturating_add(attributes.unstored_bytes).div_ceil(BLOCK_BYTES) {
        // It has no block of its own, but a program that copies it must not take it for a hole.
        0 if attributes.kind == FileKind::Regular && is_in_inode => 1,
        blocks => blocks,
    }
}

pub(super) fn facts(attributes: &Attributes) -> Facts {
    let attr = FileAttr {
        ino: INodeNo(attributes.inum.0),
        size: attributes.size,
        blocks: blocks(attributes),
        atime: system_time(attributes.atime),
        mtime: system_time(attributes.mtime),
        ctime: system_time(attributes.ctime),
        crtime: system_time(attributes.btime),
        kind: file_type(attributes.kind),
        perm: attributes.mode as u16 & 0o7777,
        nlink: attributes.links.min(u32::MAX.into()) as u32,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: device_number(attributes.device),
        blksize: FILE_BLOCK_BYTES as u32,
        flags: 0,
    };
    // The kernel makes the root itself, with generation 0.
    let generation = if attributes.inum == Inum::PFS_ROOT { 0 } else { attributes.btime.microseconds };
    let kept = if attributes.unstored_bytes > 0 { KEPT_UNSTORED } else { KEPT };
    Facts { attr, kept, generation: Generation(generation) }
}

pub(super) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::Directory => FileType::Directory,
        FileKind::Regular => FileType::RegularFile,
        FileKind::Fifo => FileType::NamedPipe,
        // To Linux, a whiteout is device 0.
        FileKind::CharDevice | FileKind::Whiteout => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Socket => FileType::Socket,
    }
}

/// Major and minor as the kernel packs them into 32 bits.
fn device_number((major, minor): (u32, u32)) -> u32 {
    minor & 0xff | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// The opposite of [`device_number`].
pub(super) fn device_of(number: u32) -> (u32, u32) {
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00)
}

pub(super) fn system_time(time: Timestamp) -> SystemTime {
    let since = Duration::from_micros(time.microseconds);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The format counts microseconds since 1970: it can't hold earlier times, nor very late ones.
fn timestamp(time: SystemTime) -> Result<Timestamp, Errno> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Errno::EINVAL)?;
    Ok(Timestamp { microseconds: since.as_micros().try_into().map_err(|_| Errno::EINVAL)? })
}

fn timestamp_or_now(time: TimeOrNow) -> Result<Timestamp, Errno> {
    match time {
        TimeOrNow::SpecificTime(time) => timestamp(time),
        TimeOrNow::Now => Ok(HostTime.now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_go_both_ways() {
        for device in [(0, 0), (1, 3), (8, 255), (8, 256), (0xfff, 0xf_ffff)] {
            assert_eq!(device_of(device_number(device)), device);
        }
        assert_eq!(device_number((1, 3)), 0x103);
    }

    #[test]
    fn times_go_both_ways_and_none_is_before_1970() {
        let time = Timestamp { microseconds: 1_234_567_890_123_456 };
        assert_eq!(timestamp(system_time(time)).ok(), Some(time));
        for outside in
            [SystemTime::UNIX_EPOCH - Duration::from_nanos(1), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60)]
        {
            assert_eq!(timestamp(outside).err(), Some(Errno::EINVAL));
        }
        system_time(Timestamp { microseconds: u64::MAX });
    }
}
