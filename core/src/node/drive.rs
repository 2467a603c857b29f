//! Repeating attempts until one gives an answer, and waiting in between for what stands in the way.

use super::attempt::{Halt, Progress};
use super::directory::pass_over;
use super::{Command, Modification, Node, NodeError, NodeFault, Outcome, Reply};
use crate::chain::{ChainError, Held, Manner, Stop, Topology, load_missing_by};
use crate::freemap::Allocator;
use crate::io::{Block, BlockCache, ReadError};
use crate::media::{BlockKind, Blockref, ModifyTid};
use crate::memory::{NoMemory, aside};

/// Clears the way for the attempts at one command.
pub(crate) struct Driver<'n> {
    node: &'n Node,
    held: Held<'n>,
    /// The count of moved blocks when the first of the held blocks was loaded.
    moves: u64,
    /// True when all modified blocks were written for this command.
    over_limit: bool,
}

impl<'n> Driver<'n> {
    pub(crate) fn new(node: &'n Node) -> Self {
        Self { node, held: Held::default(), moves: node.moves.get(), over_limit: false }
    }

    /// Makes an attempt at a modification for which the way was cleared.
    pub(crate) fn attempt_change(
        &self,
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        progress: &mut Progress,
    ) -> Result<Outcome, Halt> {
        self.node.attempt_change_in(self.manner(), tid, modification, progress)
    }

    /// The manner in which the next attempt makes changes.
    fn manner(&self) -> Manner {
        Manner { over_limit: self.over_limit, copied_stamp: None }
    }

    /// Waits until what halted an attempt is gone.
    pub(crate) async fn clear(&mut self, halt: Halt) -> Result<(), Blocked> {
        match halt {
            Halt::Needs(bref) => self.load(&bref).await,
            Halt::Full => {
                aside(self.node.heap, || self.node.write_back())?.await?;
                self.over_limit = true;
                Ok(())
            }
            Halt::Busy => {
                aside(self.node.heap, || self.node.ready())?.await?;
                Ok(aside(self.node.heap, || self.node.make_room())?.await?)
            }
            Halt::Lost => Ok(aside(self.node.heap, || self.node.free_lost())?.await.map(drop)?),
            Halt::Failed(error) => Err(error.into()),
        }
    }

    async fn load(&mut self, bref: &Blockref) -> Result<(), Blocked> {
        // Blocks written meanwhile are elsewhere now, and others may be in their old places.
        if self.moves != self.node.moves.get() {
            self.held.clear();
            self.moves = self.node.moves.get();
        }
        self.held.check(bref)?;
        let block = match self.node.load(bref).await {
            Err(error) if error.is_lost_freemap() => {
                return Ok(aside(self.node.heap, || self.node.replace_freemap(error))?.await?);
            }
            // Another block may be in this place now: the next attempt looks again.
            Err(_) if self.moves != self.node.moves.get() => return Ok(()),
            loaded => loaded?,
        };
        // The next attempt takes a file block out of the cache, for which it must be the only holder.
        if !bref.is(BlockKind::Data) {
            self.held.keep(bref, block);
        }
        Ok(())
    }
}

/// Why the way for an attempt can't be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A block can't be read.
    By(ChainError),
    /// Another error.
    Otherwise(NodeError),
}

impl Blocked {
    /// Lets a scan continue after an unreadable block; any other command fails.
    pub(crate) fn pass(self, command: &mut Command<'_>, progress: &mut Progress) -> Result<(), NodeError> {
        match (self, command) {
            (Self::By(error), Command::Scan { batch, .. }) => pass_over(batch, progress, error),
            (blocked, _) => Err(blocked.into()),
        }
    }
}

impl From<ChainError> for Blocked {
    fn from(error: ChainError) -> Self {
        Self::By(error)
    }
}

impl From<NodeError> for Blocked {
    fn from(error: NodeError) -> Self {
        Self::Otherwise(error)
    }
}

impl From<NoMemory> for Blocked {
    fn from(error: NoMemory) -> Self {
        Self::Otherwise(error.into())
    }
}

impl From<Blocked> for NodeError {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::By(error) => error.into(),
            Blocked::Otherwise(error) => error,
        }
    }
}

impl Node {
    /// Executes a command. An error says nothing about content: it is a fault of the node, or want of memory.
    pub async fn execute(&self, mut command: Command<'_>) -> Result<Reply, NodeError> {
        let mut progress = Progress::default();
        match self.attempt(&mut command, &mut progress) {
            Ok(reply) => Ok(reply),
            Err(halt) => self.resume(command, progress, halt).await,
        }
    }

