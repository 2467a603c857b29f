//! Scrub: reading everything on every node, while the cluster is in use.
//!
//! Each node goes through all it has of the PFS. Blocks it can't read are repaired from another node, and it is read again. What
//! it has is put into a digest of elements and inodes, which must be equal on all nodes in sync: a node with another one holds
//! something wrong that no check code shows, and leaves. So does one that can't be walked at all. What nobody has stays as it is.

use core::future::poll_fn;
use core::task::Poll;

use zerocopy::IntoBytes;

use super::agree::agree;
use super::join::{Answers, join_all};
use super::resync::Listing;
use super::vote::NodeSet;
use super::{Cluster, Command, Debt, EntryBatch, MemberState, NodeIndex, OpError, Reply, Slot};
use crate::media::check::xxhash64;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{BlockKind, InodeMeta, Inum, Key, KeyRange, ModifyTid};
use crate::node::{Element, FileBlock, Leaf, NodeError};

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubCounts {
    /// Nodes that were read.
    pub nodes: u64,
    /// Inodes, entries and file blocks, on all nodes together.
    pub elements: u64,
    /// Bytes of file blocks.
    pub bytes: u64,
    /// Blocks that couldn't be read on one node.
    pub bad_blocks: u64,
    /// Those of them that were written anew.
    pub repaired: u64,
    /// Nodes that couldn't be compared, or held something else, and were brought in step.
    pub rebuilt: u64,
    /// Nodes that had to leave.
    pub ejected: u64,
    /// Nodes that couldn't read blocks of their freemap, and replaced them: what these described counts as in use until bulkfree
    /// has looked.
    pub freemaps_mended: NodeSet,
    /// Nodes some of whose headers or their twins were bad, and were written anew.
    pub headers_mended: NodeSet,
}

/// How far a scrub is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Bytes of file blocks that were read, on all nodes together.
    pub bytes: u64,
    /// Bytes of them that there are, as the nodes have counted; what must be read again isn't among them.
    pub expected_bytes: u64,
}

/// What one node has, in one number, and what it took to say so.
#[derive(Clone, Copy, Default)]
struct Reading {
    digest: u64,
    counts: ScrubCounts,
    /// Some of it couldn't be reached.
    is_damaged: bool,
}

