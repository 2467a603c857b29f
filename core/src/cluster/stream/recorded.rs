//! A modification that is kept until the last lagging member has executed it.

use super::super::repair::Lost;
use super::super::{Command, Creation, GivenBlock, Modification, Places, Slot, StoredBlock};
use super::{COPIES, Position};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Dirent, FileKind, Inode, InodeMeta, Inum, Key, KeyRange, Methods, PfsKind};
use crate::memory::{self, Box, Heap, NoMemory, Vec, boxed};

/// A modification that owns its arguments. The memory of a file block is shared with nodes that have executed it.
pub(super) enum Recorded {
    CreateInode { pfs: Slot, inode: Box<Inode>, methods: Methods },
    Create { inode: Box<Inode>, kind: FileKind, name: Vec<u8>, places: Places },
    WriteInode { slot: Slot, meta: Box<InodeMeta>, content: Option<Box<[u8; EMBEDDED_BYTES]>> },
    RemoveInode { pfs: Slot, inum: Inum },
    AddEntry { directory: Slot, key: Key, entry: Dirent, name: Vec<u8>, methods: Methods },
    RemoveEntry { directory: Slot, key: Key },
    WriteBlock { file: Slot, key: Key, block: StoredBlock },
    RemoveBlocks { file: Slot, range: KeyRange },
    Stamp { slot: Slot, range: KeyRange },
    CreatePfs { inode: Box<Inode>, key: Key, origin: Option<Slot> },
    SetPfsRole { slot: Slot, kind: PfsKind, masters: u8 },
    RemovePfs { key: Key },
}

/// How much of a modification is already done.
pub(super) enum Done {
    Nothing,
    All,
    /// All but the removal of file blocks under these keys.
    But(Slot, Ranges),
    /// All but this half of making a file.
    ButHalf(Part),
}

/// What of a modification is to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The inode of a new file.
    Inode,
    /// The name of a new file.
    Name,
}

/// The parts of a range that lie outside the keys of all copies.
pub(super) type Ranges = heapless::Vec<KeyRange, { COPIES + 1 }>;

impl Recorded {
    /// Keeps a modification. The buffer of a file block is taken over once there is memory for everything else.
    pub(super) fn of(modification: &mut Modification<'_>, heap: Heap) -> Result<Self, NoMemory> {
        Ok(match modification {
            Modification::CreateInode { pfs, inode, methods } => {
                Self::CreateInode { pfs: *pfs, inode: boxed(heap, **inode)?, methods: *methods }
            }
            Modification::Create(Creation { inode, kind, name, places }) => {
                let (inode, name) = (boxed(heap, **inode)?, kept(name, heap)?);
                Self::Create { inode, kind: *kind, name, places: *places }
            }
            Modification::WriteInode { slot, meta, content } => Self::WriteInode {
                slot: *slot,
                meta: boxed(heap, **meta)?,
                content: content.map(|content| boxed(heap, *content)).transpose()?,
            },
            Modification::RemoveInode { pfs, inum } => Self::RemoveInode { pfs: *pfs, inum: *inum },
            Modification::AddEntry { directory, key, entry, name, methods } => {
                let name = kept(name, heap)?;
                Self::AddEntry { directory: *directory, key: *key, entry: *entry, name, methods: *methods }
            }
            Modification::RemoveEntry { directory, key } => Self::RemoveEntry { directory: *directory, key: *key },
            Modification::WriteBlock { file, key, block } => {
                block.make_shareable(heap)?;
                let block = block.take().ok_or(NoMemory)?;
                Self::WriteBlock { file: *file, key: *key, block }
            }
            Modification::RemoveBlocks { file, range } => Self::RemoveBlocks { file: *file, range: *range },
            Modification::Stamp { slot, range } => Self::Stamp { slot: *slot, range: *range },
            Modification::CreatePfs { inode, key, origin } => {
                Self::CreatePfs { inode: boxed(heap, **inode)?, key: *key, origin: *origin }
            }
            Modification::SetPfsRole { slot, kind, masters } => {
                Self::SetPfsRole { slot: *slot, kind: *kind, masters: *masters }
            }
            Modification::RemovePfs { key } => Self::RemovePfs { key: *key },
        })
    }

