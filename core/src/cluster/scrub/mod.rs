//! Scrub: reading everything on every node, while the cluster is in use.
//!
//! Each node goes through everything it has of the PFS, in parts of a number of elements; on nodes with the same content, parts
//! end at the same places. Between two parts there may be changes, and a pause of any length. Blocks that a node can't read are
//! repaired from another, and the part is read again. The elements and inodes of a part go into a digest that must be equal on
//! all nodes in sync: a node with a different one holds something wrong that no check code shows, and leaves. So does a node that
//! can't be walked at all. Blocks that no node has stay as they are.

mod reading;

use super::agree::agree;
use super::join::{Answers, join_all};
use super::vote::NodeSet;
use super::{Cluster, Debt, MemberState, NodeIndex, OpError};
use crate::media::Key;
use crate::node::NodeError;
use reading::Reading;

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
    /// Bad blocks that were written anew.
    pub repaired: u64,
    /// Nodes that couldn't be compared, or had different content, and were brought in step.
    pub rebuilt: u64,
    /// Nodes that had to leave.
    pub ejected: u64,
    /// Nodes that replaced unreadable blocks of their freemap. The space that these described counts as in use until bulkfree has
    /// looked.
    pub freemaps_mended: NodeSet,
    /// Nodes that had bad headers or header twins, which were written anew.
    pub headers_mended: NodeSet,
}

/// A position of a scrub: an element of the PFS, and a key below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrubPlace {
    /// The first element, inode or entry, that wasn't read completely.
    pub element: Key,
    /// If that is an inode that was begun, the first key below it that wasn't read.
    pub below: Option<Key>,
}

impl ScrubPlace {
    /// The position before anything was read.
    pub const START: Self = Self { element: Key(0), below: None };
}

/// A scrub from its beginning to its end, which may take long: its result so far, and what is left.
#[derive(Clone, Copy, Debug)]
pub struct Scrub {
    /// What it has found so far.
    pub counts: ScrubCounts,
    /// Where it continues; none when everything was read.
    pub next: Option<ScrubPlace>,
    /// True when everything is to be read once more, because nodes were brought in step.
    pub again: bool,
    /// True while everything is read for the second time.
    pub is_second: bool,
    /// The nodes that were in step the whole time.
    pub whole: Option<NodeSet>,
    /// The number of elements in a part, at least one. Changes wait for the end of each part.
    pub part_elements: u64,
}

impl Default for Scrub {
    fn default() -> Self {
        let (counts, next) = (ScrubCounts::default(), Some(ScrubPlace::START));
        Self { counts, next, again: false, is_second: false, whole: None, part_elements: PART_ELEMENTS }
    }
}

/// Elements in a part on each node: some 64 MiB of content.
const PART_ELEMENTS: u64 = 1024;

/// How far a scrub is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Bytes of file blocks that were read, on all nodes together.
    pub bytes: u64,
    /// Bytes of file blocks that there are, as the nodes have counted; second readings aren't included.
    pub expected_bytes: u64,
}

impl Cluster {
    /// Begins a scrub or resumes one: counts what there is to read.
    pub(crate) async fn begin_scrub(&self, scrub: &Scrub) {
        let mut progress = ScrubProgress { bytes: scrub.counts.bytes, expected_bytes: 0 };
        for node in self.nodes_in_sync() {
            // What is in memory says nothing about what is on the disk.
            node.blocks().forget();
            // A node that can't say how much it has will show why when it is read.
            let root = node.record(self.slots.root()).await;
            progress.expected_bytes += root.map_or(0, |root| root.stats.data_bytes);
        }
        self.scrubbed.set(progress);
    }

