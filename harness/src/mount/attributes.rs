//! What is known of files, as the kernel wants it, and changing it.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo, ReplyAttr, ReplyStatfs, TimeOrNow};
use hammer2_core::fs::{Attributes, NewAttributes, TimeSource};
use hammer2_core::media::geometry::{FILE_BLOCK_BYTES, MAX_NAME_BYTES};
use hammer2_core::media::{FileKind, Inum, Timestamp};

use super::protocol::KEPT;
use super::refusal::Refusal;
use super::server::Server;
use crate::time_source::HostTime;

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

/// The unit of free space the kernel is told.
const FRAGMENT_BYTES: u32 = 4096;

/// What the kernel wants changed.
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
    pub(super) ctime: Option<SystemTime>,
}

impl Server {
    pub(super) async fn getattr(&self, file: Inum, reply: ReplyAttr) {
        match self.attributes_of(file).await {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    pub(super) async fn setattr(&self, file: Inum, change: Change, reply: ReplyAttr) {
        match self.change_attributes(file, &change).await {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    async fn change_attributes(&self, file: Inum, change: &Change) -> Result<FileAttr, Refusal> {
        let new = NewAttributes {
            mode: change.mode.map(|mode| mode & 0o7777),
            uid: change.uid,
            gid: change.gid,
            size: change.size,
            atime: change.atime.map(timestamp_or_now),
            mtime: change.mtime.map(timestamp_or_now),
            ctime: change.ctime.map(timestamp),
            ..NewAttributes::default()
        };
        let changed = self.with_room(async || self.fs.set_attributes(file, &new).await).await;
        if change.size.is_some() {
            self.may_have_freed(changed)?
        } else {
            changed?
        };
        self.attributes_of(file).await
    }

    pub(super) async fn attributes_of(&self, file: Inum) -> Result<FileAttr, Refusal> {
        Ok(file_attr(&self.patiently(async || self.fs.attributes(file).await).await?))
    }

    pub(super) async fn statfs(&self, reply: ReplyStatfs) {
        let statistics = self.fs.statistics();
        let fragments = |bytes: u64| bytes / u64::from(FRAGMENT_BYTES);
        // Inodes come from free space: as many more as chunks of 1 KiB.
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

pub(super) fn file_attr(attributes: &Attributes) -> FileAttr {
    // What lies in the inode, or only in memory, takes no block yet; but a file with content must not look like a hole.
    let stored_bytes = if attributes.stored_bytes > 0 { attributes.stored_bytes } else { attributes.size };
    FileAttr {
        ino: INodeNo(attributes.inum.0),
        size: attributes.size,
        blocks: stored_bytes.div_ceil(BLOCK_BYTES),
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
    }
}

pub(super) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::Directory => FileType::Directory,
        FileKind::Regular => FileType::RegularFile,
        FileKind::Fifo => FileType::NamedPipe,
        // Linux has no other name for a whiteout than device 0.
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

fn system_time(time: Timestamp) -> SystemTime {
    let since = Duration::from_micros(time.microseconds);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The format knows no time before 1970.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp { microseconds: since.as_micros().try_into().unwrap_or(u64::MAX) }
}

fn timestamp_or_now(time: TimeOrNow) -> Timestamp {
    match time {
        TimeOrNow::SpecificTime(time) => timestamp(time),
        TimeOrNow::Now => HostTime.now(),
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
        assert_eq!(timestamp(system_time(time)), time);
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(timestamp(before), Timestamp { microseconds: 0 });
        system_time(Timestamp { microseconds: u64::MAX });
    }
}
