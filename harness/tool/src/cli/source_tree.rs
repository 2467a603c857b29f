//! A tree of the host that files are copied from.
//!
//! Every step down is an open relative to the directory above that follows no symbolic link, so a tree that changes meanwhile
//! leads nowhere else.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use hammer2_core::media::{FileKind, Timestamp};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Opening must not wait for the other end of a pipe that took the file's place.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The identity of a file of the host: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostId {
    device: u64,
    inode: u64,
}

/// Attributes of a file of the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostFile {
    pub(super) id: HostId,
    pub(super) kind: FileKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u64,
    pub(super) size: u64,
    /// Fewer bytes are stored than its size.
    pub(super) has_holes: bool,
    /// Major and minor number of a device node.
    pub(super) device: (u32, u32),
    pub(super) atime: Timestamp,
    pub(super) mtime: Timestamp,
    /// One of its times is before 1970, so these two aren't exact.
    pub(super) is_older: bool,
}

impl HostFile {
    /// The file at a path, where symbolic links lead to.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(&rustix::fs::stat(path)?)
    }

    fn of(stat: &Stat) -> io::Result<Self> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => FileKind::Directory,
            FileType::RegularFile => FileKind::Regular,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "a kind of file HAMMER2 doesn't have")),
        };
        let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
        Ok(Self {
            id: HostId { device: stat.st_dev, inode: stat.st_ino },
            kind,
            mode: Mode::from_raw_mode(stat.st_mode).as_raw_mode(),
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink,
            size: stat.st_size.cast_unsigned(),
            has_holes: stat.st_blocks.saturating_mul(512) < stat.st_size,
            device: if is_device { (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) } else { (0, 0) },
            atime: timestamp(stat.st_atime, stat.st_atime_nsec),
            mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
            is_older: stat.st_atime < 0 || stat.st_mtime < 0,
        })
    }
}

/// Times before 1970 become 1970: the format has no earlier ones.
fn timestamp(seconds: i64, nanoseconds: u64) -> Timestamp {
    let microseconds =
        u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1_000_000) + nanoseconds / 1000);
    Timestamp { microseconds }
}

/// A directory of the host.
pub(super) struct SourceDirectory(OwnedFd);

impl SourceDirectory {
    /// The directory at a path, which may be a symbolic link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, DIRECTORY - OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// A directory in this one.
    pub(super) fn enter(&self, name: &CStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, DIRECTORY, Mode::empty())?))
    }

    /// Its attributes.
    pub(super) fn facts(&self) -> io::Result<HostFile> {
        HostFile::of(&rustix::fs::fstat(&self.0)?)
    }

    /// The attributes of a file in it.
    pub(super) fn facts_of(&self, name: &CStr) -> io::Result<HostFile> {
        HostFile::of(&rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// All names in it, in order, so that the same tree always makes the same volume.
    pub(super) fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file in it; also returns the attributes of the opened file.
    pub(super) fn open_file(&self, name: &CStr) -> io::Result<(SourceFile, HostFile)> {
        let file = File::from(rustix::fs::openat(&self.0, name, FILE, Mode::empty())?);
        let facts = HostFile::of(&rustix::fs::fstat(&file)?)?;
        if facts.kind != FileKind::Regular {
            return Err(io::Error::other("another file has just taken its place"));
        }
        Ok((SourceFile { file, has_holes: facts.has_holes }, facts))
    }

    /// Where a symbolic link in it leads.
    pub(super) fn read_link(&self, name: &CStr) -> io::Result<CString> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?)
    }
}

/// A regular file of the host.
pub(super) struct SourceFile {
    pub(super) file: File,
    has_holes: bool,
}

impl SourceFile {
    /// The next range that isn't a hole, at or after an offset; none behind the last. Without holes, the range has no end:
    /// reading finds the end of the file.
    pub(super) fn data_after(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if !self.has_holes {
            return Ok(Some(offset..u64::MAX));
        }
        let start = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            // The host knows no holes here.
            Err(Errno::INVAL) => return Ok(Some(offset..u64::MAX)),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(start..rustix::fs::seek(&self.file, SeekFrom::Hole(start))?))
    }
}
