//! What a mount has been asked for, and what it took.

use std::cell::Cell;
use std::fmt;

/// Kinds of requests, as FUSE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Operation {
    Lookup,
    GetAttr,
    SetAttr,
    ReadLink,
    MkNod,
    MkDir,
    Unlink,
    RmDir,
    SymLink,
    Rename,
    Link,
    Open,
    Create,
    Read,
    Write,
    Flush,
    Release,
    FSync,
    ReadDir,
    ReadDirPlus,
    StatFs,
    Seek,
    FAllocate,
    CopyFileRange,
}

const OPERATIONS: [Operation; 24] = {
    use Operation::*;
    [
        Lookup,
        GetAttr,
        SetAttr,
        ReadLink,
        MkNod,
        MkDir,
        Unlink,
        RmDir,
        SymLink,
        Rename,
        Link,
        Open,
        Create,
        Read,
        Write,
        Flush,
        Release,
        FSync,
        ReadDir,
        ReadDirPlus,
        StatFs,
        Seek,
        FAllocate,
        CopyFileRange,
    ]
};

/// Counts since the mount.
#[derive(Default)]
pub(super) struct Counters {
    requests: [Cell<u64>; OPERATIONS.len()],
    pub(super) refused: Cell<u64>,
    pub(super) read_bytes: Cell<u64>,
    pub(super) written_bytes: Cell<u64>,
    pub(super) most_at_once: Cell<u64>,
}

impl Counters {
    pub(super) fn count(&self, operation: Operation) {
        add(&self.requests[operation as usize], 1);
    }
}

pub(super) fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operation in OPERATIONS {
            let count = self.requests[operation as usize].get();
            if count > 0 {
                write!(f, "{} {count}, ", format!("{operation:?}").to_lowercase())?;
            }
        }
        write!(
            f,
            "refused {}, bytes read {}, bytes written {}, most at once {}",
            self.refused.get(),
            self.read_bytes.get(),
            self.written_bytes.get(),
            self.most_at_once.get()
        )
    }
}
