//! The known inodes of a PFS, in a table that is filled by one walk over the inode index and serves all other checks.

use crate::media::{FileKind, InodeMeta, Inum, Key};
use crate::memory::{self, Heap, NoMemory, Vec};

/// What is known about an inode.
#[derive(Clone, Copy)]
pub(super) struct InodeFacts {
    pub(super) inum: Inum,
    pub(super) parent: Inum,
    pub(super) links: u64,
    /// The number of directory entries found for it.
    pub(super) names: u64,
    /// The directory of its first entry, and the entry's key there.
    pub(super) named_in: Inum,
    pub(super) name_key: Key,
    pub(super) kind: FileKind,
    /// True when its content was checked below another PFS that shares it.
    pub(super) content_known: bool,
    pub(super) reach: Reach,
    pub(super) next_orphan: Inum,
    /// True when it is on the list of orphans, which the next mount for writing removes.
    pub(super) listed: bool,
}

/// Whether a directory can be reached from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Not known yet.
    Unknown,
    /// The way up from it is being followed.
    Following,
    /// It can be reached, or the reason why it can't was reported.
    Settled,
}

/// A directory with limits.
#[derive(Clone, Copy)]
pub(super) struct QuotaFacts {
    pub(super) inum: Inum,
    pub(super) said: Used,
    pub(super) counted: Used,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

impl QuotaFacts {
    /// The recorded use and limits of an inode, if it has limits.
    pub(super) fn of(inum: Inum, meta: &InodeMeta) -> Option<Self> {
        // The recorded number includes the directory itself; a directory without a record has 0 there.
        let said = Used { bytes: meta.subtree_bytes(), inodes: meta.subtree_inodes().wrapping_sub(1) };
        meta.has_quota().then_some(Self { inum, said, counted: Used::default() })
    }
}

/// The inodes of a PFS, in order of their numbers.
pub(super) struct InodeTable {
    inodes: Vec<InodeFacts>,
    /// The numbers of unreadable inodes, in order.
    unreadable: Vec<Inum>,
    /// True when parts of the index can't be walked: inodes are missing from the table.
    pub(super) index_lost: bool,
    /// True when parts of directories can't be read: directory entries may be missing.
    pub(super) names_lost: bool,
    /// Directories with limits, in order of their numbers.
    pub(super) quotas: Vec<QuotaFacts>,
}

impl InodeTable {
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            inodes: Vec::new_in(heap),
            unreadable: Vec::new_in(heap),
            index_lost: false,
            names_lost: false,
            quotas: Vec::new_in(heap),
        }
    }

    /// Adds an inode. The index walk gives them in ascending order.
    pub(super) fn add(&mut self, facts: InodeFacts, quota: Option<QuotaFacts>) -> Result<(), NoMemory> {
        debug_assert!(self.inodes.last().is_none_or(|last| last.inum < facts.inum));
        if let Some(quota) = quota {
            memory::push(&mut self.quotas, quota)?;
        }
        memory::push(&mut self.inodes, facts)
    }

    /// Adds the number of an unreadable inode.
    pub(super) fn add_unreadable(&mut self, inum: Inum) -> Result<(), NoMemory> {
        memory::push(&mut self.unreadable, inum)
    }

    pub(super) fn len(&self) -> usize {
        self.inodes.len()
    }

    pub(super) fn at(&self, index: usize) -> &InodeFacts {
        &self.inodes[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut InodeFacts {
        &mut self.inodes[index]
    }

    pub(super) fn find(&self, inum: Inum) -> Option<usize> {
        self.inodes.binary_search_by_key(&inum, |facts| facts.inum).ok()
    }

    /// True when the inode may exist but can't be read.
    pub(super) fn is_unreadable(&self, inum: Inum) -> bool {
        self.index_lost || self.unreadable.binary_search(&inum).is_ok()
    }

    /// True when there may be inodes that aren't in the table.
    pub(super) fn is_incomplete(&self) -> bool {
        self.index_lost || !self.unreadable.is_empty()
    }

    /// The directory and the key of the first name found for an inode.
    pub(super) fn first_name(&self, inum: Inum) -> Option<(Inum, Key)> {
        let facts = self.at(self.find(inum)?);
        (facts.names > 0).then_some((facts.named_in, facts.name_key))
    }
}
