//! Elements below an inode, one after the other.

use crate::media::{Key, KeyRange, ModifyTid};
use crate::memory::{Box, boxed};
use crate::node::{Command, Element, Elements, Node, NodeError, Reply, Slot};

/// A walk over the elements below an open inode.
pub(in crate::cluster) struct Listing<'n> {
    node: &'n Node,
    slot: Slot,
    since: ModifyTid,
    /// Keys not fetched yet.
    remaining: Option<KeyRange>,
    fetched: Option<Box<Elements>>,
    next: usize,
}

impl<'n> Listing<'n> {
    pub(in crate::cluster) fn new(node: &'n Node, slot: Slot, since: ModifyTid) -> Self {
        Self::over(node, slot, since, KeyRange::ALL)
    }

    /// The same over some keys.
    pub(in crate::cluster) fn over(node: &'n Node, slot: Slot, since: ModifyTid, range: KeyRange) -> Self {
        Self { node, slot, since, remaining: Some(range), fetched: None, next: 0 }
    }

    /// The next element, which stays the next.
    pub(in crate::cluster) async fn peek(&mut self) -> Result<Option<Element>, NodeError> {
        while self.next == self.fetched().len() {
            let Some(range) = self.remaining else { return Ok(None) };
            self.next = 0;
            let elements = match &mut self.fetched {
                Some(elements) => elements,
                none => none.insert(boxed(self.node.heap(), Elements::new())?),
            };
            let list = Command::List { slot: self.slot, range, since: self.since, elements };
            self.remaining = match self.node.execute(list).await? {
                Reply::Scanned(scanned) => scanned.remaining,
                _ => None,
            };
        }
        Ok(self.fetched().get(self.next).copied())
    }

    fn fetched(&self) -> &[Element] {
        self.fetched.as_deref().map_or(&[], |elements| &elements[..])
    }

    /// Goes past the next element.
    pub(in crate::cluster) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.fetched().len());
    }

    /// Goes past all keys through `last`.
    pub(in crate::cluster) fn skip_through(&mut self, last: Key) {
        while self.fetched().get(self.next).is_some_and(|element| element.span().last <= last) {
            self.next += 1;
        }
        self.remaining = self.remaining.and_then(|range| range.above(last));
    }
}