impl Reading {
    fn add(&mut self, bytes: &[u8]) {
        self.digest = (self.digest.rotate_left(7) ^ xxhash64(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn add_leaf(&mut self, leaf: &Leaf) {
        let Leaf { span, kind, modify_tid, methods, bytes, check, embed } = leaf;
        let head = [span.first.0, span.last.0, *kind as u64, modify_tid.0, methods.0.into(), *bytes as u64];
        // An inode's size is that of a block with places in it, like its check code.
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
    /// Reads everything on every node in sync, repairs what another node has, and commits that. Nothing may change meanwhile.
    pub async fn scrub(&self) -> Result<ScrubCounts, OpError> {
        self.flush_all().await?;
        let mut counts = ScrubCounts::default();
        let members = self.in_sync();
        self.expect_scrub().await;
        let left = self.scrub_once(&mut counts).await?;
        for index in left.iter() {
            // Its volume can still be written, and nothing of it is in memory: what it holds is copied anew.
            if self.member(index).node.fault().is_none() {
                self.member(index).set_state(MemberState::Behind(Debt::EVERYTHING));
                if let Err(error) = self.catch_up(index, &mut async |_| {}).await {
                    log::warn!("{}: {error}", self.called(index));
                }
            }
        }
        if counts.bad_blocks > 0 || !left.is_empty() {
            self.commit_next().await?;
        }
        if !left.is_empty() {
            // Its file blocks weren't compared: they may be bad where they are.
            self.scrub_once(&mut counts).await?;
            self.flush().await?;
        }
        counts.headers_mended = self.mend_each(async |index| self.scrub_headers(index).await).await?;
        counts.freemaps_mended = self.mend_each(async |index| self.scrub_freemap(index).await).await?;
        if counts.freemaps_mended != NodeSet::EMPTY {
            self.flush().await?;
        }
        counts.repaired = counts.bad_blocks.saturating_sub(self.damage.take_unrepaired());
        counts.rebuilt = left.intersection(self.in_sync()).len() as u64;
        counts.ejected = members.difference(self.in_sync()).len() as u64;
        Ok(counts)
    }

    /// How far the scrub under way is, or the last one came.
    pub(crate) fn scrub_progress(&self) -> ScrubProgress {
        self.scrubbed.get()
    }

    /// Begins to count what is read of what there is. A node that can't say how much it has will say why when it is read.
    async fn expect_scrub(&self) {
        let mut progress = ScrubProgress::default();
        for node in self.nodes_in_sync() {
            let root = node.record(self.slots.root()).await;
            progress.expected_bytes += root.map_or(0, |root| root.stats.data_bytes);
        }
        self.scrubbed.set(progress);
    }

    /// Has all nodes in sync mend something; those that had anything to mend.
    async fn mend_each(&self, mend: impl AsyncFn(NodeIndex) -> Result<u64, NodeError>) -> Result<NodeSet, OpError> {
        let members = self.in_sync();
        let order = |index| mend(index);
        let mut mended = NodeSet::EMPTY;
        for (index, replaced) in join_all(self.heap, members.iter(), order).await? {
            match replaced {
                Ok(0) => {}
                Ok(_) => mended.insert(index),
                Err(error) => self.failed(index, error)?,
            }
        }
        Ok(mended)
    }

    /// Reads a node's headers, and writes those anew that are bad.
    async fn scrub_headers(&self, index: NodeIndex) -> Result<u64, NodeError> {
        let mended = self.member(index).node.scrub_headers().await?;
        if mended > 0 {
            log::warn!("{}: {mended} header copies or twins were bad, and are written anew", self.called(index));
        }
        Ok(mended)
    }

    /// Reads a node's freemap, and replaces what can't be read of it.
    async fn scrub_freemap(&self, index: NodeIndex) -> Result<u64, NodeError> {
        let mut tell = |fault| log::warn!("{}: {fault}", self.called(index));
        self.member(index).node.mend_freemap(&mut tell).await
    }

    /// Reads everything once; the nodes that had to leave.
    async fn scrub_once(&self, counts: &mut ScrubCounts) -> Result<NodeSet, OpError> {
        let before = self.in_sync();
        let mut digests = Answers::new();
        counts.nodes = before.len() as u64;
        let (mut to_read, mut repaired) = (before, self.repaired_on(before));
        loop {
            let order = |index| self.read_all(index);
            let readings = join_all(self.heap, to_read.iter(), order).await?;
            let mut damaged = NodeSet::EMPTY;
            for (index, reading) in readings {
                if let Ok(Reading { counts: of_node, is_damaged, .. }) = reading {
                    if to_read == before {
                        counts.elements += of_node.elements;
                        counts.bytes += of_node.bytes;
                    }
                    counts.bad_blocks += of_node.bad_blocks;
                    if is_damaged {
                        damaged.insert(index);
                    }
                }
                if !damaged.contains(index) {
                    digests.extend([(index, reading.map(|reading| reading.digest))]);
                }
            }
            self.mend().await?;
            // Behind what was mended there may be more.
            let progress = self.repaired_on(before);
            if damaged.is_empty() || progress == repaired {
                break;
            }
            (to_read, repaired) = (damaged.intersection(self.in_sync()), progress);
            // What is compared is how things are stored.
            for index in to_read.iter() {
                if let Err(error) = self.member(index).node.stage().await {
                    self.eject_for(index, error);
                }
            }
        }
        digests.sort_unstable_by_key(|(index, _)| *index);
        if !digests.is_empty() {
            let agreed = agree(&digests, &self.assent.electorate());
            agreed.leave.iter().for_each(|(index, why)| self.eject(*index, *why));
            if agreed.answer.is_none() {
                return Err(self.suspend());
            }
        }
        Ok(before.difference(self.in_sync()))
    }

    /// Blocks that were repaired on some nodes, as far as they count.
    fn repaired_on(&self, nodes: NodeSet) -> u64 {
        nodes.iter().map(|index| self.member(index).repaired_blocks()).sum()
    }

    /// Reads all a node has of the PFS.
    async fn read_all(&self, index: NodeIndex) -> Result<Reading, NodeError> {
        let node = &self.member(index).node;
        let root = self.slots.root();
        let mut reading = Reading::default();
        reading.add_inode(&node.record(root).await?.meta);
        let mut listing = Listing::new(node, root, ModifyTid(0));
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
            reading.add_leaf(&leaf);
            self.read_name(index, (root, Inum::PFS_ROOT), &leaf, &mut reading).await?;
            if leaf.kind == BlockKind::Inode {
                let inum = Inum(leaf.span.first.0);
                if let Err(error) = self.read_inode(index, inum, &mut reading).await {
                    self.note_damage(index, inum, error, &mut reading)?;
                }
            }
        }
    }

    /// Takes note of metadata below an inode that a node can't read. Everything else is an error.
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

    async fn read_inode(&self, index: NodeIndex, inum: Inum, reading: &mut Reading) -> Result<(), NodeError> {
        let (node, slot) = (&self.member(index).node, self.slots.spare());
        let open = Command::OpenInode { pfs: self.slots.root(), inum, into: slot };
        let Reply::Inode(record) = node.execute(open).await? else { return Ok(()) };
        reading.add_inode(&record.meta);
        if record.meta.flags().contains(InodeFlags::DIRECTDATA) {
            if let Reply::Block(FileBlock::Embedded(content)) =
                node.execute(Command::ReadBlock { file: slot, key: Key(0) }).await?
            {
                let content: &[u8; EMBEDDED_BYTES] = &content;
                reading.add(content);
            }
            return Ok(());
        }
        let mut listing = Listing::new(node, slot, ModifyTid(0));
        while let Some(element) = listing.peek().await? {
            listing.advance();
            let Element::Leaf(leaf) = element else { continue };
            reading.add_leaf(&leaf);
            self.read_name(index, (slot, inum), &leaf, reading).await?;
            if leaf.kind == BlockKind::Data {
                self.read_data(index, inum, &leaf, reading).await?;
            }
        }
        Ok(())
    }

    /// Reads the name of an entry that has a block for it.
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
        // What is in the host's memory is there at once, and others are to have their turn all the same.
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

/// Has every other task that is ready run first.
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
