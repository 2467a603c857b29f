//! Changing which PFSs there are (format 9.1 and 9.2), and giving back space.

use super::pfs::find_pfs;
use super::snapshot::fsid_on;
use super::{Cluster, Modification, NodeIndex, OpError, Outcome, PfsSelector, Rule, Slot};
use crate::media::inode::InodeFlags;
use crate::media::{
    CheckMethod, Compression, FileKind, Inode, Inum, Key, ModifyTid, PfsKind, PfsSubkind, Timestamp, Uuid,
    directory_hash,
};
use crate::node::{BulkfreeCounts, BulkfreeOptions, Growth, Node, NodeError};

/// The label that marks a PFS to boot from: not compressed, so that a boot loader can read it.
const BOOT: &[u8] = b"BOOT";

/// A PFS to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewPfs<'a> {
    /// Its label.
    pub label: &'a [u8],
    /// Its role in its cluster.
    pub kind: PfsKind,
    /// The cluster it belongs to: a new one, unless the PFS joins a cluster.
    pub clid: Uuid,
    /// Its own id; in a cluster, the ids on the nodes are derived from it.
    pub fsid: Uuid,
    /// The current time.
    pub time: Timestamp,
}

impl NewPfs<'_> {
    /// The PFS's id on one node: every member has an id of its own.
    pub fn fsid_on(&self, node: NodeIndex) -> Uuid {
        fsid_on(self.fsid, node)
    }
}

/// What a snapshot takes over from its origin.
pub(crate) struct Origin<'a> {
    /// The origin's root.
    pub(crate) slot: Slot,
    /// The content of that root.
    pub(crate) root: &'a Inode,
    /// The operation that takes the snapshot.
    pub(crate) tid: ModifyTid,
}

/// The result of an order to make or remove a PFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PfsOutcome {
    /// It was done, and is durable.
    Done,
    /// The label is taken.
    Exists,
    /// There is no such PFS.
    Absent,
}

impl Cluster {
    /// Makes an empty PFS.
    pub async fn create_pfs(&self, new: &NewPfs<'_>) -> Result<PfsOutcome, OpError> {
        self.prepare().await?;
        self.add_pfs(new, blank_root(new), None).await
    }

    /// Makes a snapshot of an open PFS, which must have nothing that is in memory only.
    pub(crate) async fn snapshot_pfs(&self, new: &NewPfs<'_>, origin: &Origin<'_>) -> Result<PfsOutcome, OpError> {
        let mut root = blank_root(new);
        let source = &origin.root.meta;
        root.meta.set_pfs_subkind(PfsSubkind::Snapshot);
        root.meta.set_pfs_lsnap_tid(origin.tid);
        root.meta.set_pfs_inum(Inum(source.pfs_inum().0 + 1));
        root.meta.set_next_orphan(source.next_orphan());
        (root.meta.uid, root.meta.gid) = (source.uid, source.gid);
        (root.meta.comp_algo, root.meta.check_algo) = (source.comp_algo, source.check_algo);
        root.meta.set_mode(source.mode());
        root.meta.set_mtime(source.mtime());
        root.meta.set_ctime(source.ctime());
        root.meta.set_atime(source.atime());
        self.add_pfs(new, root, Some(origin.slot)).await
    }

    /// Removes a PFS that isn't mounted, with everything in it. Bulkfree gives its space back.
    pub async fn delete_pfs(&self, label: &[u8]) -> Result<PfsOutcome, OpError> {
        // If the nodes have nothing to do with each other, each would lose a different PFS.
        if self.find_pfs(PfsSelector::Label(label)).await?.is_none() {
            return Ok(PfsOutcome::Absent);
        }
        self.prepare().await?;
        self.flush_all().await?;
        let mut removed = false;
        for index in self.in_sync().iter() {
            match remove_from(&self.member(index).node, label).await {
                Ok(done) => removed |= done,
                Err(error) => self.failed(index, error)?,
            }
        }
        self.require_quorum()?;
        Ok(if removed { PfsOutcome::Done } else { PfsOutcome::Absent })
    }

