//! The nodes that were opened. More can come in while the others are in use, but none is ever removed, so a place names a node.

use core::cell::OnceCell;

use super::MAX_NODES;
use super::member::Member;
use crate::media::Uuid;
use crate::memory::{self, Box, Heap};
use crate::node::{NodeIndex, OpenError};

/// The members, each in its place.
pub(super) struct Members([OnceCell<Box<Member>>; MAX_NODES]);

impl Members {
    pub(super) fn new() -> Self {
        Self(Default::default())
    }

    /// Gives a member the next place.
    pub(super) fn push(&self, heap: Heap, member: Member) -> Result<NodeIndex, OpenError> {
        let place = self.len();
        let free = self.0.get(place).ok_or(OpenError::TooManyNodes)?;
        member.fsid.set(unknown(NodeIndex(place as u8)));
        let boxed = memory::boxed(heap, member)?;
        debug_assert!(free.get().is_none(), "places are taken in order");
        let _ = free.set(boxed);
        Ok(NodeIndex(place as u8))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().map_while(|place| place.get().map(|member| &**member))
    }

    /// The only one there is.
    pub(super) fn only(&self) -> Option<&Member> {
        match &self.0[..2] {
            [only, next] if next.get().is_none() => only.get().map(|member| &**member),
            _ => None,
        }
    }

    /// The member at a place at which one was opened.
    pub(super) fn get(&self, index: NodeIndex) -> &Member {
        self.0[usize::from(index.0)].get().expect("a node that was opened")
    }
}

/// The id of a node whose PFS isn't known: no other node has it.
pub(super) fn unknown(index: NodeIndex) -> Uuid {
    Uuid([index.0; 16])
}