    /// The modification, or a part of it, for one more node to execute.
    pub(super) fn modification(&self, part: Part) -> Modification<'_> {
        match self {
            Self::Create { inode, kind, name, places } => {
                let creation = Creation { inode, kind: *kind, name, places: *places };
                match part {
                    Part::Whole => Modification::Create(creation),
                    Part::Inode => creation.inode_alone(),
                    Part::Name => creation.entry_alone(),
                }
            }
            Self::CreateInode { pfs, inode, methods } => {
                Modification::CreateInode { pfs: *pfs, inode, methods: *methods }
            }
            Self::WriteInode { slot, meta, content } => {
                Modification::WriteInode { slot: *slot, meta, content: content.as_deref() }
            }
            Self::RemoveInode { pfs, inum } => Modification::RemoveInode { pfs: *pfs, inum: *inum },
            Self::AddEntry { directory, key, entry, name, methods } => {
                Modification::AddEntry { directory: *directory, key: *key, entry: *entry, name, methods: *methods }
            }
            Self::RemoveEntry { directory, key } => Modification::RemoveEntry { directory: *directory, key: *key },
            Self::WriteBlock { file, key, block } => {
                Modification::WriteBlock { file: *file, key: *key, block: GivenBlock::Shown(block) }
            }
            Self::RemoveBlocks { file, range } => Modification::RemoveBlocks { file: *file, range: *range },
            Self::Stamp { slot, range } => Modification::Stamp { slot: *slot, range: *range },
            Self::CreatePfs { inode, key, origin } => Modification::CreatePfs { inode, key: *key, origin: *origin },
            Self::SetPfsRole { slot, kind, masters } => {
                Modification::SetPfsRole { slot: *slot, kind: *kind, masters: *masters }
            }
            Self::RemovePfs { key } => Modification::RemovePfs { key: *key },
        }
    }

    /// The inode, and the slot that is to name it, of a new file that is opened.
    pub(super) fn opens(&self) -> Option<Command<'static>> {
        let Self::Create { inode, places, .. } = self else { return None };
        Some(Command::Name { pfs: places.pfs, inum: inode.meta.inum(), into: places.into? })
    }

    /// How much of it was done by copies of some keys, on a node where slots name what `inum` says.
    pub(super) fn done_by(&self, copies: &[(Lost, Position)], inum: impl Fn(Slot) -> Option<Inum>) -> Done {
        let among = |holder: Inum, key: Key| copies.iter().any(|(lost, _)| lost.has(holder, key));
        let is_inode = |inode: Option<Inum>| {
            inode.is_some_and(|inode| inode != Inum::PFS_ROOT && among(Inum::PFS_ROOT, inode.key()))
        };
        let has =
            |holder: Slot, key: Key| is_inode(inum(holder)) || inum(holder).is_some_and(|holder| among(holder, key));
        let is_done = match self {
            Self::CreateInode { inode, .. } => is_inode(Some(inode.meta.inum())),
            Self::Create { inode, places, .. } => {
                match (is_inode(Some(inode.meta.inum())), has(places.directory, places.keys.first)) {
                    (true, false) => return Done::ButHalf(Part::Name),
                    (false, true) => return Done::ButHalf(Part::Inode),
                    (both, _) => both,
                }
            }
            Self::RemoveInode { inum, .. } => is_inode(Some(*inum)),
            Self::WriteInode { slot, .. } | Self::Stamp { slot, .. } => is_inode(inum(*slot)),
            Self::AddEntry { directory, key, .. } | Self::RemoveEntry { directory, key } => has(*directory, *key),
            Self::WriteBlock { file, key, .. } => has(*file, *key),
            Self::RemoveBlocks { file, range } => match inum(*file) {
                inode if is_inode(inode) => true,
                Some(inode) => {
                    let rest = outside(copies, inode, *range);
                    return if rest[..] == [*range] { Done::Nothing } else { Done::But(*file, rest) };
                }
                None => false,
            },
            Self::CreatePfs { .. } | Self::SetPfsRole { .. } | Self::RemovePfs { .. } => false,
        };
        if is_done { Done::All } else { Done::Nothing }
    }

    /// The inode below which, or below whose index, the modification happens. A new file is in the index, too; here its directory
    /// counts.
    pub(super) fn holder(&self, inum: impl Fn(Slot) -> Option<Inum>) -> Inum {
        let slot = match self {
            Self::WriteInode { slot, .. } | Self::Stamp { slot, .. } | Self::SetPfsRole { slot, .. } => *slot,
            Self::AddEntry { directory: slot, .. } | Self::RemoveEntry { directory: slot, .. } => *slot,
            Self::Create { places, .. } => places.directory,
            Self::WriteBlock { file: slot, .. } | Self::RemoveBlocks { file: slot, .. } => *slot,
            Self::CreateInode { .. } | Self::RemoveInode { .. } | Self::CreatePfs { .. } | Self::RemovePfs { .. } => {
                return Inum::PFS_ROOT;
            }
        };
        inum(slot).unwrap_or(Inum::PFS_ROOT)
    }

    /// Bytes it takes beyond its own size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::CreateInode { .. } | Self::CreatePfs { .. } => size_of::<Inode>(),
            Self::WriteInode { content, .. } => {
                size_of::<InodeMeta>() + content.as_ref().map_or(0, |content| content.len())
            }
            Self::Create { name, .. } => size_of::<Inode>() + name.capacity(),
            Self::AddEntry { name, .. } => name.capacity(),
            Self::WriteBlock { block, .. } => block.buffer.len(),
            _ => 0,
        }
    }
}

