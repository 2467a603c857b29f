//! Facts about a file, as one process sends them to another.

use hammer2_core::fs::{Attributes, Error, FileSystem};
use hammer2_core::media::{FileKind, Inum, Timestamp};
use serde::{Deserialize, Serialize};

/// Longer targets of symbolic links are cut off.
const SHOWN_TARGET_BYTES: usize = 4096;

/// Where a symbolic link points to; nothing for other files.
pub(crate) async fn link_target(fs: &FileSystem, file: &Attributes) -> Result<Option<Vec<u8>>, Error> {
    if file.kind != FileKind::Symlink {
        return Ok(None);
    }
    let mut target = vec![0; SHOWN_TARGET_BYTES];
    let len = fs.read_link(file.inum, &mut target).await?;
    target.truncate(len);
    Ok(Some(target))
}

/// A file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its number.
    pub inum: u64,
    /// Its type, as the format's code.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names.
    pub links: u64,
    /// Length in bytes.
    pub size: u64,
    /// Bytes of media blocks it takes.
    pub stored_bytes: u64,
    /// Device number of device nodes: major, minor.
    pub device: (u32, u32),
    /// The number of a directory it is in.
    pub parent: u64,
    /// Last access, in microseconds since 1970, like the other times.
    pub atime_us: u64,
    /// Last change of the content.
    pub mtime_us: u64,
    /// Last change of the inode.
    pub ctime_us: u64,
    /// Creation.
    pub btime_us: u64,
    /// BSD's file flags.
    pub flags: u32,
    /// Compression of new data, as stored.
    pub compression: u8,
    /// Check method of new data, as stored.
    pub check: u8,
    /// The operation that last changed it or anything below.
    pub modify_tid: u64,
    /// Where a symbolic link points to.
    pub target: Option<Vec<u8>>,
}

impl FileFacts {
    /// Looks at a file.
    pub async fn look(fs: &FileSystem, inum: Inum) -> Result<Self, Error> {
        let file = fs.attributes(inum).await?;
        let target = link_target(fs, &file).await?;
        Ok(Self::of(&file, target))
    }

    /// The facts about a file, with the target if it is a symbolic link.
    pub fn of(file: &Attributes, target: Option<Vec<u8>>) -> Self {
        let us = |time: Timestamp| time.microseconds;
        Self {
            inum: file.inum.0,
            kind: file.kind as u8,
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
            links: file.links,
            size: file.size,
            stored_bytes: file.stored_bytes,
            device: file.device,
            parent: file.parent.0,
            atime_us: us(file.atime),
            mtime_us: us(file.mtime),
            ctime_us: us(file.ctime),
            btime_us: us(file.btime),
            flags: file.flags,
            compression: file.comp_algo,
            check: file.check_algo,
            modify_tid: file.modify_tid.0,
            target,
        }
    }
}
