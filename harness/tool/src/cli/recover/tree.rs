//! Recovery of intact trees of files, from a directory down.

use hammer2_core::fs::Attributes;
use hammer2_core::media::volume_header::Blockset;
use hammer2_core::media::{FileKind, Inum, KeyRange};
use hammer2_core::rescue::{Entry, Step, Walk};

use super::super::Failure;
use super::Recovery;
use super::file::{Found, Place};
use super::index::Wanted;
use super::report::Origin;

/// Which files of a tree are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Everything: it is the newest state of its PFS.
    Newest,
    /// Files that the newest state doesn't have whole; they were removed, if that state was read to its end.
    Older {
        /// The newest state was read to its end.
        newest_is_complete: bool,
    },
    /// Everything below a directory that its tree doesn't lead to.
    Wanted,
    /// Files that weren't found otherwise.
    Lost,
}

/// A tree of files.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) number: u32,
    /// Its inode index.
    pub(super) index: Blockset,
    pub(super) rule: Rule,
}

/// A directory on the way down.
struct Frame {
    inum: Inum,
    path: Vec<u8>,
    walk: Walk,
    attributes: Attributes,
}

impl Recovery<'_> {
    /// Recovers everything below a directory; true when all names could be read.
    pub(super) async fn walk_tree(&mut self, tree: &Tree, top: &Found, path: &[u8]) -> Result<bool, Failure> {
        let mut is_complete = true;
        let mut frames = Vec::new();
        self.enter(tree, top, path.to_vec(), &mut frames)?;
        while let Some(frame) = frames.last_mut() {
            let step = frame.walk.next(&self.rescue).await.map_err(Failure::failed)?;
            let leaf = match step {
                None => {
                    let frame = frames.pop().expect("it was just there");
                    self.leave(tree, &frame);
                    continue;
                }
                Some(Step::Gap(gap)) => {
                    is_complete = false;
                    self.names_lost(tree, &frame.path, &super::told(gap.error))?;
                    continue;
                }
                Some(Step::Leaf(leaf)) => leaf,
            };
            match self.rescue.entry(&leaf).await.map_err(Failure::failed)? {
                Ok(entry) => is_complete &= self.follow(tree, &entry, &mut frames).await?,
                Err(error) => {
                    is_complete = false;
                    self.names_lost(tree, &frame.path, &super::told(error))?;
                }
            }
        }
        Ok(is_complete)
    }

    /// Reports lost names. Names that an older state, or a tree without a state, lacks aren't a loss by themselves.
    fn names_lost(&mut self, tree: &Tree, path: &[u8], why: &str) -> Result<(), Failure> {
        match tree.rule {
            Rule::Newest | Rule::Wanted => self.report.names_lost(path, why),
            Rule::Older { .. } | Rule::Lost => Ok(()),
        }
    }

    /// Goes down into a directory, unless that was done before: damaged directories may contain each other.
    fn enter(&mut self, tree: &Tree, found: &Found, path: Vec<u8>, frames: &mut Vec<Frame>) -> Result<(), Failure> {
        let inum = found.inode.meta.inum();
        if self.index.link(tree.number, inum)?.is_some() {
            return self.names_lost(tree, &path, "a directory that is also elsewhere");
        }
        self.index.set_link(tree.number, inum, &[])?;
        self.note(found, true)?;
        if tree.rule == Rule::Newest
            && let Err(error) = self.host.make_directory(&path)
        {
            self.report.failed(&path, &error);
            return Ok(());
        }
        let walk = Walk::new(found.inode.body_set(), KeyRange::VISIBLE);
        frames.push(Frame { inum, path, walk, attributes: found.attributes(FileKind::Directory) });
        Ok(())
    }

    fn leave(&mut self, tree: &Tree, frame: &Frame) {
        if tree.rule == Rule::Newest
            && let Err(error) = self.host.finish_directory(&frame.path, &frame.attributes)
        {
            self.report.failed(&frame.path, &error);
        }
    }

    /// Follows a name; false when its inode can't be read.
    async fn follow(&mut self, tree: &Tree, entry: &Entry, frames: &mut Vec<Frame>) -> Result<bool, Failure> {
        let frame = frames.last().expect("the directory the name is in");
        let path = [&frame.path[..], b"/", &entry.name].concat();
        let found = match self.rescue.lookup(&tree.index, entry.inum).await.map_err(Failure::failed)? {
            Ok(Some((bref, inode))) => Found { bref, inode },
            Ok(None) | Err(_) if matches!(tree.rule, Rule::Wanted | Rule::Lost) => {
                match self.choose(entry.inum, entry.kind, frame.inum).await? {
                    Some(found) => {
                        if found.kind() == Some(FileKind::Directory) {
                            self.tell_found(tree, &path)?;
                        }
                        found
                    }
                    None => {
                        self.tell_lost(tree, &path, entry.inum)?;
                        return Ok(false);
                    }
                }
            }
            Ok(None) | Err(_) => {
                let is_newest = tree.rule == Rule::Newest;
                let (inum, kind, parent) = (entry.inum, entry.kind, frame.inum);
                self.index.want(&Wanted { inum, kind, parent, path, is_newest })?;
                return Ok(false);
            }
        };
        if found.kind() == Some(FileKind::Directory) {
            self.enter(tree, &found, path, frames)?;
            return Ok(true);
        }
        self.file(tree, &found, &path).await?;
        Ok(true)
    }

    /// Recovers a file, if its tree's rule wants it.
    pub(super) async fn file(&mut self, tree: &Tree, found: &Found, path: &[u8]) -> Result<(), Failure> {
        let status = self.index.status(found.identity())?;
        let is_partial = status.is_some_and(|status| !status.is_whole);
        let (origin, must_be_whole) = match tree.rule {
            Rule::Newest => (Origin::Newest, false),
            Rule::Older { newest_is_complete: true } if status.is_none() => (Origin::Deleted, false),
            Rule::Older { .. } => (Origin::Older, is_partial),
            Rule::Wanted => (Origin::Scan, false),
            Rule::Lost => (Origin::Scan, is_partial),
        };
        let place = Place { origin, path, tree: tree.number, is_unnamed: false };
        if found.inode.meta.nlinks() > 1 && self.link(found, place)? {
            return Ok(());
        }
        let is_wanted_again = matches!(tree.rule, Rule::Newest | Rule::Wanted);
        if !is_wanted_again && status.is_some_and(|status| status.is_whole || status.inode == found.bref.data_off()) {
            return Ok(());
        }
        self.extract(found, place, must_be_whole).await.map(drop)
    }

    /// Reports a directory that no tree leads to.
    pub(super) fn tell_found(&mut self, tree: &Tree, path: &[u8]) -> Result<(), Failure> {
        self.names_lost(tree, path, "no tree leads to it: an inode of it was found, perhaps not the newest")
    }

    pub(super) fn tell_lost(&mut self, tree: &Tree, path: &[u8], inum: Inum) -> Result<(), Failure> {
        match tree.rule {
            Rule::Newest | Rule::Wanted => self.report.lost(path, inum, "its inode is nowhere to be found"),
            Rule::Older { .. } | Rule::Lost => Ok(()),
        }
    }
}
