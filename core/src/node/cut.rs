//! Giving up unreadable blocks so that they can be copied anew: the entry that leads to a bad block is found, and removed.

use super::{Node, NodeError, NodeFault, Slot};
use crate::chain::{Container, trace};
use crate::io::DeviceError;
use crate::media::{BlockKind, BlockName, Inum, KeyRange};

impl NodeFault {
    /// The block of a tree that is bad on this node and may be good on another; none for faults that concern the whole node.
    pub(crate) fn bad_block(&self) -> Option<BlockName> {
        let (Self::Corrupt { block, .. } | Self::Device { block, error: DeviceError::Io(_), .. }) = self else {
            return None;
        };
        let kind = BlockKind::from_code(block.kind).ok()?;
        matches!(kind, BlockKind::Inode | BlockKind::Indirect | BlockKind::Dirent).then_some(*block)
    }
}

impl Node {
    /// The inode that a slot names on this node now.
    pub(crate) fn inum(&self, slot: Slot) -> Option<Inum> {
        self.slots.name(slot).map(|name| name.inum)
    }

    /// The keys below an open inode that a bad block makes unreachable; none if nothing there leads to the block.
    pub(crate) async fn lost_keys(&self, slot: Slot, block: BlockName) -> Result<Option<KeyRange>, NodeError> {
        let found = self.drive(|_| self.in_inode(slot, |view| trace(view.source, view.holder()?, block))).await?;
        Ok(found.and_then(|entry| entry.span().ok()))
    }

    /// Removes the entry that leads to a bad block below an open inode, and everything behind it.
    pub(crate) async fn cut(&self, slot: Slot, block: BlockName) -> Result<(), NodeError> {
        let inode = self.opened(slot)?;
        self.drive_change(|topology, _, blocks| {
            let root = Container::Chain(self.modify_open(topology, blocks, inode)?);
            topology.cut(blocks, root, block).map(drop)
        })
        .await
    }
}
