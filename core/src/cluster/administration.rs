//! Changing which PFSs there are (spec 9.1 and 9.2), and giving back space.

use super::{Cluster, Modification, OpError, Outcome, PfsSelector, Slot};
use crate::media::inode::InodeFlags;
use crate::media::{
    CheckMethod, Compression, FileKind, Inode, Inum, Key, ModifyTid, PfsKind, PfsSubkind, Timestamp, Uuid,
    directory_hash,
};
use crate::node::{BulkfreeCounts, BulkfreeOptions, Growth};

/// The label that marks a PFS to boot from: not compressed, so that a boot loader can read it.
const BOOT: &[u8] = b"BOOT";

/// A PFS to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewPfs<'a> {
    /// Its label.
    pub label: &'a [u8],
    /// What it is in its cluster.
    pub kind: PfsKind,
    /// The cluster it belongs to: a new one unless it joins others.
    pub clid: Uuid,
    /// Itself.
    pub fsid: Uuid,
    /// Now.
    pub time: Timestamp,
}

/// What a snapshot takes over from its origin.
pub(crate) struct Origin<'a> {
    /// The origin's root.
    pub(crate) slot: Slot,
    /// What it says.
    pub(crate) root: &'a Inode,
    /// The operation that takes the snapshot.
    pub(crate) tid: ModifyTid,
}

/// What came of an order to make or remove a PFS.
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
        let mut root = blank_root(new);
        let is_boot = new.label.eq_ignore_ascii_case(BOOT);
        root.meta.comp_algo = if is_boot { Compression::AutoZero } else { Compression::Lz4 } as u8;
        root.meta.check_algo = CheckMethod::XxHash64 as u8;
        root.meta.set_mode(0o755);
        self.add_pfs(new.label, root, None).await
    }

    /// Makes a snapshot of an open PFS of which nothing is in memory only.
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
        self.add_pfs(new.label, root, Some(origin.slot)).await
    }

    /// Removes a PFS that isn't mounted, with all that is in it. Its space comes back with bulkfree.
    pub async fn delete_pfs(&self, label: &[u8]) -> Result<PfsOutcome, OpError> {
        self.prepare().await?;
        let Some(pfs) = self.find_pfs(PfsSelector::Label(label)).await? else { return Ok(PfsOutcome::Absent) };
        self.modify(self.node.next_super_tid(), Modification::RemovePfs { key: pfs.root.key }).await?;
        self.flush().await?;
        Ok(PfsOutcome::Done)
    }

    /// One pass of bulkfree. Nothing else may be done meanwhile.
    pub async fn bulkfree(&self) -> Result<BulkfreeCounts, OpError> {
        self.bulkfree_with(BulkfreeOptions::default()).await
    }

    /// The same, done otherwise than usual.
    pub async fn bulkfree_with(&self, options: BulkfreeOptions) -> Result<BulkfreeCounts, OpError> {
        self.prepare().await?;
        Ok(self.node.bulkfree(options).await?)
    }

    /// Has the last volume use `volume_bytes` of its device, or all of it, as far as that makes it larger; at any time. It is
    /// durable when this is done, with all that was done before.
    pub async fn grow(&self, volume_bytes: Option<u64>) -> Result<Growth, OpError> {
        self.prepare().await?;
        Ok(self.node.grow(volume_bytes).await?)
    }

    /// Makes the nodes fit for modifications: what other writers left undone is done now.
    pub async fn prepare(&self) -> Result<(), OpError> {
        Ok(self.node.recover().await?)
    }

    /// Puts a root under the first free key of its label.
    async fn add_pfs(&self, label: &[u8], mut root: Inode, origin: Option<Slot>) -> Result<PfsOutcome, OpError> {
        if self.find_pfs(PfsSelector::Label(label)).await?.is_some() {
            return Ok(PfsOutcome::Exists);
        }
        let range = directory_hash(label);
        for key in range.first.0..=range.last.0 {
            root.meta.set_name_key(Key(key));
            let create = Modification::CreatePfs { inode: &root, key: Key(key), origin };
            if self.modify(self.node.next_super_tid(), create).await? == Outcome::Done {
                self.flush().await?;
                return Ok(PfsOutcome::Done);
            }
        }
        Err(OpError::NoSpace)
    }
}

fn blank_root(new: &NewPfs<'_>) -> Inode {
    let mut root = Inode::new(FileKind::Directory);
    let meta = &mut root.meta;
    meta.set_inum(Inum::PFS_ROOT);
    meta.set_iparent(Inum::PFS_ROOT);
    meta.set_nlinks(1);
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
