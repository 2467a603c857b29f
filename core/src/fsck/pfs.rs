//! The super-root and the roots of the PFSs in it (format 3.2 and 3.7).

use super::inode_table::InodeTable;
use super::seen::{Owner, Sighting};
use super::topology::{Role, Walk};
use super::{Checker, Cost, Subject, Trouble};
use crate::media::blockref::BlockFlags;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::inode::InodeFlags;
use crate::media::{
    BlockKind, Blockref, Corruption, FileKind, Inode, Inum, KeyRange, PfsKind, Uuid, VolumeHeader, directory_hash,
};
use crate::memory::{self, NoMemory, Vec, aside};

/// The root of a PFS.
pub(super) struct PfsRoot {
    bref: Blockref,
    label: heapless::Vec<u8, MAX_NAME_BYTES>,
    clid: Uuid,
    fsid: Uuid,
    pub(super) highest_inum: Inum,
}

impl PfsRoot {
    pub(super) fn new(bref: &Blockref, inode: &Inode) -> Self {
        let label = inode.meta.label().unwrap_or(b"");
        Self {
            bref: *bref,
            // No label is longer.
            label: heapless::Vec::from_slice(label).unwrap_or_default(),
            clid: inode.meta.pfs_clid,
            fsid: inode.meta.pfs_fsid,
            highest_inum: inode.meta.pfs_inum(),
        }
    }

    pub(super) fn bref(&self) -> &Blockref {
        &self.bref
    }

    pub(super) fn label(&self) -> &[u8] {
        &self.label
    }
}

impl Checker<'_, '_> {
    /// Checks the super-root, then every PFS.
    pub(super) async fn check_super_root(&mut self, header: &VolumeHeader) -> Result<(), NoMemory> {
        let roots = self.pfs_roots(header).await?;
        self.check_pfs_identities(&roots).await?;
        for root in &roots {
            self.owner = Owner(self.owner.0 + 1);
            self.reports.summary.pfss += 1;
            let mut table = InodeTable::new(self.heap);
            let heap = self.heap;
            aside(heap, || self.index_inodes(root, &mut table))?.await?;
            aside(heap, || self.check_directories(root, &mut table))?.await?;
            aside(heap, || self.check_links(root, &mut table))?.await;
            aside(heap, || self.check_quotas(root, &mut table))?.await?;
            aside(heap, || self.check_files(root, &table))?.await?;
        }
        Ok(())
    }

    /// Reads the PFS roots below a header, and checks each by itself.
    pub(super) async fn pfs_roots(&mut self, header: &VolumeHeader) -> Result<Vec<PfsRoot>, NoMemory> {
        let mut roots = Vec::new_in(self.heap);
        let nobody = Subject::default();
        let mut top = Walk::new(self.heap, Role::Volume, &header.sroot_blockset, header.mirror_tid(), KeyRange::ALL);
        let mut super_root = None;
        while let Some(entry) = top.next(self, nobody).await? {
            super_root = Some(entry);
        }
        let Some(super_root) = super_root else {
            if !top.lost {
                self.problem(nobody, None, Corruption::NoSuperRoot.into(), Cost::FileSystem).await;
            }
            return Ok(roots);
        };
        let Some(inode) = self.load_inode(nobody, &super_root, Cost::FileSystem).await? else { return Ok(roots) };
        self.seen.enter(&super_root, self.owner)?;
        let is_one = inode.meta.pfs_kind() == PfsKind::SuperRoot && inode.meta.inum() == Inum::SUPER_ROOT;
        if !is_one || inode.meta.kind() != Ok(FileKind::Directory) || inode.block_array().is_none() {
            self.problem(nobody, Some(&super_root), Corruption::NotSuperRoot.into(), Cost::FileSystem).await;
        }
        let mut walk = Walk::new(self.heap, Role::SuperRoot, &inode.body_set(), super_root.mirror_tid(), KeyRange::ALL);
        while let Some(entry) = walk.next(self, nobody).await? {
            if self.seen.enter(&entry, self.owner)? == Sighting::Twice {
                self.problem(nobody, Some(&entry), Trouble::UsedTwice, Cost::Pfs).await;
                continue;
            }
            let Some(inode) = self.load_inode(nobody, &entry, Cost::Pfs).await? else { continue };
            let root = PfsRoot::new(&entry, &inode);
            self.check_pfs_root(&root, &inode).await;
            memory::push(&mut roots, root)?;
        }
        Ok(roots)
    }

    async fn check_pfs_root(&mut self, root: &PfsRoot, inode: &Inode) {
        let subject = Subject { pfs: Some(root), ..Subject::default() };
        let meta = &inode.meta;
        let flagged = root.bref.flags().contains(BlockFlags::PFSROOT) && meta.flags().contains(InodeFlags::PFSROOT);
        let hash = directory_hash(&root.label);
        let mountable = !matches!(meta.pfs_kind(), PfsKind::None | PfsKind::SuperRoot | PfsKind::Dummy);
        let rules = [
            (root.bref.is(BlockKind::Inode), "not an inode", Cost::Pfs),
            (flagged, "not flagged as one in blockref and inode", Cost::OtherSystems),
            (meta.kind() == Ok(FileKind::Directory), "not a directory", Cost::Pfs),
            (meta.inum() == Inum::PFS_ROOT, "its inode number is not 1", Cost::Pfs),
            (meta.name_key() == root.bref.key(), "name_key is not its key", Cost::OtherSystems),
            (!root.label.is_empty(), "it has no label", Cost::Pfs),
            (hash.contains(KeyRange::only(root.bref.key())), "its key is not one of its label", Cost::Pfs),
            (mountable, "a type that can't be mounted", Cost::Pfs),
            (root.clid != Uuid::NIL, "pfs_clid is nil", Cost::ClusterMix),
            (root.fsid != Uuid::NIL, "pfs_fsid is nil", Cost::OtherSystems),
        ];
        for (good, what, cost) in rules {
            if !good {
                self.problem(subject, Some(&root.bref), Trouble::PfsRoot(what), cost).await;
            }
        }
    }

    /// Reports ids that two PFSs must not share.
    async fn check_pfs_identities(&mut self, roots: &[PfsRoot]) -> Result<(), NoMemory> {
        type Same = fn(&PfsRoot) -> &[u8];
        let rules: [(Same, Trouble, Cost); 3] = [
            (|root| &root.clid.0, Trouble::SharedUuid("pfs_clid"), Cost::ClusterMix),
            (|root| &root.fsid.0, Trouble::SharedUuid("pfs_fsid"), Cost::OtherSystems),
            (|root| &root.label, Trouble::DuplicateName, Cost::Pfs),
        ];
        let mut next = 0;
        let mut order = memory::filled(self.heap, roots.len(), || {
            next += 1;
            next - 1
        })?;
        for (what, trouble, cost) in rules {
            order.sort_unstable_by_key(|index| (what(&roots[*index]), *index));
            for pair in order.windows(2).filter(|pair| what(&roots[pair[0]]) == what(&roots[pair[1]])) {
                let root = &roots[pair[1]];
                let subject = Subject { pfs: Some(root), ..Subject::default() };
                self.problem(subject, Some(&root.bref), trouble, cost).await;
            }
        }
        Ok(())
    }
}
