//! What the nodes have stored below an inode.

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Command, Element, Elements, Leaf, Reply, Slot};
use crate::media::inode::InodeFlags;
use crate::media::{FileKind, KeyRange, ModifyTid};
use crate::memory;

impl FileSystem {
    /// Bytes that are stored for a file's content in a range.
    pub(super) async fn content_bytes(&self, file: &InodeRef<'_>, range: KeyRange) -> Result<u64, Error> {
        let has_blocks = file.with(|record| {
            let kind = record.meta.kind();
            matches!(kind, Ok(FileKind::Regular | FileKind::Symlink))
                && !record.meta.flags().contains(InodeFlags::DIRECTDATA)
        });
        let mut bytes = 0u64;
        if has_blocks {
            self.each_leaf(file.slot, range, |leaf| bytes = bytes.saturating_add(leaf.bytes as u64)).await?;
        }
        Ok(bytes)
    }

    /// Shows what is stored in a range below an inode.
    pub(super) async fn each_leaf(
        &self,
        slot: Slot,
        range: KeyRange,
        mut show: impl FnMut(&Leaf),
    ) -> Result<(), Error> {
        let mut elements = memory::boxed(self.heap, Elements::new())?;
        let mut left = Some(range);
        while let Some(range) = left {
            left = self.elements(slot, range, &mut elements).await?;
            for element in &*elements {
                if let Element::Leaf(leaf) = element {
                    show(leaf);
                }
            }
        }
        Ok(())
    }

    /// Lists elements of a range below an inode. Returns the rest of the range, if there wasn't room for all.
    pub(super) async fn elements(
        &self,
        slot: Slot,
        range: KeyRange,
        elements: &mut Elements,
    ) -> Result<Option<KeyRange>, Error> {
        match self.cluster.execute(Command::List { slot, range, since: ModifyTid(0), elements }).await? {
            Reply::Scanned(scanned) => Ok(scanned.remaining),
            _ => Ok(None),
        }
    }
}
