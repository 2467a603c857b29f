//! Walks a tree of blockrefs and checks every array of it (format 2 and 4.1).
//!
//! A walk keeps its own stack, with one block for each level, so neither its depth nor its memory depends on what a disk says. An
//! entry that breaks a rule is reported and left out; the walk continues with the next.

use super::seen::Sighting;
use super::{Checker, Cost, Quirk, Subject, Trouble};
use crate::chain::MAX_DEPTH;
use crate::io::Block;
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::volume_header::Blockset;
use crate::media::{
    BlockArray, BlockKind, Blockref, CheckMethod, Corruption, KeyBits, KeyRange, Methods, MirrorTid, freemap,
};
use crate::memory::{Heap, NoMemory, Vec, push};

/// The kind of a tree: it determines what may be in it, and what is lost with a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The super-root's set in the volume header.
    Volume,
    /// The super-root: PFS roots.
    SuperRoot,
    /// A PFS root: the inode index and a directory.
    PfsRoot,
    /// A directory.
    Directory,
    /// A file or symbolic link of `size` bytes.
    File {
        /// The file's size.
        size: u64,
    },
    /// Anything else: its tree must be empty.
    Special,
    /// The freemap.
    Freemap,
}

impl Role {
    fn admits(self, entry: &Blockref, kind: BlockKind) -> bool {
        let visible = entry.key().is_visible();
        match self {
            Self::Volume => kind == BlockKind::Inode && entry.key().0 == 0,
            Self::SuperRoot => matches!(kind, BlockKind::Inode | BlockKind::Indirect),
            Self::PfsRoot if !visible => matches!(kind, BlockKind::Inode | BlockKind::Indirect),
            Self::PfsRoot | Self::Directory => {
                kind == BlockKind::Indirect || (visible && matches!(kind, BlockKind::Dirent | BlockKind::Inode))
            }
            Self::File { .. } => matches!(kind, BlockKind::Data | BlockKind::Indirect),
            Self::Special => false,
            Self::Freemap => matches!(kind, BlockKind::FreemapNode | BlockKind::FreemapLeaf),
        }
    }

    /// What is lost with an entry.
    pub(super) fn cost(self, entry: &Blockref) -> Cost {
        let below = entry.leaf_count();
        let kind = entry.kind();
        match self {
            Self::Volume => Cost::FileSystem,
            Self::SuperRoot if kind == Ok(BlockKind::Indirect) => Cost::Pfss(below),
            Self::SuperRoot => Cost::Pfs,
            Self::PfsRoot | Self::Directory => match kind {
                Ok(BlockKind::Indirect) if self == Self::PfsRoot => Cost::Index(below),
                Ok(BlockKind::Indirect) => Cost::Entries(below),
                Ok(BlockKind::Dirent) => Cost::Name,
                Ok(BlockKind::Inode) if below > 0 => Cost::InodeWith(below),
                _ => Cost::Inode,
            },
            Self::File { size } => {
                let span = entry.span().unwrap_or(KeyRange::only(entry.key()));
                Cost::Bytes { first: span.first.0, last: span.last.0.min(size.saturating_sub(1)).max(span.first.0) }
            }
            Self::Special => Cost::Nothing,
            Self::Freemap => Cost::FreemapPart,
        }
    }
}

/// The position of a walk in one array.
struct Position {
    span: KeyRange,
    mirror_tid: MirrorTid,
    next: usize,
    previous: Option<KeyRange>,
}

impl Position {
    fn new(span: KeyRange, mirror_tid: MirrorTid) -> Self {
        Self { span, mirror_tid, next: 0, previous: None }
    }
}

/// The number of entries after the current one whose blocks are requested ahead.
const READ_AHEAD: usize = 16;

/// A walk over the leaves of a tree whose keys are in a range.
pub(super) struct Walk<'c> {
    role: Role,
    range: KeyRange,
    root: Blockset,
    at_root: Position,
    /// The positions on each level below the root, at most as many as a tree may have.
    below: Vec<(Block<'c>, Position)>,
    /// True when parts of the tree couldn't be walked.
    pub(super) lost: bool,
}

impl<'c> Walk<'c> {
    /// A walk over the tree below `root`; `mirror_tid` is that of the container of `root`.
    pub(super) fn new(heap: Heap, role: Role, root: &Blockset, mirror_tid: MirrorTid, range: KeyRange) -> Self {
        let at_root = Position::new(KeyRange::ALL, mirror_tid);
        Self { role, range, root: *root, at_root, below: Vec::new_in(heap), lost: false }
    }

    /// The next leaf that is in order.
    pub(super) async fn next(
        &mut self,
        checker: &mut Checker<'c, '_>,
        subject: Subject<'_>,
    ) -> Result<Option<Blockref>, NoMemory> {
        loop {
            let Some(entry) = self.step(checker) else {
                if self.below.pop().is_none() {
                    return Ok(None);
                }
                continue;
            };
            if entry.is_empty() {
                if entry != Blockref::EMPTY && self.range.contains(KeyRange::only(entry.key())) {
                    checker.problem(subject, Some(&entry), Trouble::EmptyNotZero, Cost::OtherSystems).await;
                }
                continue;
            }
            if !self.range.contains(KeyRange::only(entry.key())) {
                continue;
            }
            let span = match self.admit(checker, subject, &entry).await {
                Ok(span) => span,
                Err(trouble) => {
                    self.lost = true;
                    checker.problem(subject, Some(&entry), trouble, self.role.cost(&entry)).await;
                    continue;
                }
            };
            match entry.kind() {
                Ok(BlockKind::Indirect | BlockKind::FreemapNode) => {
                    self.descend(checker, subject, &entry, span).await?;
                }
                _ => return Ok(Some(entry)),
            }
        }
    }

