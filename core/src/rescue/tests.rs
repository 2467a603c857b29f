//! Tests of what a scan recognizes as an inode or as blockrefs.

use zerocopy::IntoBytes;

use super::recognition::{UNIT_BYTES, blockrefs, inode, super_root};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::inode::{InodeFlags, hidden_name};
use crate::media::{
    BlockKind, Blockref, DataOff, Dirent, FileKind, Inode, Inum, Key, KeyBits, MediaOffset, Methods, PfsKind, Radix,
    directory_hash,
};
use crate::random::Random;

const TOTAL_BYTES: u64 = 1 << 30;

fn numbered(inum: Inum) -> Inode {
    let mut inode = Inode::new(FileKind::Regular);
    inode.meta.set_inum(inum);
    inode.meta.set_name_key(inum.key());
    inode.meta.set_name(&hidden_name(inum));
    inode
}

#[test]
fn an_inode_has_its_number_three_times() {
    let good = numbered(Inum(0x405));
    assert!(inode(good.as_bytes()).is_some());
    let mut other_name = good;
    other_name.meta.set_name(&hidden_name(Inum(0x406)));
    let mut other_key = good;
    other_key.meta.set_name_key(Key(0x406));
    let mut other_inum = good;
    other_inum.meta.set_inum(Inum(0x406));
    for bad in [other_name, other_key, other_inum, numbered(Inum::PFS_ROOT), numbered(Inum::SUPER_ROOT)] {
        assert!(inode(bad.as_bytes()).is_none());
    }
}

#[test]
fn a_root_has_the_hash_of_its_label() {
    let mut root = Inode::new(FileKind::Directory);
    root.meta.set_inum(Inum::PFS_ROOT);
    root.meta.set_flags(InodeFlags::PFSROOT);
    root.meta.set_name(b"DATA");
    assert!(inode(root.as_bytes()).is_none());
    root.meta.set_name_key(directory_hash(b"DATA").first);
    assert!(inode(root.as_bytes()).is_some());
}

#[test]
fn a_super_root_says_what_it_is() {
    let mut root = Inode::new(FileKind::Directory);
    root.meta.set_inum(Inum::SUPER_ROOT);
    assert!(super_root(root.as_bytes()).is_none());
    root.meta.set_pfs_kind(PfsKind::SuperRoot);
    assert!(super_root(root.as_bytes()).is_some() && inode(root.as_bytes()).is_none());
    root.meta.set_inum(Inum::PFS_ROOT);
    assert!(super_root(root.as_bytes()).is_none());
}

fn unit_of(entries: &[Blockref]) -> [u8; UNIT_BYTES] {
    let mut unit = [0; UNIT_BYTES];
    for (place, entry) in unit.chunks_mut(BLOCKREF_BYTES).zip(entries) {
        place.copy_from_slice(entry.as_bytes());
    }
    unit
}

fn bref(kind: BlockKind, key: u64, keybits: u8, radix: Radix) -> Blockref {
    let mut bref = Blockref::new(kind, Key(key), KeyBits(keybits), Methods(0x30));
    bref.set_data_off(DataOff::new(MediaOffset(64 << 20), radix));
    bref
}

#[test]
fn arrays_keep_the_rules_of_arrays() {
    let name = Dirent { inum: Inum(7), name_len: 1, kind: FileKind::Regular };
    let name = name.blockref(directory_hash(b"a").first, b"a", Methods(0x30));
    let good = [
        bref(BlockKind::Inode, 0x400, 0, Radix::MIN),
        Blockref::EMPTY,
        bref(BlockKind::Indirect, 0x800, 11, Radix::INDIRECT),
        name,
    ];
    assert_eq!(blockrefs(&unit_of(&good), TOTAL_BYTES).iter().filter(|entry| !entry.is_empty()).count(), 3);
    let mut too_far = good[0];
    too_far.set_data_off(DataOff::new(MediaOffset(TOTAL_BYTES), Radix::MIN));
    let mut stray = Blockref::EMPTY;
    stray.check[5] = 1;
    let bad: [&[Blockref]; 7] = [
        &[],
        &[good[2], good[0]],
        &[good[0], stray],
        &[too_far],
        &[bref(BlockKind::Inode, 0x400, 0, Radix::MAX)],
        &[bref(BlockKind::Data, 0x1_0000, 15, Radix::MIN)],
        &[bref(BlockKind::FreemapLeaf, 0, 30, Radix::MAX)],
    ];
    for entries in bad {
        assert!(blockrefs(&unit_of(entries), TOTAL_BYTES).is_empty(), "{entries:?}");
    }
}

#[test]
fn noise_looks_like_nothing() {
    let mut random = Random::new(1);
    let mut unit = [0; UNIT_BYTES];
    for _ in 0..20_000 {
        random.fill(&mut unit);
        assert!(inode(&unit).is_none() && blockrefs(&unit, TOTAL_BYTES).is_empty());
    }
}
