//! What somebody is doing at the moment, as long as a value lives: a member's mark, or one for all.

use core::cell::Cell;

use super::{Books, Stream};
use crate::cluster::NodeIndex;
use crate::cluster::vote::NodeSet;
use crate::io::Wakers;

/// A member is in one of the books' sets.
pub(super) struct Marked<'s> {
    stream: &'s Stream,
    index: NodeIndex,
    set: fn(&mut Books) -> &mut NodeSet,
}

impl<'s> Marked<'s> {
    /// Puts a member into a set; none if it is there.
    pub(super) fn claim(stream: &'s Stream, index: NodeIndex, set: fn(&mut Books) -> &mut NodeSet) -> Option<Self> {
        let mut books = stream.books.borrow_mut();
        let members = set(&mut books);
        if members.contains(index) {
            return None;
        }
        members.insert(index);
        drop(books);
        Some(Self { stream, index, set })
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        (self.set)(&mut self.stream.books.borrow_mut()).remove(self.index);
        // Others may go on.
        self.stream.changed.wake_all();
    }
}

/// A flag of the stream is up.
pub(in crate::cluster) struct Raised<'s> {
    flag: &'s Cell<bool>,
    changed: &'s Wakers,
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.flag.set(false);
        self.changed.wake_all();
    }
}

impl Stream {
    /// Somebody executes backlogs beside the requests. Whoever waits executes them again when that ends.
    pub(in crate::cluster) fn keep(&self) -> Raised<'_> {
        self.is_kept.set(true);
        Raised { flag: &self.is_kept, changed: &self.changed }
    }

    /// Something bad is cut out of a member's content, and isn't back before it is copied: nobody asks the member meanwhile.
    pub(in crate::cluster) fn cut(&self, index: NodeIndex) -> Option<impl Drop> {
        Marked::claim(self, index, |books| &mut books.cut)
    }

    /// Something is copied to a member: one at a time, and nothing is changed meanwhile.
    pub(super) async fn copy(&self) -> Raised<'_> {
        self.changed.until(|| !self.is_copying.replace(true)).await;
        Raised { flag: &self.is_copying, changed: &self.changed }
    }
}
