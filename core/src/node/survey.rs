//! Looking at every block of the committed topology, for bulkfree and recovery.

use super::{Node, NodeError};
use crate::chain::ChainError;
use crate::media::{BlockArray, BlockKind, Blockref, Inode, KeyRange, MirrorTid};
use crate::memory::{self, NoMemory, Vec};

/// The number of subtrees remembered as seen. Those shared by snapshots are looked at once while they are remembered.
const REMEMBERED: usize = 4096;

/// Which blocks to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// All.
    Ever,
    /// Blocks written by flushes after this one, and what is below them.
    Flush(MirrorTid),
}

impl Node {
    /// Calls `visit` with the blockref of every block below the super-root, and of every entry without a block. Nothing may be
    /// modified meanwhile. Memory is bounded by the depth of the topology. An unreadable block ends the survey, as what is below
    /// it is unknown.
    pub(super) async fn survey(&self, since: Since, visit: &mut dyn FnMut(&Blockref)) -> Result<(), NodeError> {
        let heap = self.heap;
        let mut pending: Vec<Blockref> = Vec::new_in(heap);
        let mut seen = memory::filled(heap, REMEMBERED, || 0u64)?;
        push_entries(&mut pending, self.header().sroot_blockset.iter(), since)?;
        while let Some(bref) = pending.pop() {
            let is_array = matches!(bref.kind(), Ok(BlockKind::Inode | BlockKind::Indirect));
            let place = &mut seen[(bref.data_off().0 >> 10) as usize % REMEMBERED];
            if is_array && core::mem::replace(place, bref.data_off().0) == bref.data_off().0 {
                continue;
            }
            visit(&bref);
            if !is_array {
                continue;
            }
            let failed = |error| NodeError::from(ChainError::new(&bref, error));
            let block = self.blocks.load(&bref).await.map_err(failed)?;
            let bytes = block.bytes();
            let array = match bref.kind() {
                Ok(BlockKind::Inode) => {
                    let inode = Inode::in_block(&bytes).map_err(|corruption| failed(corruption.into()))?;
                    match inode.block_array() {
                        Some(array) => array,
                        None => continue,
                    }
                }
                _ => BlockArray::new(&bytes, KeyRange::ALL),
            };
            push_entries(&mut pending, array.entries().iter(), since)?;
        }
        Ok(())
    }
}

fn push_entries<'e>(
    pending: &mut Vec<Blockref>,
    entries: impl Iterator<Item = &'e Blockref>,
    since: Since,
) -> Result<(), NoMemory> {
    let wanted = |entry: &&Blockref| match since {
        Since::Ever => !entry.is_empty(),
        Since::Flush(tid) => !entry.is_empty() && entry.mirror_tid() > tid,
    };
    entries.filter(wanted).try_for_each(|entry| memory::push(pending, *entry))
}
