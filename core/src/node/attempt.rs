//! Attempts: a node does what it is asked for at once, with the blocks that are in memory, or says what stands in the way.
//!
//! Nothing waits inside an attempt, so nothing is ever half done across an await, and work that finds its blocks in memory makes
//! no future. A halted attempt is repeated when the obstacle is gone (see `drive`); what it had done by then stays done.

use super::writer::WriteError;
use super::{Node, NodeError};
use crate::chain::{ChainError, Cursor, Manner, Stop, Topology};
use crate::freemap::Allocator;
use crate::io::BlockCache;
use crate::media::{Blockref, KeyRange};
use crate::memory::NoMemory;

/// Why an attempt gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// This block isn't in memory.
    Needs(Blockref),
    /// Modified blocks fill the memory allowed for them: they must be written first.
    Full,
    /// The devices must first accept or complete requests.
    Busy,
    /// The only room left is where the used space is unknown.
    Lost,
    /// The attempt has failed, and another would fail too.
    Failed(NodeError),
}

/// How far the attempts at one command have come. Keys mean the same on every node, so another node can continue.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    cursor: Option<Cursor>,
}

impl Progress {
    /// The rest of a walk over `range`, and whether the walk begins only now.
    pub(super) fn over(&mut self, range: KeyRange) -> (&mut Cursor, bool) {
        let begins = self.cursor.is_none();
        (self.cursor.get_or_insert(Cursor::new(range)), begins)
    }

    /// The walk, if one was begun.
    pub(super) fn begun(&mut self) -> Option<&mut Cursor> {
        self.cursor.as_mut()
    }
}

impl Node {
    /// Calls `work` with the topology.
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
