//! Making a file: its inode and its first name, in one modification.

use zerocopy::IntoBytes;

use super::locate::InodeName;
use super::modify::{Change, NewEntry};
use super::{Creation, Halt, Node, Outcome, Places};
use crate::chain::{Container, Inserted};

impl Node {
    /// Adds an inode and its name, unless a key of the name is taken, and opens the inode. If there is a place only for one of
    /// the two, it is removed again, and the reason is returned.
    #[inline(never)]
    pub(super) fn create(&self, change: Change, creation: &Creation<'_>) -> Result<Outcome, Halt> {
        let Places { pfs, methods, directory, keys, entry_methods, into } = creation.places;
        let (root, directory) = (self.opened(pfs)?, self.below(directory)?);
        let inum = creation.inode.meta.inum();
        if let Some(slot) = into {
            self.slots.open(slot, InodeName { pfs: root.name.pfs, inum })?;
        }
        let entry = creation.entry();
        let inode = NewEntry::inode(inum, creation.inode.as_bytes(), methods);
        let name = NewEntry::name(&entry, keys.first, creation.name, entry_methods);
        Ok(self.change(change.manner, |topology, _, blocks| {
            let index = Container::Chain(self.modify_open(topology, blocks, root)?);
            let names = Container::Chain(self.modify_below(topology, blocks, directory)?);
            let Some(vacant) = topology.vacant(blocks, names, keys)? else { return Ok(Outcome::Exists) };
            let Inserted::New(chain) = inode.insert(topology, blocks, index, change.tid)? else {
                return Ok(Outcome::Exists);
            };
            // Where the two trees are one, or there is no room, the way down is another by now.
            let start = if index != names && topology.has_room(vacant) { vacant } else { names };
            if let Err(stop) = name.insert(topology, blocks, start, change.tid) {
                // It is in memory, with all that is above it.
                let removed = topology.remove(blocks, index, inode.key(), change.tid, &mut |_| {});
                debug_assert!(matches!(removed, Ok(Some(_))), "what was just put in can be taken out");
                return Err(stop);
            }
            if let (Some(slot), Some(chain)) = (into, chain) {
                self.slots.remember(slot, inode.place(chain), topology);
            }
            Ok(Outcome::Done)
        })?)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;

    use super::super::{Command, Modification, NodeOptions, Reply, Slot, open};
    use super::*;
    use crate::io::testing::{HEAP, Still, now};
    use crate::media::{CheckMethod, Compression, FileKind, Inode, Inum, Key, KeyBits, KeyRange, Methods, ModifyTid};
    use crate::newfs::NewfsOptions;
    use crate::random::Random;
    use crate::selftest::image::{Image, Spread};

    const ROOT: Slot = Slot(0);
    const DIRECTORY: Slot = Slot(1);
    const FILE: Slot = Slot(2);

    fn creation<'a>(inode: &'a Inode, directory: Slot, keys: KeyRange, name: &'a [u8]) -> Creation<'a> {
        let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
        let places = Places { pfs: ROOT, methods, directory, keys, entry_methods: methods, into: Some(FILE) };
        Creation { inode, kind: FileKind::Regular, name, places }
    }

    fn inode(inum: Inum, kind: FileKind) -> Inode {
        let mut inode = Inode::new(kind);
        inode.meta.set_inum(inum);
        inode.meta.set_name_key(inum.key());
        inode
    }

    /// In the root's array, names and inodes lie beside each other; below another directory there are only names.
    #[test]
    fn a_file_is_made_with_its_name_where_the_keys_are_free_and_not_at_all_where_one_is_taken() {
        for (seed, directory) in (0..6).map(|seed| (seed, [ROOT, DIRECTORY][seed as usize % 2])) {
            let spread = Spread::Packed;
            let image = now(Image::format(HEAP, &Still, &[1 << 30], &NewfsOptions::default(), spread, seed)).unwrap();
            let node = now(open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap();
            let opened = now(node.execute(Command::OpenPfs { label: b"DATA", into: ROOT })).unwrap();
            assert!(matches!(opened, Reply::Inode(_)));
            let folder = inode(Inum(0x500), FileKind::Directory);
            let mut made = creation(&folder, ROOT, KeyRange::only(Key(Key::VISIBLE)), b"folder");
            made.places.into = Some(DIRECTORY);
            let mut tid = ModifyTid(100);
            assert_eq!(now(node.modify(tid, Modification::Create(made))), Ok(Outcome::Done));
            let (mut random, mut names) = (Random::new(seed), BTreeMap::new());
            if directory == ROOT {
                names.insert(Key::VISIBLE, folder.meta.inum());
            }
            for index in 0..1200 {
                tid = ModifyTid(tid.0 + 1);
                // Long names have blocks of their own.
                let name = &[b'n'; 200][..if random.below(4) == 0 { 200 } else { 9 }];
                let key = Key(Key::VISIBLE | random.below(1 << 12) << 3);
                let keys = KeyRange::around(key, KeyBits(random.below(6) as u8)).unwrap();
                let file = inode(Inum(0x1000 + index), FileKind::Regular);
                let made = now(node.modify(tid, Modification::Create(creation(&file, directory, keys, name))));
                let is_free = names.range(keys.first.0..=keys.last.0).next().is_none();
                assert_eq!(made, Ok(if is_free { Outcome::Done } else { Outcome::Exists }), "{seed}: {keys:?}");
                if is_free {
                    names.insert(keys.first.0, file.meta.inum());
                    // The slot leads to it.
                    let stored = now(node.execute(Command::Stored { slot: FILE }));
                    assert!(matches!(stored, Ok(Reply::Stored(0))), "{seed}: {stored:?}");
                }
                let opened = now(node.execute(Command::OpenInode { pfs: ROOT, inum: file.meta.inum(), into: FILE }));
                assert_eq!(matches!(opened, Ok(Reply::Inode(_))), is_free, "{seed}: {index}");
            }
            assert!(names.len() > 200 && names.len() < 1100, "{}", names.len());
        }
    }
}
