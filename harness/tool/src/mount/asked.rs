//! Arguments of requests: a name, a place in a file, a change, and the caller.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use fuser::TimeOrNow;
use hammer2_core::media::Inum;

/// The user and group of the caller.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A name in a directory.
pub(super) struct Entry {
    pub(super) directory: Inum,
    pub(super) name: OsString,
}

impl Entry {
    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// A range of a file's content.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) file: Inum,
    pub(super) offset: u64,
}

/// A change of attributes that the kernel wants.
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
    pub(super) ctime: Option<SystemTime>,
}
