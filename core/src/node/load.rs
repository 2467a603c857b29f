//! Reading blocks that may be on their way to the devices.

use super::{Node, NodeError, NodeFault};
use crate::chain::{ChainError, Stop, load_missing_by};
use crate::io::{Block, ReadError};
use crate::media::{Blockref, DataOff};

impl Node {
    /// Does `work` on blocks in memory, loading those it finds missing, until it is done.
    pub(super) async fn load_missing<T>(&self, work: impl FnMut() -> Result<T, Stop>) -> Result<T, ChainError> {
        load_missing_by(async |bref| self.load(bref).await, work).await
    }

    /// Waits until nothing is on its way to a place. While its write is late, or waits behind one that is, the device has what
    /// was there before.
    pub(super) async fn await_written(&self, place: DataOff) -> Result<(), NodeError> {
        if self.writer.is_writing(place) { self.settle().await } else { Ok(()) }
    }

    async fn load(&self, bref: &Blockref) -> Result<Block<'_>, ChainError> {
        self.await_written(bref.data_off()).await.map_err(|error| match error {
            NodeError::Fault(NodeFault::Device { volume, error, .. }) => {
                ChainError::new(bref, ReadError::Device { volume, error })
            }
            _ => ChainError::new(bref, ReadError::NoMemory),
        })?;
        self.blocks.load(bref).await.map_err(|error| ChainError::new(bref, error))
    }
}
