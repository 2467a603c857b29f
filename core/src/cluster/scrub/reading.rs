//! Reading a part of what one node has.

use core::future::poll_fn;
use core::task::Poll;

use zerocopy::IntoBytes;

use super::{ScrubCounts, ScrubPlace, ScrubProgress};
use crate::cluster::resync::Listing;
use crate::cluster::{Cluster, Command, EntryBatch, NodeIndex, Reply, Slot};
use crate::media::check::xxhash64;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{BlockKind, InodeMeta, Inum, Key, KeyRange, ModifyTid};
use crate::node::{Element, FileBlock, Leaf, NodeError};

/// A digest of what one node has, and what was found while reading.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    pub(super) digest: u64,
    pub(super) counts: ScrubCounts,
    /// True when some of it couldn't be reached.
    pub(super) is_damaged: bool,
    /// Where the next part begins; none if this was the last.
    pub(super) end: Option<ScrubPlace>,
}

impl Reading {
    /// Ends the part at `end`. On nodes with the same content, parts end at the same place.
    fn ending_at(mut self, end: ScrubPlace) -> Self {
        self.add([end.element.0, end.below.map_or(u64::MAX, |below| below.0)].as_bytes());
        self.end = Some(end);
        self
    }

    fn add(&mut self, bytes: &[u8]) {
        self.digest = (self.digest.rotate_left(7) ^ xxhash64(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn add_leaf(&mut self, leaf: &Leaf) {
        let Leaf { span, kind, modify_tid, methods, bytes, check, embed } = leaf;
        let head = [span.first.0, span.last.0, *kind as u64, modify_tid.0, methods.0.into(), *bytes as u64];
        // A leaf leaves out the check code of an inode: the block contains places, which differ between nodes.
        self.add(head.as_bytes());
        self.add(check);
        self.add(embed);
        self.counts.elements += 1;
    }

    fn add_inode(&mut self, meta: &InodeMeta) {
        self.add(meta.with_identity_of(&InodeMeta::blank()).as_bytes());
    }
}

impl Cluster {
    /// Reads what a node has of the PFS from a place on, at most a given number of elements.
    pub(super) async fn read_part(
        &self,
        index: NodeIndex,
        from: ScrubPlace,
        most_elements: u64,
    ) -> Result<Reading, NodeError> {
        let node = &self.member(index).node;
        let root = self.slots.root();
        let mut reading = Reading::default();
        if from == ScrubPlace::START {
            reading.add_inode(&node.record(root).await?.meta);
        }
        let range = KeyRange { first: from.element, last: Key::MAX };
        let mut listing = Listing::over(node, root, ModifyTid(0), range);
        loop {
            let element = match listing.peek().await {
                Ok(Some(element)) => element,
                Ok(None) => return Ok(reading),
                Err(error) => {
                    self.note_damage(index, Inum::PFS_ROOT, error, &mut reading)?;
                    return Ok(reading);
                }
            };
            listing.advance();
            let Element::Leaf(leaf) = element else { continue };
            let key = leaf.span.first;
            let begun_at = from.below.filter(|_| key == from.element);
            if begun_at.is_none() {
                if reading.counts.elements >= most_elements {
                    return Ok(reading.ending_at(ScrubPlace { element: key, below: None }));
                }
                reading.add_leaf(&leaf);
                self.read_name(index, (root, Inum::PFS_ROOT), &leaf, &mut reading).await?;
            }
            if leaf.kind == BlockKind::Inode {
                let below = begun_at.unwrap_or(Key(0));
                match self.read_inode(index, Inum(key.0), (below, most_elements), &mut reading).await {
                    Ok(None) => {}
                    Ok(Some(below)) => return Ok(reading.ending_at(ScrubPlace { element: key, below: Some(below) })),
                    Err(error) => self.note_damage(index, Inum(key.0), error, &mut reading)?,
                }
            }
        }
    }

    /// Notes metadata below an inode that a node can't read. Any other failure is an error.
    fn note_damage(
        &self,
        index: NodeIndex,
        holder: Inum,
        error: NodeError,
        reading: &mut Reading,
    ) -> Result<(), NodeError> {
        let NodeError::Fault(fault) = error else { return Err(error) };
        let Some(block) = fault.bad_block() else { return Err(error) };
        reading.is_damaged = true;
        reading.counts.bad_blocks += 1;
        self.to_be_copied(index, holder, block, fault);
        Ok(())
    }

    /// Reads an inode and what is below it from a key on, until there are enough elements; returns the key where it stopped.
    async fn read_inode(
        &self,
        index: NodeIndex,
        inum: Inum,
        (below, most_elements): (Key, u64),
        reading: &mut Reading,
    ) -> Result<Option<Key>, NodeError> {
        let (node, slot) = (&self.member(index).node, self.slots.spare());
        let open = Command::OpenInode { pfs: self.slots.root(), inum, into: slot };
        let Reply::Inode(record) = node.execute(open).await? else { return Ok(None) };
        reading.add_inode(&record.meta);
        if record.meta.flags().contains(InodeFlags::DIRECTDATA) {
            if let Reply::Block(FileBlock::Embedded(content)) =
                node.execute(Command::ReadBlock { file: slot, key: Key(0) }).await?
            {
                let content: &[u8; EMBEDDED_BYTES] = &content;
                reading.add(content);
            }
            return Ok(None);
        }
        let mut listing = Listing::over(node, slot, ModifyTid(0), KeyRange { first: below, last: Key::MAX });
        while let Some(element) = listing.peek().await? {
            listing.advance();
            let Element::Leaf(leaf) = element else { continue };
            if reading.counts.elements >= most_elements {
                return Ok(Some(leaf.span.first));
            }
            reading.add_leaf(&leaf);
            self.read_name(index, (slot, inum), &leaf, reading).await?;
            if leaf.kind == BlockKind::Data {
                self.read_data(index, inum, &leaf, reading).await?;
            }
        }
        Ok(None)
    }

    /// Reads the name of an entry that is stored in a block.
    async fn read_name(
        &self,
        index: NodeIndex,
        (slot, holder): (Slot, Inum),
        leaf: &Leaf,
        reading: &mut Reading,
    ) -> Result<(), NodeError> {
        if leaf.kind != BlockKind::Dirent || leaf.bytes == 0 {
            return Ok(());
        }
        let mut batch = EntryBatch::new(self.heap, 0)?;
        let scan = Command::Scan { directory: slot, range: KeyRange::only(leaf.span.first), batch: &mut batch };
        self.member(index).node.execute(scan).await?;
        match batch.damaged() {
            Some(fault) => self.note_damage(index, holder, NodeError::Fault(fault), reading),
            None => Ok(()),
        }
    }

    async fn read_data(
        &self,
        index: NodeIndex,
        inum: Inum,
        leaf: &Leaf,
        reading: &mut Reading,
    ) -> Result<(), NodeError> {
        let (node, slot) = (&self.member(index).node, self.slots.spare());
        let key = leaf.span.first;
        reading.counts.bytes += leaf.bytes as u64;
        // Data in the host's memory is there at once, and other tasks must still have their turn.
        let_others().await;
        let progress = self.scrubbed.get();
        self.scrubbed.set(ScrubProgress { bytes: progress.bytes + leaf.bytes as u64, ..progress });
        match node.execute(Command::ReadBlock { file: slot, key }).await {
            Ok(Reply::Block(FileBlock::Stored { buffer, .. })) => node.blocks().give_back(buffer),
            Ok(_) => {}
            Err(NodeError::Fault(fault)) if !fault.is_timeout() => {
                reading.counts.bad_blocks += 1;
                self.to_be_repaired(index, inum, key, fault);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Lets every other ready task run first.
async fn let_others() {
    let mut have_run = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut have_run, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