    /// Reads a part on every node in sync, repairs what another node has, and commits that; returns false when it was the last
    /// part. Nothing may change meanwhile.
    pub(crate) async fn scrub_part(&self, scrub: &mut Scrub) -> Result<bool, OpError> {
        let Some(from) = scrub.next else { return Ok(false) };
        self.flush_all().await?;
        let (counts, members) = (&mut scrub.counts, self.in_sync());
        let bad_before = counts.bad_blocks;
        let (left, next) = self.scrub_once(counts, from, scrub.part_elements.max(1)).await?;
        for index in left.iter() {
            // Its volume can still be written, and nothing of it is in memory: its content is copied anew.
            if self.member(index).node.fault().is_none() {
                self.member(index).set_state(MemberState::Behind(Debt::EVERYTHING));
                if let Err(error) = self.catch_up(index, &mut async |_| {}).await {
                    log::warn!("{}: {error}", self.called(index));
                }
            }
        }
        let bad_blocks = counts.bad_blocks - bad_before;
        if bad_blocks > 0 || !left.is_empty() {
            self.commit_next().await?;
        }
        counts.repaired += bad_blocks.saturating_sub(self.damage.take_unrepaired());
        counts.rebuilt += left.intersection(self.in_sync()).len() as u64;
        counts.ejected += members.difference(self.in_sync()).len() as u64;
        scrub.whole = Some(scrub.whole.unwrap_or(members).intersection(self.in_sync()));
        // The file blocks of nodes that were brought in step weren't compared: they may be bad where they are.
        scrub.again |= !left.is_empty() && !scrub.is_second;
        scrub.next = next;
        if next.is_none() && scrub.again {
            (scrub.again, scrub.is_second, scrub.next) = (false, true, Some(ScrubPlace::START));
        }
        Ok(scrub.next.is_some())
    }

    /// Scrubs the parts of volumes outside the PFS: headers and freemaps. Nothing may change meanwhile.
    pub(crate) async fn end_scrub(&self, scrub: &Scrub) -> Result<ScrubCounts, OpError> {
        let (mut counts, members) = (scrub.counts, self.in_sync());
        counts.headers_mended = self.mend_each(async |index| self.scrub_headers(index).await).await?;
        counts.freemaps_mended = self.mend_each(async |index| self.scrub_freemap(index).await).await?;
        if counts.freemaps_mended != NodeSet::EMPTY || scrub.is_second {
            self.flush().await?;
        }
        counts.ejected += members.difference(self.in_sync()).len() as u64;
        Ok(counts)
    }

    /// How far the current scrub is, or how far the last one came.
    pub(crate) fn scrub_progress(&self) -> ScrubProgress {
        self.scrubbed.get()
    }

    /// Calls `mend` for all nodes in sync; returns the nodes that had something to mend.
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

    /// Reads a node's headers, and rewrites the bad ones.
    async fn scrub_headers(&self, index: NodeIndex) -> Result<u64, NodeError> {
        let mended = self.member(index).node.scrub_headers().await?;
        if mended > 0 {
            log::warn!("{}: {mended} header copies or twins were bad, and are written anew", self.called(index));
        }
        Ok(mended)
    }

    /// Reads a node's freemap, and replaces its unreadable blocks.
    async fn scrub_freemap(&self, index: NodeIndex) -> Result<u64, NodeError> {
        let mut tell = |fault| log::warn!("{}: {fault}", self.called(index));
        self.member(index).node.mend_freemap(&mut tell).await
    }

    /// Reads a part once; returns the nodes that had to leave, and where the next part begins.
    async fn scrub_once(
        &self,
        counts: &mut ScrubCounts,
        from: ScrubPlace,
        most_elements: u64,
    ) -> Result<(NodeSet, Option<ScrubPlace>), OpError> {
        let before = self.in_sync();
        let (mut digests, mut ends) = (Answers::new(), Answers::new());
        counts.nodes = before.len() as u64;
        let (mut to_read, mut repaired) = (before, self.repaired_on(before));
        loop {
            let order = |index| self.read_part(index, from, most_elements);
            let readings = join_all(self.heap, to_read.iter(), order).await?;
            let mut damaged = NodeSet::EMPTY;
            for (index, reading) in readings {
                if let Ok(Reading { counts: of_node, is_damaged, end, .. }) = reading {
                    ends.retain(|(known, _)| *known != index);
                    ends.extend([(index, end)]);
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
            // There may be more bad blocks behind those that were mended.
            let progress = self.repaired_on(before);
            if damaged.is_empty() || progress == repaired {
                break;
            }
            (to_read, repaired) = (damaged.intersection(self.in_sync()), progress);
            // The comparison covers how data is stored.
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
        // A node in step has read as far as the others, unless part of its content can't be reached.
        let (in_step, reached) = (self.in_sync(), digests);
        let is_whole = |index| in_step.contains(index) && reached.iter().any(|(whole, _)| *whole == index);
        let end = ends.iter().find(|(index, _)| is_whole(*index)).or(ends.first());
        Ok((before.difference(in_step), end.and_then(|(_, end)| *end)))
    }

    /// The number of blocks repaired on some nodes.
    fn repaired_on(&self, nodes: NodeSet) -> u64 {
        nodes.iter().map(|index| self.member(index).repaired_blocks()).sum()
    }
}
