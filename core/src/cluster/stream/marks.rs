//! Marks for work that goes on while a value lives: on a member, or one for all.

use core::cell::Cell;

use super::{Books, Stream};
use crate::cluster::NodeIndex;
use crate::cluster::vote::NodeSet;
use crate::io::Wakers;

/// Keeps a member in one of the books' sets.
pub(super) struct Marked<'s> {
    stream: &'s Stream,
    index: NodeIndex,
    set: fn(&mut Books) -> &mut NodeSet,
}

impl<'s> Marked<'s> {
    /// Puts a member into a set; none if it is in the set already.
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
        // Waiting tasks may go on.
        self.stream.changed.wake_all();
    }
}

/// Keeps a flag of the stream raised.
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
    /// Marks that backlogs are executed beside the requests. When that ends, waiting callers execute them again.
    pub(in crate::cluster) fn keep(&self) -> Raised<'_> {
        self.is_kept.set(true);
        Raised { flag: &self.is_kept, changed: &self.changed }
    }

    /// Marks that something bad is cut out of a member's content and not copied yet: nobody asks the member meanwhile.
    pub(in crate::cluster) fn cut(&self, index: NodeIndex) -> Option<impl Drop> {
        Marked::claim(self, index, |books| &mut books.cut)
    }

    /// Marks that something is copied to a member: one at a time, and nothing is changed meanwhile.
    pub(super) async fn copy(&self) -> Raised<'_> {
        self.changed.until(|| !self.is_copying.replace(true)).await;
        Raised { flag: &self.is_copying, changed: &self.changed }
    }
}
