//! The elements below an inode, one after the other.

use hammer2_core::cluster::{Element, Elements};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::{Inum, Key, KeyRange, ModifyTid};

/// A walk over the elements below an inode.
pub(super) struct Listing {
    inum: Inum,
    since: ModifyTid,
    remaining: Option<KeyRange>,
    fetched: Elements,
    next: usize,
}

impl Listing {
    pub(super) fn new(inum: Inum, since: ModifyTid) -> Self {
        Self { inum, since, remaining: Some(KeyRange::ALL), fetched: Elements::new(), next: 0 }
    }

    /// The next element, without going past it.
    pub(super) async fn peek(&mut self, fs: &FileSystem) -> Result<Option<Element>, Error> {
        while self.next == self.fetched.len() {
            let Some(range) = self.remaining else { return Ok(None) };
            self.next = 0;
            self.remaining = fs.list_changes(self.inum, range, self.since, &mut self.fetched).await?;
        }
        Ok(self.fetched.get(self.next).copied())
    }

    /// Goes past the next element.
    pub(super) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.fetched.len());
    }

    /// Goes past all keys through `last`.
    pub(super) fn skip_through(&mut self, last: Key) {
        while self.fetched.get(self.next).is_some_and(|element| element.span().last <= last) {
            self.next += 1;
        }
        self.remaining = self.remaining.and_then(|range| range.above(last));
    }
}