    /// Mends the headers of a node that is opened by itself. If its newest header is lost, what was written since the header now
    /// in force is given up.
    pub async fn mend_headers(&self) -> Result<(), OpError> {
        let node = self.focus();
        node.accept_older_header();
        Ok(node.mend_headers().await?)
    }

    /// Replaces the unreadable blocks of the freemap of a node that is opened by itself, and runs bulkfree to find out what is in
    /// use. Returns how many blocks were replaced. Where the topology can't be read either, all space that these blocks described
    /// stays taken.
    pub async fn mend_freemap(&self) -> Result<u64, OpError> {
        // A freemap that lags behind its topology says that blocks in use are free.
        self.prepare().await?;
        let node = self.focus();
        let replaced = node.mend_freemap(&mut |fault| log::warn!("{fault}")).await?;
        if replaced == 0 {
            return Ok(0);
        }
        match node.free_unused().await {
            Err(NodeError::Fault(fault)) if fault.bad_block().is_some() => {
                log::warn!("{fault}: the space in use is unknown");
            }
            freed => drop(freed?),
        }
        Ok(replaced)
    }

    /// Runs one pass of bulkfree on every node, one after the other. Nothing else may be done meanwhile.
    pub async fn bulkfree(&self) -> Result<BulkfreeCounts, OpError> {
        self.bulkfree_with(BulkfreeOptions::default()).await
    }

