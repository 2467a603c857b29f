//! The attributes of a file, and of the filesystem.

use super::Error;
use crate::cluster::InodeRecord;
use crate::media::{FileKind, InodeMeta, Inum, ModifyTid, Timestamp};

/// The attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its number.
    pub inum: Inum,
    /// Its type.
    pub kind: FileKind,
    /// Permission bits, 07777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The number of its names.
    pub links: u64,
    /// Length in bytes; 0 for all but regular files and symbolic links.
    pub size: u64,
    /// Bytes of media blocks that the file takes; 0 for the root, whose own blocks nobody can tell from those of its files.
    pub stored_bytes: u64,
    /// Bytes of content that are only in memory and will get blocks later. Some may replace stored content.
    pub unstored_bytes: u64,
    /// Device number of device nodes: major, minor.
    pub device: (u32, u32),
    /// A directory that contains the file; for a directory, the one above.
    pub parent: Inum,
    /// Last access, as HAMMER2 records it: reads don't change it.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Creation.
    pub btime: Timestamp,
    /// BSD's file flags.
    pub flags: u32,
    /// Compression of new data, as stored.
    pub comp_algo: u8,
    /// Check method of new data, as stored.
    pub check_algo: u8,
    /// The operation that last changed it or anything below.
    pub modify_tid: ModifyTid,
}

impl Attributes {
    pub(super) fn of(inum: Inum, record: &InodeRecord) -> Result<Self, Error> {
        let meta = &record.meta;
        let kind = meta.kind().map_err(|corruption| Error::Corrupt { inum, corruption })?;
        let is_root = inum == Inum::PFS_ROOT;
        Ok(Self {
            size: if matches!(kind, FileKind::Regular | FileKind::Symlink) { meta.size() } else { 0 },
            stored_bytes: if is_root { 0 } else { record.stats.data_bytes },
            parent: if is_root { inum } else { meta.iparent() },
            ..Self::of_meta(inum, kind, meta, record.modify_tid)
        })
    }

    /// The attributes of an inode of this kind, from its own fields. What is stored for it is left open.
    pub fn of_meta(inum: Inum, kind: FileKind, meta: &InodeMeta, modify_tid: ModifyTid) -> Self {
        Self {
            inum,
            kind,
            mode: meta.mode(),
            uid: meta.uid.unix_id(),
            gid: meta.gid.unix_id(),
            links: meta.nlinks(),
            size: meta.size(),
            stored_bytes: 0,
            unstored_bytes: 0,
            device: (meta.rmajor.get(), meta.rminor.get()),
            parent: meta.iparent(),
            atime: meta.atime(),
            mtime: meta.mtime(),
            ctime: meta.ctime(),
            btime: meta.btime(),
            flags: meta.uflags.get(),
            comp_algo: meta.comp_algo,
            check_algo: meta.check_algo,
            modify_tid,
        }
    }
}

/// Capacity and use, as statfs reports them (format 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Capacity in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Free bytes for all but root: 5 % are withheld.
    pub available_bytes: u64,
    /// Inodes of the PFS.
    pub inodes: u64,
}

impl Statistics {
    pub(super) fn new(total_bytes: u64, free_bytes: u64, inodes: u64) -> Self {
        // A growfs by other writers counts more space as free than there is (format 11).
        let free_bytes = free_bytes.min(total_bytes);
        Self { total_bytes, free_bytes, available_bytes: free_bytes.saturating_sub(total_bytes / 20), inodes }
    }
}
