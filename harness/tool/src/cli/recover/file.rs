//! One file on its way out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hammer2_core::fs::Attributes;
use hammer2_core::media::inode::InodeFlags;
use hammer2_core::media::{Blockref, FileKind, Inode, Key, KeyRange};
use hammer2_core::rescue::{Piece, Walk, is_checked};

use super::super::Failure;
use super::super::get::is_host_full;
use super::Recovery;
use super::index::{Identity, Status};
use super::report::{Gaps, Missing, Origin, Written};

/// The name of a file while it is written, before it is known how much of it is left.
const UNDER_WAY: &[u8] = b".recover-file";
/// The suffix of the name of a file that has gaps.
const PARTIAL: &[u8] = b".partial";
/// The folder of files that no check code vouches for.
const UNVERIFIED: &[u8] = b"unverified/";
const MOST_NAMES_ALIKE: u32 = 1000;
const MAX_NAME_BYTES: usize = 255;
/// The longest target that Linux knows.
const MAX_TARGET_BYTES: u64 = 4095;

/// An inode, and the blockref it was read by.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) bref: Blockref,
    pub(super) inode: Inode,
}

impl Found {
    pub(super) fn identity(&self) -> Identity {
        Identity::of(&self.inode.meta)
    }

    /// The result for the file if this inode is used.
    fn status(&self, is_whole: bool) -> Status {
        Status { is_whole, inode: self.bref.data_off(), changed: self.inode.meta.ctime() }
    }

    pub(super) fn kind(&self) -> Option<FileKind> {
        self.inode.meta.kind().ok()
    }

    pub(super) fn attributes(&self, kind: FileKind) -> Attributes {
        let meta = &self.inode.meta;
        Attributes::of_meta(meta.inum(), kind, meta, self.bref.modify_tid())
    }
}

/// Where a file belongs.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) origin: Origin,
    /// The path below the folder of its origin.
    pub(super) path: &'p [u8],
    /// The tree it is in, for its other names.
    pub(super) tree: u32,
    /// No directory has a name for it.
    pub(super) is_unnamed: bool,
}

/// The outcome for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extracted {
    Whole,
    Partial,
    Nothing,
}

/// What was read of a file.
#[derive(Default)]
struct Content {
    gaps: Gaps,
    data_bytes: u64,
    is_unchecked: bool,
}