    /// The next entry of the current array, empty ones included; none at its end.
    fn step(&mut self, checker: &Checker<'c, '_>) -> Option<Blockref> {
        let ahead = |entries: &[Blockref], from: usize, count: usize| {
            for entry in entries.iter().skip(from).take(count).filter(|entry| !entry.is_empty()) {
                checker.blocks.prefetch(entry);
            }
        };
        match self.below.last_mut() {
            None => {
                let index = self.at_root.next;
                self.at_root.next += 1;
                self.root.get(index).copied()
            }
            Some((block, position)) => {
                let bytes = block.bytes();
                let entries = BlockArray::new(&bytes, position.span).entries();
                let index = position.next;
                position.next += 1;
                match index {
                    0 => ahead(entries, 0, READ_AHEAD),
                    _ => ahead(entries, index + READ_AHEAD - 1, 1),
                }
                entries.get(index).copied()
            }
        }
    }

    /// Checks an entry against its array and its role; returns its span.
    async fn admit(
        &mut self,
        checker: &mut Checker<'c, '_>,
        subject: Subject<'_>,
        entry: &Blockref,
    ) -> Result<KeyRange, Trouble> {
        let kind = entry.kind()?;
        if !self.role.admits(entry, kind) {
            let special = self.role == Role::Special;
            return Err(if special { Trouble::ContentOfSpecial } else { Corruption::BlockType(kind as u8).into() });
        }
        let position = match self.below.last_mut() {
            Some((_, position)) => position,
            None => &mut self.at_root,
        };
        let span = BlockArray::of(&[], position.span).check_entry(position.previous, entry)?;
        position.previous = Some(span);
        let container = position.mirror_tid;
        match kind {
            BlockKind::Inode | BlockKind::Dirent if entry.keybits() != KeyBits(0) => {
                return Err(Corruption::KeySpan { key: entry.key(), keybits: entry.keybits().0 }.into());
            }
            BlockKind::Data if entry.keybits() != KeyBits(FILE_BLOCK_BITS) => {
                return Err(Corruption::DataSpan(entry.keybits().0).into());
            }
            _ => {}
        }
        self.check_methods(checker, entry, kind)?;
        if entry.mirror_tid() > container {
            let trouble = Trouble::MirrorTid { child: entry.mirror_tid(), container };
            checker.problem(subject, Some(entry), trouble, Cost::Recovery).await;
        }
        if entry.update_tid.get() != 0 {
            checker.reports.quirk(Quirk::UpdateTid);
        }
        Ok(span)
    }

    fn check_methods(&self, checker: &mut Checker<'c, '_>, entry: &Blockref, kind: BlockKind) -> Result<(), Trouble> {
        let method = entry.methods.check()?;
        match kind {
            BlockKind::FreemapNode | BlockKind::FreemapLeaf => {
                let is_leaf = entry.keybits() == freemap::LEAF_KEYBITS;
                if is_leaf != (kind == BlockKind::FreemapLeaf) {
                    return Err(Corruption::FreemapSpan(entry.keybits().0).into());
                }
                freemap::rotation(entry.key(), entry.keybits(), entry.data_off())?;
                if entry.methods != Methods((CheckMethod::Freemap as u8) << 4) {
                    return Err(Corruption::UnknownCheck(entry.methods.0 >> 4).into());
                }
            }
            _ if method == CheckMethod::Freemap => return Err(Corruption::UnknownCheck(method as u8).into()),
            BlockKind::Inode | BlockKind::Indirect if matches!(method, CheckMethod::None | CheckMethod::Disabled) => {
                checker.reports.quirk(Quirk::Unprotected);
            }
            _ => {}
        }
        Ok(())
    }

    /// Enters an array block, unless it was walked before or can't be read.
    async fn descend(
        &mut self,
        checker: &mut Checker<'c, '_>,
        subject: Subject<'_>,
        entry: &Blockref,
        span: KeyRange,
    ) -> Result<(), NoMemory> {
        if self.below.len() == MAX_DEPTH {
            self.lost = true;
            checker.problem(subject, Some(entry), Corruption::TooDeep.into(), self.role.cost(entry)).await;
            return Ok(());
        }
        if self.role != Role::Freemap {
            match checker.seen.enter(entry, checker.owner)? {
                Sighting::First => {}
                Sighting::Elsewhere if self.may_skip(checker, span) => return Ok(()),
                Sighting::Elsewhere => {}
                Sighting::Twice => {
                    self.lost = true;
                    checker.problem(subject, Some(entry), Trouble::UsedTwice, self.role.cost(entry)).await;
                    return Ok(());
                }
            }
        }
        match checker.load(subject, entry, self.role.cost(entry)).await? {
            Some(block) => push(&mut self.below, (block, Position::new(span, entry.mirror_tid())))?,
            None => self.lost = true,
        }
        Ok(())
    }

    /// True when all faults below a shared block were found when it was first seen.
    fn may_skip(&self, checker: &Checker<'c, '_>, span: KeyRange) -> bool {
        match self.role {
            Role::File { size } => span.last.0 < size,
            _ => checker.reports.is_older(),
        }
    }
}
