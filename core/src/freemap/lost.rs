//! What is known after a block of the freemap was lost: the leaves it described, and how far the new count of free space has
//! come.

use crate::media::{Key, MirrorTid};

/// How many lost leaves are remembered; others wait for bulkfree.
const MOST_LOST: usize = 32;

/// The keys of lost leaves.
pub(crate) type LostKeys = heapless::Vec<Key, MOST_LOST>;

/// A leaf that was lost.
#[derive(Clone, Copy)]
struct LostLeaf {
    key: Key,
    /// The flush that wrote it. Every block it marked as used is part of that flush's commit, or nothing refers to it any more.
    tid: MirrorTid,
}

/// The lost leaves that are remembered, in order.
#[derive(Default)]
pub(super) struct LostLeaves(heapless::Vec<LostLeaf, MOST_LOST>);

impl LostLeaves {
    /// Remembers a leaf that flush `tid` wrote. If there is no place for it, it waits for bulkfree.
    pub(super) fn add(&mut self, leaf: Key, tid: MirrorTid) {
        self.forget(leaf);
        let _ = self.0.push(LostLeaf { key: leaf, tid });
        self.0.sort_unstable_by_key(|lost| lost.key);
    }

    pub(super) fn has(&self, leaf: Key) -> bool {
        self.0.iter().any(|lost| lost.key == leaf)
    }

    pub(super) fn forget(&mut self, leaf: Key) {
        self.0.retain(|lost| lost.key != leaf);
    }

    /// The number of leaves whose used space a commit of flush `committed` shows.
    pub(super) fn told_by(&self, committed: MirrorTid) -> usize {
        self.0.iter().filter(|lost| lost.tid <= committed).count()
    }

    /// Takes out those leaves, in order.
    pub(super) fn take_told_by(&mut self, committed: MirrorTid) -> LostKeys {
        let is_told = |lost: &LostLeaf| lost.tid <= committed;
        let taken = self.0.iter().filter(|lost| is_told(lost)).map(|lost| lost.key).collect();
        self.0.retain(|lost| !is_told(lost));
        taken
    }
}

/// A count that is under way.
pub(super) struct Recount {
    /// The first leaf that wasn't counted.
    pub(super) next: u64,
    /// Free bytes: as counted, and in leaves not counted yet, all of them.
    pub(super) free_bytes: u64,
}

impl Recount {
    /// Notes a change in a leaf, if that leaf was counted.
    pub(super) fn note_change(&mut self, leaf: u64, freed_bytes: u64, taken_bytes: u64) {
        if leaf < self.next {
            self.free_bytes = self.free_bytes.saturating_add(freed_bytes).saturating_sub(taken_bytes);
        }
    }

    /// Notes that there is more space.
    pub(super) fn note_more(&mut self, bytes: u64) {
        self.free_bytes = self.free_bytes.saturating_add(bytes);
    }
}
