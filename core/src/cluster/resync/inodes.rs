//! Copying the inodes of a PFS: those that changed, with what is below them.

use super::children::{Pair, ResyncCounts};
use super::{Copying, ResyncError};
use crate::cluster::{Cluster, Command, Ejection, InodeRecord, Modification, Reply, Slot};
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{BlockKind, BlockName, Corruption, DataOff, Inode, Inum, Key, KeyRange, ModifyTid};
use crate::memory::aside;
use crate::node::{FileBlock, Leaf, Node, NodeError, NodeFault};

impl Cluster {
    /// Makes the PFS on the target equal to the last committed state of the source. `pause` is called between two inodes: the
    /// source may change meanwhile if inodes that change are left out.
    pub(super) async fn copy_pfs(
        &self,
        copying: Copying,
        pause: &mut impl AsyncFnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, ResyncError> {
        let mut counts = ResyncCounts::default();
        let root = copying.pfs;
        let source = &self.member(copying.source).node;
        let record = source.record(root).await.map_err(ResyncError::source)?;
        let pair = Pair { slot: root, inum: Inum::PFS_ROOT, tid: record.modify_tid };
        let since = copying.debt.since.max(copying.debt.ahead);
        self.merge_children(copying, pair, (KeyRange::ALL, since), &mut counts, async |wanted, found, counts| {
            pause(counts).await;
            self.caught_up(copying.source).await?;
            self.check(copying)?;
            match (wanted, found) {
                (Some(wanted), found) => {
                    aside(self.heap, || self.copy_inode(copying, pair, wanted, found, counts))?.await
                }
                (None, Some(extra)) => self.drop_inode(copying, pair, extra.span.first, counts).await,
                (None, None) => Ok(()),
            }
        })
        .await?;
        let target = &self.member(copying.target).node;
        let write = Modification::WriteInode { slot: root, meta: &record.meta, content: None };
        target.replicate(pair.tid, pair.tid, write).await.map_err(ResyncError::target)?;
        Ok(counts)
    }

    /// Makes what is below an inode under some keys on the target equal to the source; both must have executed the same
    /// modifications.
    pub(in crate::cluster) async fn copy_keys(
        &self,
        copying: Copying,
        (slot, inum): (Slot, Inum),
        range: KeyRange,
    ) -> Result<(), ResyncError> {
        let source = self.member(copying.source).node.record(slot).await.map_err(ResyncError::source)?;
        let target = self.member(copying.target).node.record(slot).await.map_err(ResyncError::target)?;
        // The target's stamp already covers what it executed elsewhere below the inode, and must not be lowered.
        let pair = Pair { slot, inum, tid: source.modify_tid.max(target.modify_tid) };
        let what = (range, ModifyTid(0));
        let mut counts = ResyncCounts::default();
        self.merge_children(copying, pair, what, &mut counts, async |wanted, found, counts| match (wanted, found) {
            (Some(wanted), found) => {
                let copied = aside(self.heap, || self.copy_inode(copying, pair, wanted, found, counts))?.await;
                if let Err(ResyncError::Source(_)) = copied {
                    // Half a copy would pass for all of it.
                    self.drop_inode(copying, pair, wanted.span.first, counts).await?;
                }
                copied
            }
            (None, Some(extra)) => self.drop_inode(copying, pair, extra.span.first, counts).await,
            (None, None) => Ok(()),
        })
        .await
    }

    /// Fails if the source has left meanwhile, even if it is back, or if the target has too little room.
    fn check(&self, copying: Copying) -> Result<(), ResyncError> {
        let source = self.member(copying.source);
        if source.departures() != copying.departures {
            return Err(ResyncError::Source(source.why_it_left()));
        }
        if self.member(copying.target).node.free_bytes() < copying.keep_free {
            return Err(ResyncError::Target(Ejection::NoSpace));
        }
        Ok(())
    }

    /// Makes one inode on the target equal to the source.
    async fn copy_inode(
        &self,
        copying: Copying,
        root: Pair,
        wanted: Leaf,
        found: Option<Leaf>,
        counts: &mut ResyncCounts,
    ) -> Result<(), ResyncError> {
        let same = found.is_some_and(|found| found.modify_tid == wanted.modify_tid && found.methods == wanted.methods);
        if same && !copying.debt.thorough {
            return Ok(());
        }
        let (source, target) = (&self.member(copying.source).node, &self.member(copying.target).node);
        let slot = self.slots.copied_to(copying.target);
        let inum = Inum(wanted.span.first.0);
        if open(source, root.slot, inum, slot).await.map_err(ResyncError::source)?.is_none() {
            return Ok(());
        }
        let record = source.record(slot).await.map_err(ResyncError::source)?;
        // What is copied now could be a part of a change that is still going on.
        if copying.until.is_some_and(|until| record.modify_tid > until) {
            return Ok(());
        }
        let content = content_of(source, slot, &record).await.map_err(ResyncError::source)?;
        let mut since = copying.debt.since;
        let existing = match found {
            Some(_) => open(target, root.slot, inum, slot).await.map_err(ResyncError::target)?,
            None => None,
        };
        let fits = existing.as_ref().is_some_and(|existing| is_alike(existing, &record));
        if !fits {
            if existing.is_some() {
                self.drop_inode(copying, root, inum.key(), counts).await?;
            }
            // Everything below it is new to the target, however old.
            since = ModifyTid(0);
            let body = content.unwrap_or([0; EMBEDDED_BYTES]);
            let inode = Inode { meta: record.meta, body };
            let create = Modification::CreateInode { pfs: root.slot, inode: &inode, methods: record.methods };
            target.replicate(record.modify_tid, root.tid, create).await.map_err(ResyncError::target)?;
            open(target, root.slot, inum, slot).await.map_err(ResyncError::target)?;
        }
        counts.copied += 1;
        let pair = Pair { slot, inum, tid: record.modify_tid };
        if content.is_none() {
            let stray = async |_, _, _: &mut ResyncCounts| Err(ResyncError::source(stray_inode(inum)));
            aside(self.heap, || self.merge_children(copying, pair, (KeyRange::ALL, since), counts, stray))?.await?;
        }
        let write = Modification::WriteInode { slot, meta: &record.meta, content: content.as_ref() };
        target.replicate(pair.tid, pair.tid, write).await.map(drop).map_err(ResyncError::target)
    }

    async fn drop_inode(
        &self,
        copying: Copying,
        root: Pair,
        key: Key,
        counts: &mut ResyncCounts,
    ) -> Result<(), ResyncError> {
        counts.removed += 1;
        let target = &self.member(copying.target).node;
        let remove = Modification::RemoveInode { pfs: root.slot, inum: Inum(key.0) };
        target.replicate(root.tid, root.tid, remove).await.map(drop).map_err(ResyncError::target)
    }
}

/// The content of a file that is stored in its inode.
async fn content_of(node: &Node, slot: Slot, record: &InodeRecord) -> Result<Option<[u8; EMBEDDED_BYTES]>, NodeError> {
    if !record.meta.flags().contains(InodeFlags::DIRECTDATA) {
        return Ok(None);
    }
    match node.execute(Command::ReadBlock { file: slot, key: Key(0) }).await? {
        Reply::Block(FileBlock::Embedded(content)) => Ok(Some(*content)),
        _ => Ok(None),
    }
}

/// Opens an inode on one node; none if the node doesn't have it.
async fn open(node: &Node, pfs: Slot, inum: Inum, into: Slot) -> Result<Option<InodeRecord>, NodeError> {
    match node.execute(Command::OpenInode { pfs, inum, into }).await? {
        Reply::Inode(record) => Ok(Some(*record)),
        _ => Ok(None),
    }
}

/// True when one inode can become the other without losing what is below it.
fn is_alike(one: &InodeRecord, other: &InodeRecord) -> bool {
    let direct = |record: &InodeRecord| record.meta.flags().contains(InodeFlags::DIRECTDATA);
    one.meta.kind() == other.meta.kind() && direct(one) == direct(other) && one.methods == other.methods
}

/// The fault for an inode found below `holder`: inodes lie only below PFS roots.
fn stray_inode(holder: Inum) -> NodeError {
    let block = BlockName { kind: BlockKind::Inode as u8, key: Key(holder.0), data_off: DataOff::NONE };
    NodeError::Fault(NodeFault::Corrupt { block, corruption: Corruption::NotPfsRoot })
}
