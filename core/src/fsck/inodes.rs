//! The inode index of a PFS: each inode is checked by itself and entered in the table of inodes (format 3.1 to 3.3).

use super::inode_table::{InodeFacts, InodeTable, QuotaFacts, Reach};
use super::pfs::PfsRoot;
use super::seen::Sighting;
use super::topology::{Role, Walk};
use super::{Checker, Cost, Quirk, Subject, Trouble};
use crate::media::blockref::BlockFlags;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags, hidden_name};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Corruption, FileKind, Inode, Inum, Key, KeyRange, is_zero,
};
use crate::memory::NoMemory;

impl Checker<'_, '_> {
    /// Walks the inode index of a PFS.
    pub(super) async fn index_inodes(&mut self, root: &PfsRoot, table: &mut InodeTable) -> Result<(), NoMemory> {
        let subject = Subject { pfs: Some(root), ..Subject::default() };
        let Some(inode) = self.load_inode(subject, root.bref(), Cost::Pfs).await? else { return Ok(()) };
        if inode.block_array().is_none() {
            self.problem(subject, Some(root.bref()), Corruption::NotPfsRoot.into(), Cost::Pfs).await;
        }
        table.add(facts(&inode, Inum::PFS_ROOT, false), QuotaFacts::of(Inum::PFS_ROOT, &inode.meta))?;
        let mut walk =
            Walk::new(self.heap, Role::PfsRoot, &inode.body_set(), root.bref().mirror_tid(), KeyRange::INODE_INDEX);
        while let Some(entry) = walk.next(self, subject).await? {
            let inum = Inum(entry.key().0);
            let subject = Subject { inode: Some(inum), ..subject };
            let sighting = self.seen.enter(&entry, self.owner)?;
            if sighting == Sighting::Twice {
                self.problem(subject, Some(&entry), Trouble::UsedTwice, Cost::Inode).await;
                table.add_unreadable(inum)?;
                continue;
            }
            let cost = Role::PfsRoot.cost(&entry);
            let Some(inode) = self.load_inode(subject, &entry, cost).await? else {
                table.add_unreadable(inum)?;
                continue;
            };
            self.check_inode(subject, root, &entry, &inode).await;
            if inum <= Inum::PFS_ROOT {
                self.problem(subject, Some(&entry), Trouble::InumReserved, Cost::Inode).await;
                continue;
            }
            self.reports.summary.inodes += 1;
            table.add(facts(&inode, inum, sighting == Sighting::Elsewhere), QuotaFacts::of(inum, &inode.meta))?;
        }
        table.index_lost = walk.lost;
        Ok(())
    }

    /// Checks an inode of the index by itself. Damage that makes it unreadable was found when it was read.
    async fn check_inode(&mut self, subject: Subject<'_>, root: &PfsRoot, bref: &Blockref, inode: &Inode) {
        let meta = &inode.meta;
        let inum = Inum(bref.key().0);
        let mut wrong: heapless::Vec<(Trouble, Cost), 8> = heapless::Vec::new();
        let mut rule = |good: bool, trouble, cost| {
            if !good {
                // There is room for every rule.
                let _ = wrong.push((trouble, cost));
            }
        };
        let number = Corruption::InodeNumber { wanted: inum, found: meta.inum() };
        rule(meta.inum() == inum, number.into(), Cost::Inode);
        rule(meta.name_key() == bref.key(), Trouble::NameKey(meta.name_key()), Cost::OtherSystems);
        rule(meta.name() == Ok(&hidden_name(inum)[..]), Trouble::HiddenName, Cost::OtherSystems);
        rule(inum <= root.highest_inum, Trouble::InumUnissued(root.highest_inum), Cost::Collision);
        let flagged = meta.flags().contains(InodeFlags::PFSROOT) || bref.flags().contains(BlockFlags::PFSROOT);
        rule(!flagged, Trouble::PfsRoot("an ordinary inode is flagged as one"), Cost::OtherSystems);
        let check_known = meta.check_algo & 0xf <= CheckMethod::Sha192 as u8;
        rule(check_known, Trouble::Method("check_algo"), Cost::NewData);
        let compression_known = Compression::from_code(meta.comp_algo & 0xf).is_ok();
        rule(compression_known, Trouble::Method("comp_algo"), Cost::NewData);
        for (trouble, cost) in wrong {
            self.problem(subject, Some(bref), trouble, cost).await;
        }
        if meta.has_stray_name_bytes() {
            self.reports.quirk(Quirk::NameTail);
        }
        let has_content = matches!(meta.kind(), Ok(FileKind::Regular | FileKind::Symlink));
        if !has_content && meta.size() != 0 {
            self.reports.quirk(Quirk::SizeOfSpecial);
        }
        let embedded = meta.flags().contains(InodeFlags::DIRECTDATA);
        let end = usize::try_from(meta.size()).unwrap_or(EMBEDDED_BYTES).min(EMBEDDED_BYTES);
        if embedded && !is_zero(&inode.body[end..]) {
            self.reports.quirk(Quirk::FileTail);
        }
    }

    /// Checks the content of every inode that isn't a directory.
    pub(super) async fn check_files(&mut self, root: &PfsRoot, table: &InodeTable) -> Result<(), NoMemory> {
        for index in 0..table.len() {
            let facts = table.at(index);
            if facts.kind == FileKind::Directory || facts.content_known {
                continue;
            }
            let subject =
                Subject { pfs: Some(root), inode: Some(facts.inum), table: Some(table), ..Subject::default() };
            let Some(bref) = self.find_inode(subject, root, facts.inum).await? else { continue };
            self.check_content(subject, &bref).await?;
        }
        Ok(())
    }

    /// Finds an inode of a PFS as a reader does; reports it if that fails although the inode exists.
    pub(super) async fn find_inode(
        &mut self,
        subject: Subject<'_>,
        root: &PfsRoot,
        inum: Inum,
    ) -> Result<Option<Blockref>, NoMemory> {
        match super::names::inode_of(self.blocks, root.bref(), inum).await {
            Ok(Some(bref)) => Ok(Some(bref)),
            Ok(None) => {
                self.problem(subject, None, Corruption::Dangling(inum).into(), Cost::Inode).await;
                Ok(None)
            }
            Err(error) => {
                let bref = Blockref::new(BlockKind::Inode, inum.key(), Default::default(), Default::default());
                self.unreadable(subject, &bref, error.error, Cost::Inode).await?;
                Ok(None)
            }
        }
    }
}

fn facts(inode: &Inode, inum: Inum, content_known: bool) -> InodeFacts {
    let is_root = inum == Inum::PFS_ROOT;
    InodeFacts {
        inum,
        parent: inode.meta.iparent(),
        links: inode.meta.nlinks(),
        names: 0,
        named_in: Inum::PFS_ROOT,
        name_key: Key(0),
        kind: if is_root { FileKind::Directory } else { inode.meta.kind().unwrap_or(FileKind::Whiteout) },
        content_known,
        reach: if is_root { Reach::Settled } else { Reach::Unknown },
        next_orphan: inode.meta.next_orphan(),
        listed: false,
    }
}
