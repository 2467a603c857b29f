//! Listing the elements below an inode, one after the other.

use crate::media::{Key, KeyRange, ModifyTid};
use crate::memory::{Box, boxed};
use crate::node::{Command, Element, Elements, Node, NodeError, Reply, Slot};

/// A walk over the elements below an open inode.
pub(in crate::cluster) struct Listing<'n> {
    node: &'n Node,
    slot: Slot,
    since: ModifyTid,
    /// Keys that weren't fetched yet.
    remaining: Option<KeyRange>,
    fetched: Option<Box<Elements>>,
    next: usize,
}

impl<'n> Listing<'n> {
    pub(in crate::cluster) fn new(node: &'n Node, slot: Slot, since: ModifyTid) -> Self {
        Self::over(node, slot, since, KeyRange::ALL)
    }

    /// Walks over the elements under some keys.
    pub(in crate::cluster) fn over(node: &'n Node, slot: Slot, since: ModifyTid, range: KeyRange) -> Self {
        Self { node, slot, since, remaining: Some(range), fetched: None, next: 0 }
    }

    /// The next element, without passing it.
    pub(in crate::cluster) async fn peek(&mut self) -> Result<Option<Element>, NodeError> {
        self.peek_through(|| Some(Key::MAX)).await
    }

    /// The next element, without passing it, unless it is beyond a key: elements there may not have been fetched.
    pub(in crate::cluster) async fn peek_through(
        &mut self,
        last: impl FnOnce() -> Option<Key>,
    ) -> Result<Option<Element>, NodeError> {
        if self.next < self.fetched().len() {
            return Ok(self.fetched().get(self.next).copied());
        }
        let Some(last) = last() else { return Ok(None) };
        while self.next == self.fetched().len() {
            let Some(all) = self.remaining.filter(|all| all.first <= last) else { return Ok(None) };
            let range = KeyRange { first: all.first, last: all.last.min(last) };
            self.next = 0;
            let elements = match &mut self.fetched {
                Some(elements) => elements,
                none => none.insert(boxed(self.node.heap(), Elements::new())?),
            };
            let list = Command::List { slot: self.slot, range, since: self.since, elements };
            let rest = match self.node.execute(list).await? {
                Reply::Scanned(scanned) => scanned.remaining,
                _ => None,
            };
            self.remaining = match rest {
                Some(rest) => Some(KeyRange { first: rest.first, last: all.last }),
                None => all.above(range.last),
            };
        }
        Ok(self.fetched().get(self.next).copied())
    }

    /// The last key of the gapless stretch of changes that begins at the element passed last, as far as was fetched.
    pub(in crate::cluster) fn changed_through(&self) -> Option<Key> {
        let known = self.fetched().get(self.next.saturating_sub(1)..).unwrap_or(&[]);
        let is_unchanged = |element: &&Element| matches!(element, Element::Unchanged(_));
        match known.iter().find(is_unchanged) {
            Some(gap) => gap.span().first.0.checked_sub(1).map(Key),
            None => known.last().map(|element| element.span().last),
        }
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
