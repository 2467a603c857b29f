//! Metadata that rots, in different places on all disks at once: everything that has one good copy can be read and changed, and
//! is whole again on all disks after a scrub.

use std::collections::HashMap;

use hammer2_core::cluster::{Health, MemberState};
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::{BlockArray, BlockKind, Blockref, FileKind, Inode, Inum, Key, KeyRange};
use hammer2_core::random::Random;

use super::members::{fill, newest_header, noise, read};
use super::of_three;

/// The name of a block, which is the same on all members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Name {
    pfs: Key,
    pub(crate) inode: Key,
    pub(crate) kind: u8,
    key: Key,
    keybits: u8,
}

/// The places of a disk's metadata: inodes, indirect blocks and names, except the roots that everything depends on.
pub(crate) fn metadata(disk: &MemoryDisk) -> HashMap<Name, u64> {
    let header = newest_header(disk);
    let mut found = HashMap::new();
    let mut pending: Vec<(Key, Key, Blockref)> = Vec::new();
    pending.extend(header.sroot_blockset.iter().map(|entry| (Key(0), Key(0), *entry)));
    while let Some((pfs, inode, entry)) = pending.pop() {
        let (Ok(kind), Ok(Some(radix))) = (entry.kind(), entry.data_off().radix()) else { continue };
        if kind == BlockKind::Data {
            continue;
        }
        let place = entry.data_off().offset().0;
        let block = read(disk, place, radix.bytes());
        let is_vital = pfs == Key(0);
        if !is_vital {
            let name = Name { pfs, inode, kind: kind as u8, key: entry.key(), keybits: entry.keybits().0 };
            found.insert(name, place);
        }
        let below = match kind {
            BlockKind::Inode => {
                let read = Inode::in_block(&block).unwrap();
                let is_super_root = read.meta.pfs_kind() == hammer2_core::media::PfsKind::SuperRoot;
                let pfs = if is_vital && !is_super_root { entry.key() } else { pfs };
                let array = read.block_array().map(|array| array.entries().to_vec());
                array.into_iter().flatten().map(|below| (pfs, entry.key(), below)).collect::<Vec<_>>()
            }
            BlockKind::Indirect => {
                let array = BlockArray::new(&block, KeyRange::ALL);
                array.entries().iter().map(|below| (pfs, inode, *below)).collect()
            }
            _ => continue,
        };
        pending.extend(below.into_iter().filter(|(_, _, entry)| !entry.is_empty()));
    }
    found
}

/// Makes one of each kind: directories with indirect blocks, names with blocks of their own, files with indirect blocks.
async fn populate(fs: &FileSystem) -> Result<(), Error> {
    fill(fs, "many", 700).await?;
    let new = NewFile::new(FileKind::Regular, 0o644);
    for number in 0..40 {
        let name = format!("{number:-<90}");
        let file = fs.create(Inum::PFS_ROOT, name.as_bytes(), &new).await?;
        fs.write(file, 0, &noise(3000 * number)).await?;
    }
    let large = fs.create(Inum::PFS_ROOT, b"large", &new).await?;
    fs.write(large, 0, &noise(3 << 20)).await.map(drop)
}

#[test]
fn rot_in_metadata_on_all_disks_loses_nothing() {
    let runs = if std::env::var_os("HAMMER2_FULL").is_some() { 60 } else { 4 };
    for seed in 1..=runs {
        rot_and_mend(seed);
    }
}

