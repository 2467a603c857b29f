//! A modification that is kept until the last lagging member has executed it.

use super::super::repair::Lost;
use super::super::{Command, Creation, GivenBlock, Modification, Places, Sharing, Slot, StoredBlock};
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
    CloneBlocks(Sharing),
    Stamp { slot: Slot, range: KeyRange },
    CreatePfs { inode: Box<Inode>, key: Key, origin: Option<Slot> },
    SetPfsRole { slot: Slot, kind: PfsKind, masters: u8 },
    RemovePfs { key: Key },
}

/// How much of a modification is already done.
pub(super) enum Done {
    Nothing,
    All,
    /// All but what it does with file blocks under these keys.
    But(InPart, Ranges),
    /// It can't be done by itself: what it takes file blocks from was copied, and may be what it became later. They are to be
    /// copied, too.
    From(Lost),
    /// All but this half of making a file.
    ButHalf(Part),
}

/// A modification of file blocks that may be done in part.
#[derive(Clone, Copy)]
pub(super) enum InPart {
    RemoveBlocks(Slot),
    CloneBlocks(Sharing),
}

impl InPart {
    /// What it does with the blocks of a file under some keys.
    pub(super) fn within(self, range: KeyRange) -> Modification<'static> {
        match self {
            Self::RemoveBlocks(file) => Modification::RemoveBlocks { file, range },
            Self::CloneBlocks(sharing) => Modification::CloneBlocks(sharing.part(range)),
        }
    }
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
            Modification::CloneBlocks(sharing) => Self::CloneBlocks(*sharing),
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
            Self::CloneBlocks(sharing) => Modification::CloneBlocks(*sharing),
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
                    let part = InPart::RemoveBlocks(*file);
                    return if rest[..] == [*range] { Done::Nothing } else { Done::But(part, rest) };
                }
                None => false,
            },
            Self::CloneBlocks(sharing) => match inum(sharing.to) {
                inode if is_inode(inode) => true,
                Some(inode) => {
                    let range = sharing.target();
                    let rest = outside(copies, inode, range);
                    let is_source_copied = |part: &KeyRange| {
                        let source = sharing.part(*part).range;
                        let touched = |from: Inum| outside(copies, from, source)[..] != [source];
                        is_inode(inum(sharing.from)) || inum(sharing.from).is_some_and(touched)
                    };
                    return match rest.iter().find(|part| is_source_copied(part)) {
                        Some(part) => Done::From(Lost::among(inode, *part)),
                        None if rest[..] == [range] => Done::Nothing,
                        None => Done::But(InPart::CloneBlocks(*sharing), rest),
                    };
                }
                None => false,
            },
            Self::CreatePfs { .. } | Self::SetPfsRole { .. } | Self::RemovePfs { .. } => false,
        };
        if is_done { Done::All } else { Done::Nothing }
    }

    /// The inodes below which, or below whose index, it is done; or what it takes is.
    pub(super) fn holders(&self, inum: impl Fn(Slot) -> Option<Inum>) -> [Inum; 2] {
        let holder = self.holder(&inum);
        match self {
            Self::CloneBlocks(sharing) => [holder, inum(sharing.from).unwrap_or(holder)],
            _ => [holder; 2],
        }
    }

    /// The inode below which, or below whose index, the modification happens. A new file is in the index, too; here its directory
    /// counts.
    fn holder(&self, inum: impl Fn(Slot) -> Option<Inum>) -> Inum {
        let slot = match self {
            Self::CloneBlocks(sharing) => sharing.to,
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

    /// What is left of a clone of blocks 10 to 19 of inode 11 to blocks 30 to 39 of inode 12, when these were copied.
    fn left_of_clone(copied: &[(u64, u64, u64)]) -> Done {
        let range = |first, last| KeyRange { first: Key(first), last: Key(last) };
        let sharing = Sharing { from: Slot(11), range: range(10, 19), to: Slot(12), first: Key(30) };
        let lost = |(inum, first, last)| (Lost::among(Inum(inum), range(first, last)), Position(9));
        let copies: alloc::vec::Vec<_> = copied.iter().copied().map(lost).collect();
        Recorded::CloneBlocks(sharing).done_by(&copies, |slot| Some(Inum(slot.0.into())))
    }

    #[test]
    fn a_clone_takes_nothing_from_what_was_copied() {
        let range = |first, last| KeyRange { first: Key(first), last: Key(last) };
        assert!(matches!(left_of_clone(&[]), Done::Nothing));
        assert!(matches!(left_of_clone(&[(12, 0, 29), (11, 20, 40), (13, 0, 99)]), Done::Nothing));
        let rest_of = |copied: &[(u64, u64, u64)]| match left_of_clone(copied) {
            Done::But(part, rest) => {
                let parts = rest.iter().map(|range| match part.within(*range) {
                    Modification::CloneBlocks(sharing) => (sharing.range, sharing.first),
                    _ => unreachable!("it is a clone"),
                });
                parts.collect::<alloc::vec::Vec<_>>()
            }
            _ => alloc::vec::Vec::new(),
        };
        assert_eq!(rest_of(&[(12, 33, 34)]), [(range(10, 12), Key(30)), (range(15, 19), Key(35))]);
        assert_eq!(rest_of(&[(12, 0, 99)]), []);
        // The source of what isn't copied was: it is to be copied, too.
        assert!(
            matches!(left_of_clone(&[(11, 12, 12)]), Done::From(lost) if lost == Lost::among(Inum(12), range(30, 39)))
        );
        let both = left_of_clone(&[(11, 12, 12), (12, 30, 34)]);
        assert!(matches!(both, Done::But(_, rest) if rest[..] == [range(35, 39)]), "what it takes is untouched");
        let both = left_of_clone(&[(11, 18, 18), (12, 30, 34)]);
        assert!(matches!(both, Done::From(lost) if lost == Lost::among(Inum(12), range(35, 39))));
        // The whole inode was, below the index of the PFS.
        let index = Inum::PFS_ROOT.0;
        let of_inode = |inum| {
            let sharing = Sharing { from: Slot(7), range: range(10, 19), to: Slot(8), first: Key(30) };
            let copies = [(Lost::among(Inum(index), range(inum, inum)), Position(9))];
            Recorded::CloneBlocks(sharing).done_by(&copies, |slot| Some(Inum(slot.0.into())))
        };
        assert!(matches!(of_inode(7), Done::From(_)));
        assert!(matches!(of_inode(8), Done::All));
    }

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
        let copy = |holder, key| (Lost::among(holder, KeyRange::only(key)), Position(1));
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
