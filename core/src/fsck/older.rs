//! Checking the states below older header copies, on which a mount would fall back.
//!
//! Their blocks may have been freed and reused since, so damage there is a remark. Blocks that an older state shares with the
//! newest one were checked already and are skipped.

use super::pfs::PfsRoot;
use super::report::Place;
use super::seen::{Owner, Sighting};
use super::topology::{Role, Walk};
use super::{Checker, Cost, Subject, Trouble};
use crate::media::geometry::{HEADER_COPIES, header_copies};
use crate::media::{BlockKind, Blockref, FileKind, KeyRange, VolumeHeader};
use crate::memory::{NoMemory, aside};
use crate::node::{HeaderImage, Node, copy_fits};

impl Checker<'_, '_> {
    /// Looks below every header copy of the root volume that isn't the newest.
    pub(super) async fn check_older_states(&mut self, node: &Node) -> Result<(), NoMemory> {
        let Some(root) = node.volumes().root() else { return Ok(()) };
        let copies = header_copies(node.header().volu_size());
        for copy in (0..HEADER_COPIES.min(copies)).filter(|copy| copy_fits(&root.disk, *copy)) {
            let Ok(image) = HeaderImage::read(self.heap, &root.disk, copy).await? else { continue };
            let header = image.get();
            let is_other = header.sroot_blockset != node.header().sroot_blockset
                || header.freemap_blockset != node.header().freemap_blockset;
            if header.check_identity().is_err() || !is_other {
                continue;
            }
            self.reports.begin_older();
            let heap = self.heap;
            let walked = aside(heap, || self.check_older_state(header))?.await;
            let findings = self.reports.end_older();
            walked?;
            if findings > 0 {
                let place = Place { header: Some((root.disk.info().name, copy)), ..Place::default() };
                self.reports.remark(place, Trouble::OlderState(findings), Cost::HeaderCopy);
            }
        }
        Ok(())
    }

    async fn check_older_state(&mut self, header: &VolumeHeader) -> Result<(), NoMemory> {
        self.owner = Owner(self.owner.0 + 1);
        let nobody = Subject::default();
        let mut freemap =
            Walk::new(self.heap, Role::Freemap, &header.freemap_blockset, header.mirror_tid(), KeyRange::ALL);
        while let Some(leaf) = freemap.next(self, nobody).await? {
            self.load(nobody, &leaf, Cost::FreemapPart).await?;
        }
        for root in &self.pfs_roots(header).await? {
            self.owner = Owner(self.owner.0 + 1);
            let heap = self.heap;
            aside(heap, || self.check_older_pfs(root))?.await?;
        }
        Ok(())
    }

    async fn check_older_pfs(&mut self, root: &PfsRoot) -> Result<(), NoMemory> {
        let subject = Subject { pfs: Some(root), ..Subject::default() };
        let Some(inode) = self.load_inode(subject, root.bref(), Cost::Pfs).await? else { return Ok(()) };
        let mut walk = Walk::new(self.heap, Role::PfsRoot, &inode.body_set(), root.bref().mirror_tid(), KeyRange::ALL);
        while let Some(entry) = walk.next(self, subject).await? {
            if entry.is(BlockKind::Inode) && self.seen.enter(&entry, self.owner)? == Sighting::First {
                self.check_older_inode(subject, &entry).await?;
            } else if entry.is(BlockKind::Dirent) {
                self.check_name_block(subject, &entry).await?;
            }
        }
        Ok(())
    }

    async fn check_older_inode(&mut self, subject: Subject<'_>, bref: &Blockref) -> Result<(), NoMemory> {
        let Some(inode) = self.load_inode(subject, bref, Cost::Inode).await? else { return Ok(()) };
        if inode.meta.kind() != Ok(FileKind::Directory) {
            return self.check_content(subject, bref).await;
        }
        let mut walk = Walk::new(self.heap, Role::Directory, &inode.body_set(), bref.mirror_tid(), KeyRange::ALL);
        while let Some(entry) = walk.next(self, subject).await? {
            self.check_name_block(subject, &entry).await?;
        }
        Ok(())
    }

    async fn check_name_block(&mut self, subject: Subject<'_>, entry: &Blockref) -> Result<(), NoMemory> {
        if entry.data_off().radix() != Ok(None) {
            self.load(subject, entry, Cost::Name).await?;
        }
        Ok(())
    }
}
