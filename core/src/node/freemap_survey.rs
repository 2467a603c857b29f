//! Reading the freemap from the devices, for a scrub.

use super::{Node, NodeError, NodeFault};
use crate::chain::ChainError;
use crate::media::{BlockArray, BlockKind, Blockref, Corruption, KeyRange};
use crate::memory::{self, Vec};

impl Node {
    /// Reads every block of the committed freemap from the devices, and calls `bad` for each that can't be used. What is below
    /// such a block isn't read. A device that doesn't answer in time is an error.
    pub async fn survey_freemap(&self, bad: &mut dyn FnMut(NodeFault)) -> Result<(), NodeError> {
        let mut pending: Vec<Blockref> = Vec::new_in(self.heap);
        let roots = self.header().freemap_blockset;
        roots.iter().filter(|entry| !entry.is_empty()).try_for_each(|entry| memory::push(&mut pending, *entry))?;
        while let Some(bref) = pending.pop() {
            let place = bref.data_off();
            if let Ok(Some(radix)) = place.radix() {
                // What is in memory says nothing about the device.
                self.blocks.invalidate(place.offset(), radix.bytes());
            }
            let block = match self.blocks.load(&bref).await {
                Ok(block) => block,
                Err(error) => {
                    bad(fault_of(ChainError::new(&bref, error))?);
                    continue;
                }
            };
            if !bref.is(BlockKind::FreemapNode) {
                continue;
            }
            let bytes = block.bytes();
            for entry in BlockArray::new(&bytes, KeyRange::ALL).entries().iter().filter(|entry| !entry.is_empty()) {
                // A block that is its own ancestor would make an endless loop.
                match entry.keybits() < bref.keybits() {
                    true => memory::push(&mut pending, *entry)?,
                    false => {
                        let error = ChainError::corrupt(entry, Corruption::FreemapSpan(entry.keybits().0));
                        bad(fault_of(error)?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The fault of a block. A device that doesn't answer in time, or want of memory, is an error and no fault of the block.
fn fault_of(error: ChainError) -> Result<NodeFault, NodeError> {
    match NodeError::from(error) {
        NodeError::Fault(fault) if !fault.is_timeout() => Ok(fault),
        error => Err(error),
    }
}