fn kept(name: &[u8], heap: Heap) -> Result<Vec<u8>, NoMemory> {
    let mut kept = Vec::new_in(heap);
    memory::extend(&mut kept, name)?;
    Ok(kept)
}

/// The parts of a range of keys below an inode that lie outside all copies.
fn outside(copies: &[(Lost, Position)], inode: Inum, range: KeyRange) -> Ranges {
    let mut rest: Ranges = [range].into_iter().collect();
    for (lost, _) in copies {
        // Each copy adds at most one range.
        rest = rest.iter().flat_map(|range| lost.outside(inode, *range)).flatten().collect();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn what_is_kept_of_a_modification_counts() {
        let inode = Inode::new(FileKind::Directory);
        let mut create = Modification::CreatePfs { inode: &inode, key: Key(1), origin: None };
        assert_eq!(Recorded::of(&mut create, HEAP).unwrap().bytes(), size_of::<Inode>());
        let content = [7; EMBEDDED_BYTES];
        let mut write = Modification::WriteInode { slot: Slot(0), meta: &inode.meta, content: Some(&content) };
        assert_eq!(Recorded::of(&mut write, HEAP).unwrap().bytes(), size_of::<InodeMeta>() + EMBEDDED_BYTES);
        assert_eq!(Recorded::of(&mut Modification::RemovePfs { key: Key(1) }, HEAP).unwrap().bytes(), 0);
    }

    /// The halves of a new file are in two trees, and a copy of one of these has only its half.
    #[test]
    fn of_a_new_file_a_copy_may_have_the_inode_or_the_name() {
        let (inum, directory, key) = (Inum(0x500), Inum(0x400), Key(Key::VISIBLE | 0x8000));
        let mut inode = Inode::new(FileKind::Regular);
        inode.meta.set_inum(inum);
        let keys = KeyRange { first: key, last: Key(key.0 | 0x7fff) };
        let places = Places {
            pfs: Slot(0),
            methods: Methods(0),
            directory: Slot(1),
            keys,
            entry_methods: Methods(0),
            into: Some(Slot(2)),
        };
        let mut create =
            Modification::Create(Creation { inode: &inode, kind: FileKind::Regular, name: b"name", places });
        let recorded = Recorded::of(&mut create, HEAP).unwrap();
        let slots = |slot: Slot| [Some(Inum::PFS_ROOT), Some(directory)].get(slot.0 as usize).copied().flatten();
        let copy = |holder, key| (Lost::of(holder, KeyRange::only(key)), Position(1));
        let (of_inode, of_name) = (copy(Inum::PFS_ROOT, inum.key()), copy(directory, key));
        assert!(matches!(recorded.done_by(&[], slots), Done::Nothing));
        assert!(matches!(recorded.done_by(&[copy(directory, inum.key())], slots), Done::Nothing));
        assert!(matches!(recorded.done_by(&[of_inode], slots), Done::ButHalf(Part::Name)));
        assert!(matches!(recorded.done_by(&[of_name], slots), Done::ButHalf(Part::Inode)));
        assert!(matches!(recorded.done_by(&[of_name, of_inode], slots), Done::All));
        let (inode, name) = (recorded.modification(Part::Inode), recorded.modification(Part::Name));
        assert!(matches!(inode, Modification::CreateInode { inode, .. } if inode.meta.inum() == inum));
        assert!(matches!(name, Modification::AddEntry { key: first, entry, name: b"name", .. }
            if first == key && entry.inum == inum));
        assert!(matches!(recorded.opens(), Some(Command::Name { inum: opened, into: Slot(2), .. }) if opened == inum));
    }
}