fn rot_and_mend(seed: u64) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| populate(fs).await).unwrap().unwrap();
    let before = members.expect_alike(&[0, 1, 2]);
    let places: Vec<HashMap<Name, u64>> = members.disks.iter().map(|disk| metadata(disk)).collect();
    let mut names: Vec<Name> =
        places[0].keys().copied().filter(|name| places.iter().all(|of| of.contains_key(name))).collect();
    names.sort();
    random.shuffle(&mut names);
    let count = 1 + random.index(12);
    let mut rotten = [0; 3];
    for name in names.into_iter().take(count) {
        // Every block is bad on one disk only; a block above it may be bad on another.
        let disk = random.index(3);
        let place = places[disk][&name];
        let flipped = read(&members.disks[disk], place + 9, 1)[0] ^ 0x10;
        members.disks[disk].write_at(place + 9, &[flipped]).unwrap();
        rotten[disk] += 1;
    }
    println!("{rotten:?} of {} blocks", places[0].len());
    let after = members.change_on(&[0, 1, 2], async |fs| {
        fs.attend(async {
            let directory = fs.lookup(Inum::PFS_ROOT, b"many").await?;
            for number in (0..700).step_by(9) {
                let file = fs.lookup(directory, format!("file-{number}").as_bytes()).await?;
                fs.write(file, 5, b"changed after all").await?;
            }
            let large = fs.lookup(Inum::PFS_ROOT, b"large").await?;
            fs.write(large, 1 << 20, &noise(70_000)).await?;
            fs.unlink(directory, b"file-3").await?;
            fs.create(directory, b"new", &NewFile::new(FileKind::Regular, 0o644)).await?;
            fs.sync().await?;
            let scrubbed = fs.scrub().await?;
            Ok::<_, Error>((scrubbed, fs.cluster_status().unwrap().health))
        })
        .await
    });
    let (scrubbed, health) = after.unwrap().unwrap();
    assert_eq!((scrubbed.ejected, health), (0, Health::Healthy), "{scrubbed:?}");
    let now = members.expect_alike(&[0, 1, 2]);
    assert_eq!(now.len(), before.len(), "one file went, one came");
    for node in 0..3 {
        assert_eq!(members.problems(node), Vec::<String>::new(), "node {node}");
    }
}

/// One bad block of each kind, which only a scrub meets: it is mended in place, and no node is copied to anew.
#[test]
fn a_scrub_mends_metadata() {
    for kind in [BlockKind::Inode, BlockKind::Indirect, BlockKind::Dirent] {
        let members = of_three();
        members.change_on(&[0, 1, 2], async |fs| populate(fs).await).unwrap().unwrap();
        let before = members.expect_alike(&[0, 1, 2]);
        let mut names: Vec<(Name, u64)> = metadata(&members.disks[1]).into_iter().collect();
        names.sort();
        names.retain(|(name, _)| name.kind == kind as u8 && name.inode != Key(0));
        for (name, place) in [names[0], names[names.len() / 2], names[names.len() - 1]] {
            println!("{kind:?}: {name:?}");
            let flipped = read(&members.disks[1], place + 9, 1)[0] ^ 0x10;
            members.disks[1].write_at(place + 9, &[flipped]).unwrap();
        }
        let counts = members.change_on(&[0, 1, 2], async |fs| fs.scrub().await).unwrap().unwrap();
        assert!(counts.repaired >= 1 && counts.repaired == counts.bad_blocks, "{kind:?}: {counts:?}");
        assert_eq!((counts.rebuilt, counts.ejected), (0, 0), "{kind:?}: {counts:?}");
        assert_eq!(members.expect_alike(&[0, 1, 2]), before, "{kind:?}");
        assert_eq!(members.problems(1), Vec::<String>::new(), "{kind:?}");
    }
}

#[test]
fn a_node_with_a_bad_block_stays_a_member() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| populate(fs).await).unwrap().unwrap();
    let names = metadata(&members.disks[1]);
    for (name, place) in names.iter().filter(|(name, _)| name.kind == BlockKind::Indirect as u8).take(3) {
        println!("{name:?}");
        members.disks[1].write_at(place + 9, &[0xa5]).unwrap();
    }
    let states = members.change_on(&[0, 1, 2], async |fs| {
        let directory = fs.lookup(Inum::PFS_ROOT, b"many").await?;
        for number in 0..700 {
            fs.lookup(directory, format!("file-{number}").as_bytes()).await?;
            fs.create(directory, format!("new-{number}").as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
        }
        fs.sync().await?;
        Ok::<_, Error>(fs.member_statuses().map(|member| member.state).collect::<Vec<_>>())
    });
    assert_eq!(states.unwrap().unwrap(), [MemberState::InSync; 3]);
    members.change_on(&[0, 1, 2], async |fs| fs.scrub().await).unwrap().unwrap();
    members.expect_alike(&[0, 1, 2]);
}