    /// Runs a pass of bulkfree with these options.
    pub async fn bulkfree_with(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, OpError> {
        self.prepare().await?;
        if self.has(Rule::Pair) {
            self.flush_all().await?;
        }
        let mut counts = BulkfreeCounts::default();
        self.in_sync().iter().for_each(|index| self.member(index).node.expect_bulkfree());
        for index in self.in_sync().iter() {
            match self.member(index).node.bulkfree(options).await {
                Ok(of_node) => counts.add(of_node),
                Err(error) => self.failed(index, error)?,
            }
        }
        self.require_quorum()?;
        Ok(counts)
    }

    /// Extends the last volume of every node to `volume_bytes` of its device, or to all of it, if that makes it larger. It may be
    /// called at any time. When it returns, the growth and everything done before are durable. Returns the outcome on the
    /// smallest node.
    pub async fn grow(&self, volume_bytes: Option<u64>) -> Result<Growth, OpError> {
        self.prepare().await?;
        if let Some(node) = self.single() {
            return Ok(node.grow(volume_bytes).await?);
        }
        self.flush_all().await?;
        let mut smallest: Option<Growth> = None;
        for index in self.in_sync().iter() {
            match self.member(index).node.grow(volume_bytes).await {
                Ok(growth) if smallest.is_some_and(|smallest| smallest.new_bytes <= growth.new_bytes) => {}
                Ok(growth) => smallest = Some(growth),
                Err(error) => self.failed(index, error)?,
            }
        }
        self.require_quorum()?;
        smallest.ok_or_else(|| self.no_quorum())
    }

    /// Makes the nodes fit for modifications: completes what other writers left undone.
    pub(crate) async fn prepare(&self) -> Result<(), OpError> {
        self.level().await?;
        for index in self.in_sync().iter() {
            if let Err(error) = self.member(index).node.recover().await {
                self.failed(index, error)?;
            }
        }
        self.require_quorum()
    }

    /// Handles the failure of a node in work that is done on each node by itself: the node leaves, unless it is the only one.
    pub(super) fn failed(&self, index: NodeIndex, error: NodeError) -> Result<(), OpError> {
        if self.single().is_some() {
            return Err(error.into());
        }
        self.eject_for(index, error);
        Ok(())
    }

    /// Removes a PFS that was made but couldn't be committed.
    pub(super) async fn take_back(&self) -> Result<(), OpError> {
        let Some(label) = self.half_made.borrow().clone() else { return Ok(()) };
        self.level().await?;
        for node in self.nodes_in_sync() {
            remove_root(node, &label).await?;
        }
        *self.half_made.borrow_mut() = None;
        Ok(())
    }

    /// Adds a PFS to every node in sync.
    async fn add_pfs(&self, new: &NewPfs<'_>, root: Inode, origin: Option<Slot>) -> Result<PfsOutcome, OpError> {
        // A snapshot shares only committed blocks with its origin.
        self.flush_all().await?;
        for index in self.in_sync().iter() {
            match find_pfs(&self.member(index).node, PfsSelector::Label(new.label)).await {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(PfsOutcome::Exists),
                Err(error) => self.failed(index, error)?,
            }
        }
        let nodes = self.in_sync();
        let tid = nodes.iter().map(|index| self.member(index).node.next_super_tid()).max().unwrap_or_default();
        for index in nodes.iter() {
            let mut own = root;
            own.meta.pfs_fsid = new.fsid_on(index);
            if self.members.len() > 1 {
                // All nodes that have it are its masters.
                own.meta.pfs_nmasters = nodes.len().max(self.assent.electorate().current.count) as u8;
            }
            let node = &self.member(index).node;
            let added = match add_root(node, tid, new.label, own, origin).await {
                Ok(()) => match node.flush().await {
                    // It counts as not done, then: no later commit may include it. With several nodes, this one leaves instead.
                    Err(error) if node.fault().is_none() && nodes.len() == 1 => {
                        *self.half_made.borrow_mut() = heapless::Vec::from_slice(new.label).ok();
                        Err(error)
                    }
                    flushed => flushed,
                },
                failed => failed,
            };
            if let Err(error) = added {
                // If removing it fails too, it is removed before anything else is done. The other nodes keep theirs.
                let _ = self.take_back().await;
                self.failed(index, error)?;
            }
        }
        self.require_quorum()?;
        Ok(PfsOutcome::Done)
    }
}

/// Puts a root under the first free key of its label.
pub(super) async fn add_root(
    node: &Node,
    tid: ModifyTid,
    label: &[u8],
    mut root: Inode,
    origin: Option<Slot>,
) -> Result<(), NodeError> {
    let range = directory_hash(label);
    for key in range.first.0..=range.last.0 {
        root.meta.set_name_key(Key(key));
        let create = Modification::CreatePfs { inode: &root, key: Key(key), origin };
        if node.modify(tid, create).await? == Outcome::Done {
            return Ok(());
        }
    }
    Err(NodeError::NoSpace)
}

/// Removes the root of the PFS with this label without committing that. Returns the cluster that the PFS belonged to, if there
/// was such a PFS.
pub(super) async fn remove_root(node: &Node, label: &[u8]) -> Result<Option<Uuid>, NodeError> {
    let Some(pfs) = find_pfs(node, PfsSelector::Label(label)).await? else { return Ok(None) };
    node.modify(node.next_super_tid(), Modification::RemovePfs { key: pfs.root.key }).await?;
    Ok(Some(pfs.clid))
}

/// Removes the PFS with this label and commits that; false if there is none.
async fn remove_from(node: &Node, label: &[u8]) -> Result<bool, NodeError> {
    let Some(clid) = remove_root(node, label).await? else { return Ok(false) };
    if node.stage().await? {
        node.commit(&mut |header| {
            header.cluster_records.remove(clid);
        })
        .await?;
    }
    Ok(true)
}

/// The root of an empty PFS.
pub(super) fn blank_root(new: &NewPfs<'_>) -> Inode {
    let mut root = Inode::new(FileKind::Directory);
    let meta = &mut root.meta;
    meta.set_inum(Inum::PFS_ROOT);
    meta.set_iparent(Inum::PFS_ROOT);
    meta.set_nlinks(1);
    let is_boot = new.label.eq_ignore_ascii_case(BOOT);
    meta.comp_algo = if is_boot { Compression::AutoZero } else { Compression::Lz4 } as u8;
    meta.check_algo = CheckMethod::XxHash64 as u8;
    meta.set_mode(0o755);
    meta.set_name(new.label);
    meta.set_flags(InodeFlags::PFSROOT);
    meta.set_pfs_kind(new.kind);
    meta.pfs_clid = new.clid;
    meta.pfs_fsid = new.fsid;
    meta.set_btime(new.time);
    meta.set_mtime(new.time);
    meta.set_ctime(new.time);
    meta.set_atime(new.time);
    root
}
