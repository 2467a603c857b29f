//! Attempts: what a node is asked for is done at once with what is in memory, or what stands in the way is said.
//!
//! Nothing waits inside an attempt, so that nothing is ever half done across an await, and what finds its blocks in memory makes
//! no future. An attempt that was halted is made again when what stood in its way is gone (see `drive`); what it has done so far
//! it finds done.

use super::writer::WriteError;
use super::{Node, NodeError};
use crate::chain::{ChainError, Cursor, Manner, Stop, Topology};
use crate::freemap::Allocator;
use crate::io::BlockCache;
use crate::media::{Blockref, KeyRange};
use crate::memory::NoMemory;

/// Why an attempt came to no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// This block isn't in memory.
    Needs(Blockref),
    /// As much is modified as memory allows: it must be written first.
    Full,
    /// The devices must take or end something first.
    Busy,
    /// There is no room but where it isn't known any more what is in use.
    Lost,
    /// It has failed: another attempt would, too.
    Failed(NodeError),
}

/// How far the attempts at one thing have come. Keys mean the same on every node, so another node can go on with it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    cursor: Option<Cursor>,
}

impl Progress {
    /// What is left of a walk over `range`, and whether it begins only now.
    pub(super) fn over(&mut self, range: KeyRange) -> (&mut Cursor, bool) {
        let begins = self.cursor.is_none();
        (self.cursor.get_or_insert(Cursor::new(range)), begins)
    }

    /// The walk that was begun, if one was.
    pub(super) fn begun(&mut self) -> Option<&mut Cursor> {
        self.cursor.as_mut()
    }
}

impl Node {
    /// Does `work` on the topology.
    pub(super) fn change<T>(
        &self,
        manner: Manner,
        work: impl FnOnce(&mut Topology, &mut Allocator, &BlockCache) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let (mut topology, mut allocator) = (self.topology.borrow_mut(), self.allocator.borrow_mut());
        topology.manner = manner;
        let done = work(&mut topology, &mut allocator, &self.blocks);
        topology.manner = Manner::default();
        done
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Missing(bref) => Self::Needs(bref),
            Stop::Full => Self::Full,
            Stop::Failed(error) => error.into(),
        }
    }
}

impl From<ChainError> for Halt {
    fn from(error: ChainError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NodeError> for Halt {
    fn from(error: NodeError) -> Self {
        Self::Failed(error)
    }
}

impl From<WriteError> for Halt {
    fn from(error: WriteError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NoMemory> for Halt {
    fn from(error: NoMemory) -> Self {
        Self::Failed(error.into())
    }
}
