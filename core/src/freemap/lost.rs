//! What is known after a block of the freemap was lost: which leaves it described, and how far it is counted anew what is free.

use crate::media::{Key, MirrorTid};

/// So many leaves are remembered as lost; others wait for bulkfree.
const MOST_LOST: usize = 32;

/// The keys of lost leaves.
pub(crate) type LostKeys = heapless::Vec<Key, MOST_LOST>;

/// A leaf that was lost.
#[derive(Clone, Copy)]
struct LostLeaf {
    key: Key,
    /// The flush that wrote it. Every block it said to be in use is part of what that commits, or nobody refers to it any more.
    tid: MirrorTid,
}

/// Leaves that are remembered as lost, in order.
#[derive(Default)]
pub(super) struct LostLeaves(heapless::Vec<LostLeaf, MOST_LOST>);

impl LostLeaves {
    /// Remembers a leaf that flush `tid` wrote. Those that find no place wait for bulkfree.
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

    /// How many there are of which a commit of flush `committed` says what is in use.
    pub(super) fn told_by(&self, committed: MirrorTid) -> usize {
        self.0.iter().filter(|lost| lost.tid <= committed).count()
    }

    /// Takes out those, in order.
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
    /// What is free, as far as it was counted; of the rest, everything.
    pub(super) free_bytes: u64,
}

impl Recount {
    /// Takes note of a change in a leaf, if that was counted.
    pub(super) fn note_change(&mut self, leaf: u64, freed_bytes: u64, taken_bytes: u64) {
        if leaf < self.next {
            self.free_bytes = self.free_bytes.saturating_add(freed_bytes).saturating_sub(taken_bytes);
        }
    }

    /// Takes note that there is more space.
    pub(super) fn note_more(&mut self, bytes: u64) {
        self.free_bytes = self.free_bytes.saturating_add(bytes);
    }
}