    /// Continues a command after an attempt that was halted.
    pub(crate) async fn resume(
        &self,
        mut command: Command<'_>,
        mut progress: Progress,
        mut halt: Halt,
    ) -> Result<Reply, NodeError> {
        let mut driver = Driver::new(self);
        loop {
            if let Err(blocked) = driver.clear(halt).await {
                blocked.pass(&mut command, &mut progress)?;
            }
            halt = match self.attempt(&mut command, &mut progress) {
                Ok(reply) => return Ok(reply),
                Err(halt) => halt,
            };
        }
    }

    /// Executes a modification. If it fails, nothing was changed except the shape of the topology.
    pub async fn modify(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, NodeError> {
        self.modify_in(tid, modification, None).await
    }

    /// Continues a modification after an attempt that was halted.
    pub(crate) async fn resume_change(
        &self,
        tid: ModifyTid,
        mut modification: Modification<'_>,
        mut progress: Progress,
        halt: Halt,
    ) -> Result<Outcome, NodeError> {
        let attempt = |manner| self.attempt_change_in(manner, tid, &mut modification, &mut progress);
        self.drive_after(Some(halt), attempt).await
    }

    /// Executes a modification in a given manner.
    pub(super) async fn modify_in(
        &self,
        tid: ModifyTid,
        mut modification: Modification<'_>,
        copied_stamp: Option<ModifyTid>,
    ) -> Result<Outcome, NodeError> {
        let mut progress = Progress::default();
        self.drive(|manner| {
            let manner = Manner { copied_stamp, ..manner };
            self.attempt_change_in(manner, tid, &mut modification, &mut progress)
        })
        .await
    }

    /// Repeats attempts until one gives an answer.
    pub(super) async fn drive<T>(&self, attempt: impl FnMut(Manner) -> Result<T, Halt>) -> Result<T, NodeError> {
        self.drive_after(None, attempt).await
    }

    /// Does the same after a first attempt that may have been halted.
    async fn drive_after<T>(
        &self,
        mut halted: Option<Halt>,
        mut attempt: impl FnMut(Manner) -> Result<T, Halt>,
    ) -> Result<T, NodeError> {
        let mut driver = Driver::new(self);
        loop {
            if let Some(halt) = halted.take() {
                driver.clear(halt).await?;
            }
            match attempt(driver.manner()) {
                Ok(done) => return Ok(done),
                Err(halt) => halted = Some(halt),
            }
        }
    }

    /// Calls `work` with the topology after clearing everything in its way.
    pub(super) async fn drive_change<T>(
        &self,
        mut work: impl FnMut(&mut Topology, &mut Allocator, &BlockCache) -> Result<T, Stop>,
    ) -> Result<T, NodeError> {
        self.drive(|manner| Ok(self.change(manner, &mut work)?)).await
    }

    /// Calls `work` on blocks in memory, loading those it finds missing, until it is done.
    pub(super) async fn load_missing<T>(&self, work: impl FnMut() -> Result<T, Stop>) -> Result<T, ChainError> {
        load_missing_by(async |bref| self.load(bref).await, work).await
    }

    /// Starts reading a block that will be needed, unless it is still on its way to the device.
    pub(crate) fn load_ahead(&self, bref: &Blockref) {
        if !self.writer.is_writing(bref.data_off()) {
            self.blocks.prefetch(bref);
        }
    }

    /// Loads a block. While its write is late, or waits behind a late one, the device still has the old content, so the write is
    /// awaited. After a failed write, a wrong content is the fault of that write.
    pub(super) async fn load(&self, bref: &Blockref) -> Result<Block<'_>, ChainError> {
        if self.writer.is_writing(bref.data_off()) {
            self.writer.settle_at(self.volumes(), bref.data_off()).await.map_err(|fault| {
                self.write_failed(fault.into());
                unwritten(bref, fault)
            })?;
        }
        self.blocks.load(bref).await.map_err(|error| match (error, self.writer.failure()) {
            // This isn't damage: the device still has the old content.
            (ReadError::Corrupt(_), Some(fault)) => unwritten(bref, fault),
            (error, _) => ChainError::new(bref, error),
        })
    }
}

/// The error for a block that wasn't written.
fn unwritten(bref: &Blockref, fault: NodeFault) -> ChainError {
    let error = match fault {
        NodeFault::Device { device, error, .. } => ReadError::Device { device, error },
        _ => ReadError::NoMemory,
    };
    ChainError::new(bref, error)
}