/// Why a file isn't written.
enum Stop {
    Failure(Failure),
    Host(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

impl Recovery<'_> {
    /// Writes a file, or the part of it that is left unless it must be whole.
    pub(super) async fn extract(
        &mut self,
        found: &Found,
        place: Place<'_>,
        must_be_whole: bool,
    ) -> Result<Extracted, Failure> {
        match self.try_extract(found, place, must_be_whole).await {
            Ok(extracted) => Ok(extracted),
            Err(Stop::Failure(failure)) => Err(failure),
            Err(Stop::Host(error)) if is_host_full(&error) => Err(Failure::failed(error)),
            Err(Stop::Host(error)) => {
                self.report.failed(place.path, &error);
                Ok(Extracted::Nothing)
            }
        }
    }

    async fn try_extract(&mut self, found: &Found, place: Place<'_>, must_be_whole: bool) -> Result<Extracted, Stop> {
        let inum = found.inode.meta.inum();
        let Some(kind) = found.kind() else { return Ok(Extracted::Nothing) };
        let attributes = found.attributes(kind);
        let mut content = Content::default();
        let mut target = Vec::new();
        let file = match kind {
            FileKind::Regular => {
                let file = self.host.make_file(UNDER_WAY)?;
                if let Err(stop) = self.read_into(&file, found, &mut content).await {
                    self.host.remove_file(UNDER_WAY)?;
                    return Err(stop);
                }
                Some(file)
            }
            FileKind::Symlink => {
                target = self.read_target(found, &mut content).await?;
                let is_target = !target.is_empty() && !target.contains(&0);
                // A target that no check code vouches for may hold anything.
                if !is_target && !is_checked(&found.bref) {
                    let last = found.inode.meta.size().saturating_sub(1);
                    content.gaps.add(Missing { first: 0, last, why: "it isn't the target of a link".into() });
                }
                None
            }
            _ => None,
        };
        let is_nothing = !content.gaps.is_empty() && content.data_bytes == 0;
        // A link that leads somewhere else is worse than none.
        let is_useless = is_nothing || (kind == FileKind::Symlink && !content.gaps.is_empty());
        if is_useless || (must_be_whole && !content.gaps.is_empty()) {
            if file.is_some() {
                self.host.remove_file(UNDER_WAY)?;
            }
            if place.is_unnamed {
                self.report.remnant(place.path)?;
            } else if !must_be_whole {
                self.report.lost(place.path, inum, "nothing of its content can be read")?;
            }
            return Ok(Extracted::Nothing);
        }
        let is_verified = is_checked(&found.bref) && !content.is_unchecked;
        let is_whole = content.gaps.is_empty();
        let decorated = Decoration { is_verified, is_whole };
        if let Some(file) = &file {
            self.host.finish_file(file, &attributes)?;
        }
        let path = self.settle(&decorated.path(place), |host, path| match kind {
            FileKind::Regular => host.move_file(UNDER_WAY, path),
            _ => host.make_special(path, &attributes, &target),
        });
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                if file.is_some() {
                    self.host.remove_file(UNDER_WAY)?;
                }
                return Err(error.into());
            }
        };
        self.note(found, is_whole)?;
        if found.inode.meta.nlinks() > 1 {
            self.index.set_link(
                place.tree,
                inum,
                &[&[u8::from(is_verified), u8::from(is_whole)], &path[..]].concat(),
            )?;
        }
        let bytes = if matches!(kind, FileKind::Regular | FileKind::Symlink) { found.inode.meta.size() } else { 0 };
        let origin = place.origin;
        self.report.written(&Written { path: &path, inum, origin, is_verified, bytes, gaps: &content.gaps })?;
        Ok(if is_whole { Extracted::Whole } else { Extracted::Partial })
    }

    /// Notes the outcome for a file.
    pub(super) fn note(&self, found: &Found, is_whole: bool) -> Result<(), Failure> {
        self.index.set_done(found.bref.data_off())?;
        self.index.set_status(found.identity(), found.status(is_whole))
    }

    /// Gives a file that was written already another name; false if it wasn't.
    pub(super) fn link(&mut self, found: &Found, place: Place<'_>) -> Result<bool, Failure> {
        let Some(link) = self.index.link(place.tree, found.inode.meta.inum())? else { return Ok(false) };
        let [verified, whole, existing @ ..] = &link[..] else { return Ok(false) };
        let decorated = Decoration { is_verified: *verified != 0, is_whole: *whole != 0 };
        match self.settle(&decorated.path(place), |host, path| host.make_link(existing, path)) {
            Ok(path) => self.report.linked(&path, existing, place.origin)?,
            Err(error) => self.report.failed(place.path, &error),
        }
        Ok(true)
    }

    /// Makes something at a path, or, if that is taken, at a similar one.
    fn settle(
        &mut self,
        path: &[u8],
        mut make: impl FnMut(&mut super::super::host_tree::HostTree, &[u8]) -> io::Result<()>,
    ) -> io::Result<Vec<u8>> {
        self.host.make_parents(path)?;
        for number in 0..MOST_NAMES_ALIKE {
            let path = if number == 0 { path.to_vec() } else { with_suffix(path, format!(".{number}").as_bytes()) };
            match make(&mut self.host, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| path),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    async fn read_into(&mut self, file: &File, found: &Found, content: &mut Content) -> Result<(), Stop> {
        let size = found.inode.meta.size();
        file.set_len(size)?;
        if found.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
            let bytes = &found.inode.body[..(size as usize).min(found.inode.body.len())];
            file.write_all_at(bytes, 0)?;
            content.data_bytes = bytes.len() as u64;
            return Ok(());
        }
        let Some(last) = size.checked_sub(1) else { return Ok(()) };
        let mut walk = Walk::new(found.inode.body_set(), KeyRange { first: Key(0), last: Key(last) });
        loop {
            let piece = self.rescue.next_piece(&mut walk, size, &mut self.buffer).await.map_err(Failure::failed)?;
            match piece {
                None => return Ok(()),
                Some(Piece::Missing(gap)) => content.gaps.add(Missing {
                    first: gap.keys.first.0,
                    last: gap.keys.last.0.min(last),
                    why: super::told(gap.error),
                }),
                Some(Piece::Data { offset, bytes, is_checked }) => {
                    content.is_unchecked |= !is_checked;
                    content.data_bytes += bytes as u64;
                    let bytes = &self.buffer.bytes()[..bytes];
                    // Zeros are a hole already.
                    if bytes.iter().any(|byte| *byte != 0) {
                        file.write_all_at(bytes, offset)?;
                    }
                    self.report.bar().inc(bytes.len() as u64);
                }
            }
        }
    }

    async fn read_target(&mut self, found: &Found, content: &mut Content) -> Result<Vec<u8>, Stop> {
        let size = found.inode.meta.size();
        if size > MAX_TARGET_BYTES && !is_checked(&found.bref) {
            return Ok(Vec::new());
        }
        if size > MAX_TARGET_BYTES {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the host has no targets as long as this").into());
        }
        if found.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
            return Ok(found.inode.body[..(size as usize).min(found.inode.body.len())].to_vec());
        }
        let mut target = vec![0; size as usize];
        let last = size.saturating_sub(1);
        let mut walk = Walk::new(found.inode.body_set(), KeyRange { first: Key(0), last: Key(last) });
        let mut known_bytes = 0;
        loop {
            let piece = self.rescue.next_piece(&mut walk, size, &mut self.buffer).await.map_err(Failure::failed)?;
            match piece {
                None => break,
                Some(Piece::Missing(gap)) => {
                    content.gaps.add(Missing { first: 0, last, why: super::told(gap.error) });
                    return Ok(target);
                }
                Some(Piece::Data { bytes, is_checked, .. }) => {
                    content.is_unchecked |= !is_checked;
                    known_bytes += bytes;
                    target[..bytes].copy_from_slice(&self.buffer.bytes()[..bytes]);
                }
            }
        }
        content.data_bytes = known_bytes as u64;
        Ok(target)
    }
}

/// What a file's path says about it besides its name.
#[derive(Clone, Copy)]
struct Decoration {
    is_verified: bool,
    is_whole: bool,
}

impl Decoration {
    fn path(self, place: Place<'_>) -> Vec<u8> {
        let top = if self.is_verified { &b""[..] } else { UNVERIFIED };
        let path = [top, place.origin.folder(), place.path].concat();
        if self.is_whole { path } else { with_suffix(&path, PARTIAL) }
    }
}

/// A path with a suffix behind its last name, which is cut if it would be too long.
fn with_suffix(path: &[u8], suffix: &[u8]) -> Vec<u8> {
    let name_at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let kept = path.len().min(name_at + MAX_NAME_BYTES - suffix.len());
    [&path[..kept], suffix].concat()
}
