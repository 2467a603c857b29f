//! Files that no tree leads to: their inodes were found, and perhaps their names.

use hammer2_core::media::inode::InodeFlags;
use hammer2_core::media::volume_header::SET_ENTRIES;
use hammer2_core::media::{BlockKind, Blockref, DataOff, FileKind, Inum, KeyRange, directory_hash};

use super::super::Failure;
use super::Recovery;
use super::file::{Extracted, Found, Place};
use super::index::{Status, Version};
use super::report::Origin;
use super::tree::{Rule, Tree};

/// Inodes of one file that are tried until one is whole.
const MOST_VERSIONS: usize = 64;
/// Inodes of one number from which one is chosen.
const MOST_ALIKE: usize = 64;

impl Recovery<'_> {
    /// The inode that a name of a broken tree means: of those with its number, the one that says it is in that directory.
    pub(super) async fn choose(&mut self, inum: Inum, kind: u8, parent: Inum) -> Result<Option<Found>, Failure> {
        let mut alike: Vec<Found> = Vec::new();
        let mut next = self.index.file_from(inum)?;
        for _ in 0..MOST_ALIKE {
            let Some(version) = next.filter(|version| version.identity.inum == inum) else { break };
            if let Some(found) = self.load(&version).await?
                && found.kind().is_some_and(|found| found as u8 == kind)
            {
                alike.push(found);
            }
            next = match self.index.version_after(&version)? {
                Some(other) => Some(other),
                None => self.index.file_after(version.identity)?,
            };
        }
        // A file with several names knows only one of its directories.
        if alike.iter().any(|found| found.inode.meta.iparent() == parent) {
            alike.retain(|found| found.inode.meta.iparent() == parent);
        }
        let is_one = alike.windows(2).all(|pair| pair[0].identity() == pair[1].identity());
        Ok(alike.first().filter(|_| is_one).copied())
    }

    async fn load(&self, version: &Version) -> Result<Option<Found>, Failure> {
        let inode = self.rescue.inode(&version.bref).await.map_err(Failure::failed)?;
        Ok(inode.ok().map(|inode| Found { bref: version.bref, inode }))
    }

    /// Recovers the files that trees have names for.
    pub(super) async fn recover_wanted(&mut self) -> Result<(), Failure> {
        let mut last = None;
        let no_index = [Blockref::EMPTY; SET_ENTRIES];
        // One tree for all of them: a file with several names is written once, and the other names become links to it.
        self.trees += 1;
        let number = self.trees;
        while let Some(wanted) = self.index.wanted_after(last.as_ref())? {
            let rule = if wanted.is_newest { Rule::Wanted } else { Rule::Lost };
            let tree = Tree { number, index: no_index, rule };
            match self.choose(wanted.inum, wanted.kind, wanted.parent).await? {
                Some(found) if found.kind() == Some(FileKind::Directory) => {
                    self.tell_found(&tree, &wanted.path)?;
                    self.walk_tree(&tree, &found, &wanted.path).await?;
                }
                Some(found) => {
                    self.file(&tree, &found, &wanted.path).await?;
                    if wanted.is_newest {
                        // Only the tree knew which of its inodes was the newest.
                        self.report.out_of_place();
                    }
                }
                None => self.tell_lost(&tree, &wanted.path, wanted.inum)?,
            }
            last = Some(wanted);
        }
        Ok(())
    }

    /// Recovers the rest: directories that no other is known to hold, then all directories, then files.
    pub(super) async fn recover_lost(&mut self) -> Result<(), Failure> {
        for pass in [Pass::Tops, Pass::Directories, Pass::Files] {
            let mut next = self.index.file_from(Inum(0))?;
            while let Some(version) = next {
                self.recover_one_lost(&version, pass).await?;
                next = self.index.file_after(version.identity)?;
            }
        }
        self.recover_stranded().await?;
        self.recover_from_gaps().await
    }

    /// Recovers the files of newest states whose names can't be read, even if other versions of them were written.
    async fn recover_stranded(&mut self) -> Result<(), Failure> {
        let mut from = DataOff(0);
        while let Some(bref) = self.index.stranded_from(from)? {
            from = DataOff(bref.data_off().0 + 1);
            if self.index.is_done(bref.data_off())? {
                continue;
            }
            let Ok(inode) = self.rescue.inode(&bref).await.map_err(Failure::failed)? else { continue };
            let found = Found { bref, inode };
            let Some(kind) = found.kind().filter(|kind| *kind != FileKind::Directory) else { continue };
            let path = self.name_of(&found, kind).await?;
            self.trees += 1;
            let place = Place { origin: Origin::Scan, path: &path, tree: self.trees, is_unnamed: true };
            self.extract(&found, place, false).await?;
        }
        Ok(())
    }

    /// Recovers every whole inode of the files that a newest state doesn't lead to any more: a snapshot may have had an older one
    /// than the others. This comes last, as nobody misses most of them.
    async fn recover_from_gaps(&mut self) -> Result<(), Failure> {
        let mut gap = None;
        loop {
            gap = self.index.gap_after(gap)?;
            let Some(numbers) = gap else { return Ok(()) };
            let mut next = self.index.file_from(Inum(numbers.first.0))?;
            while let Some(best) = next.filter(|best| numbers.contains(KeyRange::only(best.identity.inum.key()))) {
                self.recover_each_version(best).await?;
                next = self.index.file_after(best.identity)?;
            }
        }
    }

    async fn recover_each_version(&mut self, best: Version) -> Result<(), Failure> {
        let (mut out, mut left) = (Vec::new(), Vec::new());
        let mut next = Some(best);
        for _ in 0..MOST_VERSIONS {
            let Some(version) = next else { break };
            next = self.index.version_after(&version)?;
            let Some(found) = self.load(&version).await? else { continue };
            match self.index.is_done(version.bref.data_off())? {
                true => out.push(found.inode.meta.ctime()),
                false => left.push(found),
            }
        }
        for found in left {
            let changed = found.inode.meta.ctime();
            let Some(kind) = found.kind().filter(|kind| *kind != FileKind::Directory) else { continue };
            if out.contains(&changed) {
                continue;
            }
            let path = self.name_of(&found, kind).await?;
            self.trees += 1;
            let place = Place { origin: Origin::Scan, path: &path, tree: self.trees, is_unnamed: true };
            if self.extract(&found, place, true).await? == Extracted::Whole {
                out.push(changed);
            }
        }
        Ok(())
    }

    async fn recover_one_lost(&mut self, best: &Version, pass: Pass) -> Result<(), Failure> {
        let status = self.index.status(best.identity)?;
        let Some(found) = self.load(best).await? else { return Ok(()) };
        let Some(kind) = found.kind() else { return Ok(()) };
        let is_directory = kind == FileKind::Directory;
        let parent = found.inode.meta.iparent();
        let wanted_now = match pass {
            Pass::Tops => is_directory && self.choose(parent, FileKind::Directory as u8, parent).await?.is_none(),
            Pass::Directories => is_directory,
            Pass::Files => !is_directory,
        };
        if !wanted_now || (is_directory && status.is_some()) {
            return Ok(());
        }
        let path = self.name_of(&found, kind).await?;
        if is_directory {
            self.trees += 1;
            let tree = Tree { number: self.trees, index: [Blockref::EMPTY; SET_ENTRIES], rule: Rule::Lost };
            return self.walk_tree(&tree, &found, &path).await.map(drop);
        }
        self.recover_versions(*best, status, &path).await
    }

    /// Recovers the newest of a file's inodes, and if it isn't whole, the newest one that is. Of inodes that were changed in the
    /// same moment, the older ones are intermediate writes: they never were a state of the file.
    async fn recover_versions(&mut self, best: Version, status: Option<Status>, path: &[u8]) -> Result<(), Failure> {
        let mut newest = status.map(|status| status.changed);
        let mut is_whole = status.is_some_and(|status| status.is_whole);
        let mut next = Some(best);
        for _ in 0..MOST_VERSIONS {
            let Some(version) = next else { return Ok(()) };
            next = self.index.version_after(&version)?;
            let Some(found) = self.load(&version).await? else { continue };
            let changed = found.inode.meta.ctime();
            let is_older = newest.is_some_and(|newest| changed < newest);
            if newest == Some(changed) || (is_older && is_whole) {
                continue;
            }
            // Names of one tree are links to one file, but these are several files.
            self.trees += 1;
            let place = Place { origin: Origin::Scan, path, tree: self.trees, is_unnamed: true };
            is_whole |= self.extract(&found, place, is_older).await? == Extracted::Whole;
            newest = newest.max(Some(changed));
        }
        Ok(())
    }

    /// The name of a file without a tree: its number, and the name that an entry of some directory gives it. The hash proves that
    /// the name belongs to its entry.
    async fn name_of(&self, found: &Found, kind: FileKind) -> Result<Vec<u8>, Failure> {
        let inum = found.inode.meta.inum();
        let number = format!("{inum}").into_bytes();
        let embedded =
            found.inode.meta.name_key().is_visible() && !found.inode.meta.flags().contains(InodeFlags::PFSROOT);
        if embedded && let Ok(name) = found.inode.meta.name() {
            return Ok(joined(number, name));
        }
        let Some(bref) = self.index.name(inum, kind)?.filter(|bref| bref.is(BlockKind::Dirent)) else {
            return Ok(number);
        };
        Ok(match self.rescue.entry(&bref).await.map_err(Failure::failed)? {
            Ok(entry) if directory_hash(&entry.name).contains(KeyRange::only(bref.key())) => {
                joined(number, &entry.name)
            }
            _ => number,
        })
    }
}

/// What a pass looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Tops,
    Directories,
    Files,
}

fn joined(number: Vec<u8>, name: &[u8]) -> Vec<u8> {
    const MOST_BYTES: usize = 255;
    let mut joined = [&number[..], b"-", name].concat();
    joined.truncate(MOST_BYTES);
    joined
}
