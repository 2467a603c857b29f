//! Counters of a mount's requests, and of what they took.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

/// Kinds of requests, as FUSE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Lookup,
    Forget,
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
    Snapshot,
}

impl Operation {
    /// Its name in small letters.
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Counts since the mount.
#[derive(Default)]
pub(super) struct Counters {
    /// Only kinds that were asked for.
    requests: RefCell<BTreeMap<Operation, u64>>,
    pub(super) refused: Cell<u64>,
    pub(super) read_bytes: Cell<u64>,
    pub(super) written_bytes: Cell<u64>,
    pub(super) most_at_once: Cell<u64>,
    /// Requests that weren't served by the thread that read them.
    pub(super) had_to_wait: Cell<u64>,
    /// Snapshots that were opened, each time.
    pub(super) snapshots_opened: Cell<u64>,
    /// Nodes of the cluster that left, and that were brought back.
    pub(super) nodes_left: Cell<u64>,
    pub(super) nodes_back: Cell<u64>,
}

impl Counters {
    /// How often each kind of request came.
    pub(super) fn by_operation(&self) -> Vec<(String, u64)> {
        let requests = self.requests.borrow();
        requests.iter().map(|(operation, count)| (operation.name(), *count)).collect()
    }

    pub(super) fn count(&self, operation: Operation) {
        *self.requests.borrow_mut().entry(operation).or_default() += 1;
    }
}

pub(super) fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, count) in self.requests.borrow().iter() {
            write!(f, "{} {count}, ", operation.name())?;
        }
        write!(
            f,
            "refused {}, bytes read {}, bytes written {}, most at once {}, had to wait {}, snapshots opened {}, \
             nodes left {}, nodes back {}",
            self.refused.get(),
            self.read_bytes.get(),
            self.written_bytes.get(),
            self.most_at_once.get(),
            self.had_to_wait.get(),
            self.snapshots_opened.get(),
            self.nodes_left.get(),
            self.nodes_back.get()
        )
    }
}
