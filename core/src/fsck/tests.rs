//! Whole checks of composed volumes: sound ones, and one kind of damage at a time.

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;

use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::io::testing::{HEAP, Still, now};
use crate::media::geometry::header_offset;
use crate::media::{CheckMethod, FileKind, VolumeHeader};
use crate::newfs::NewfsOptions;
use crate::random::Random;
use crate::selftest::image::population::{Scale, populate};
use crate::selftest::image::{Content, Editor, FileRecipe, Image, ImageError, IndirectSizes, Spread};

const VOLUME_BYTES: u64 = 1 << 30;

/// The findings of a check.
#[derive(Default)]
struct Log(vec::Vec<String>);

impl Observer for Log {
    fn finding(&mut self, finding: &Finding<'_>) {
        self.0.push(finding.to_string());
    }
}

fn empty_image(volumes: &[u64], spread: Spread) -> Image {
    now(Image::format(HEAP, &Still, volumes, &NewfsOptions::default(), spread, 7)).unwrap()
}

fn image(change: impl FnOnce(&mut Editor<'_>) -> Result<(), ImageError>) -> Image {
    let mut image = empty_image(&[VOLUME_BYTES], Spread::Packed);
    change(&mut image.edit(b"DATA").unwrap()).unwrap();
    image.commit().unwrap();
    image
}

fn check_image(image: &Image, strict: bool) -> (Result<Summary, FsckError>, vec::Vec<String>) {
    let mut log = Log::default();
    let options = FsckOptions { strict, ..FsckOptions::default() };
    let result = now(check(HEAP, image.open(HEAP, &Still).unwrap(), options, &mut log));
    (result, log.0)
}

const DISABLED: &str = "metadata without a check code";

#[test]
fn sound_volumes_are_clean() {
    for (volumes, spread) in [
        (&[VOLUME_BYTES][..], Spread::Packed),
        (&[9 * VOLUME_BYTES], Spread::Scattered),
        (&[VOLUME_BYTES; 3], Spread::Scattered),
    ] {
        let mut image = empty_image(volumes, spread);
        assert_eq!(check_image(&image, true).1, [""; 0], "as newfs leaves it");
        let objects = populate(&mut image.edit(b"DATA").unwrap(), HEAP, Scale::SMALL).unwrap().len();
        image.commit().unwrap();
        image.snapshot(b"DATA", b"snap").unwrap();
        image.commit().unwrap();
        let (summary, findings) = check_image(&image, true);
        let summary = summary.unwrap();
        assert!(
            findings.iter().all(|line| line.contains(DISABLED) || line.contains("nothing refers")),
            "{findings:#?}"
        );
        assert!(summary.is_clean());
        assert_eq!((summary.pfss, summary.entries), (3, 2 * objects as u64));
    }
}

/// How an image is made, and what must be reported of it.
type Case = (fn(&mut Editor<'_>) -> Result<(), ImageError>, &'static [&'static str]);

#[test]
fn each_damage_is_found_and_said() {
    const ROOT: Inum = Inum::PFS_ROOT;
    let cases: [Case; 14] = [
        (|e| e.enter(ROOT, b"gone", Inum(0x999), FileKind::Regular), &["entry 'gone'", "which doesn't exist"]),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.enter(ROOT, b"g", file, FileKind::Regular)
            },
            &["problem: PFS DATA, /", "link count 1, but 2 names", "removing one name"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.alter(file, |inode| inode.meta.set_nlinks(3))
            },
            &["remark: PFS DATA, /f", "link count 3, but 1 names"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.enter(ROOT, b"g", file, FileKind::Directory)
            },
            &["problem: PFS DATA, /, inode 0x1, entry 'g'", "entry says Directory, inode says Regular"],
        ),
        (
            |e| {
                let above = e.directory(ROOT, b"a")?;
                let below = e.directory(above, b"b")?;
                e.enter(below, b"up", above, FileKind::Directory)
            },
            &["/a/b", "entry 'up'", "directory 0x400 reached by two ways"],
        ),
        (
            |e| {
                let directory = e.directory(ROOT, b"d")?;
                e.alter(directory, |inode| inode.meta.set_iparent(Inum(0x777)))
            },
            &["entry 'd'", "said to be inode 0x777", "'..' leads"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.enter(ROOT, b"f", file, FileKind::Regular)
            },
            &["entry 'f'", "the name is there twice"],
        ),
        (|e| e.enter(ROOT, b"a/b", Inum(0x400), FileKind::Regular), &["entry 'a/b'", "forbidden file name"]),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(300_000, Content::Noise(1)))?;
                e.alter(file, |inode| inode.meta.set_size(70_000))
            },
            &["/f", "data behind the end of the file"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.alter(file, |inode| inode.meta.set_inum(Inum(0x500)))
            },
            &["inode 0x400", "inode 0x500 found under 0x400", "can't be opened"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(9, Content::Text(1)))?;
                e.alter(file, |inode| inode.meta.set_name(b"hello"))
            },
            &["must be called by its number"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"p", &FileRecipe::new(300_000, Content::Noise(1)))?;
                e.alter(file, |inode| inode.meta.as_mut_bytes()[0x50] = FileKind::Fifo as u8)
            },
            &["/p", "content in an inode of a type that has none"],
        ),
        (
            |e| {
                let file = e.file(ROOT, b"f", &FileRecipe::new(300_000, Content::Noise(1)))?;
                e.alter(file, |inode| inode.meta.check_algo = 9)
            },
            &["check_algo is not a known method", "new data can't be written"],
        ),
        (
            |e| e.alter(Inum::PFS_ROOT, |inode| inode.meta.pfs_clid = crate::media::Uuid::NIL),
            &["problem: PFS DATA", "pfs_clid is nil"],
        ),
    ];
    for (number, (make, wanted)) in cases.into_iter().enumerate() {
        let (summary, findings) = check_image(&image(make), false);
        let said = findings.iter().any(|line| wanted.iter().all(|part| line.contains(part)));
        assert!(said, "case {number}: {wanted:?} is not in {findings:#?}");
        let problems = findings.iter().filter(|line| line.starts_with("problem")).count();
        assert_eq!(summary.unwrap().problems, problems as u64);
    }
}

#[test]
fn every_header_copy_is_looked_at() {
    let mut image = empty_image(&[5 * VOLUME_BYTES], Spread::Packed);
    for _ in 0..3 {
        image.commit().unwrap();
    }
    let patch =
        |copy: u64, offset: u64, bytes: &[u8]| image.disks()[0].write_at(copy * (2 << 30) + offset, bytes).unwrap();
    patch(1, 0x210, b"x");
    let (summary, findings) = check_image(&image, false);
    assert_eq!(summary.unwrap().header_copies, 3);
    assert!(
        findings[0].starts_with("problem: memory0, header copy 1: volume header fails its check code"),
        "{findings:#?}"
    );
    patch(0, 0, &[0; 65536]);
    assert!(
        check_image(&image, false).1.iter().any(|line| line.starts_with("remark") && line.contains("copy is blank"))
    );
    assert!(
        check_image(&image, true).1.iter().any(|line| line.starts_with("problem") && line.contains("copy is blank"))
    );
    patch(2, 0, b"x");
    let (summary, findings) = check_image(&image, false);
    assert!(matches!(summary, Err(FsckError::Open(_))));
    assert_eq!(findings.iter().filter(|line| line.contains("can't be mounted")).count(), 3, "{findings:#?}");
}

#[test]
fn older_states_are_looked_at() {
    let mut image = empty_image(&[5 * VOLUME_BYTES], Spread::Packed);
    image.edit(b"DATA").unwrap().file(Inum::PFS_ROOT, b"f", &FileRecipe::new(9, Content::Text(1))).unwrap();
    image.commit().unwrap();
    assert_eq!(check_image(&image, false).1, [""; 0]);
    // The first super-root belongs to the copies that newfs wrote; the newest state has another.
    let header = now(node::open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap();
    image.disks()[0].write_at(header.header().aux_end().0 + 100, b"x").unwrap();
    let (summary, findings) = check_image(&image, false);
    assert!(summary.unwrap().is_clean());
    assert!(findings.iter().all(|line| line.contains("findings in the older state")), "{findings:#?}");
    assert_eq!(findings.len(), 2, "newfs wrote three copies, one of them was written again");
}

/// Changes the only freemap leaf of an image, and all check codes above it.
fn change_leaf(image: &Image, change: impl FnOnce(&mut [u8])) {
    let disk = &image.disks()[0];
    let mut header = vec![0; 65536];
    disk.read_at(0, &mut header).unwrap();
    let header = VolumeHeader::mut_from_bytes(&mut header).unwrap();
    let entry = &mut header.freemap_blockset[0];
    let mut leaf = vec![0; 32768];
    disk.read_at(entry.data_off().offset().0, &mut leaf).unwrap();
    change(&mut leaf);
    disk.write_at(entry.data_off().offset().0, &leaf).unwrap();
    let hints = entry.check[4..16].to_vec();
    entry.check = CheckMethod::Freemap.compute(&leaf);
    entry.check[4..16].copy_from_slice(&hints);
    header.seal();
    disk.write_at(0, header.as_bytes()).unwrap();
}

#[test]
fn the_freemap_is_held_against_the_blocks() {
    let make =
        || image(|editor| editor.file(Inum::PFS_ROOT, b"f", &FileRecipe::new(65536, Content::Noise(1))).map(drop));
    let used_record = |leaf: &[u8]| {
        let used = |record: &[u8]| record[4..6] == [16, 3];
        leaf.chunks(128).position(used).expect("a segment for data") * 128
    };
    type Change = fn(&mut [u8]);
    let cases: [(Change, &str); 6] = [
        (|record| record[0x40] = 0xfc, "problem: PFS DATA, /f, inode 0x400, data block"),
        (|record| record[0x40] = 0xfc, "in use, but free in the freemap; a write may overwrite it"),
        (|record| record[0x1c] = 1, "avail is not what its bitmap has free"),
        (|record| record[..4].copy_from_slice(&0x400u32.to_le_bytes()), "(linear 0x400)"),
        (|record| record[..4].copy_from_slice(&0x123u32.to_le_bytes()), "linear points nowhere"),
        (|record| record[0x7f] = 0xc0, "remark: freemap: 16384 bytes are allocated, but nothing refers to them"),
    ];
    for (change, wanted) in cases {
        let image = make();
        change_leaf(&image, |leaf| {
            let record = used_record(leaf);
            change(&mut leaf[record..record + 128]);
        });
        let findings = check_image(&image, false).1;
        assert!(findings.iter().any(|line| line.contains(wanted)), "{wanted} is not in {findings:#?}");
    }
    assert_eq!(check_image(&make(), true).1, [""; 0]);
}

/// A header write that was cut off: like a mount, the check believes the twin.
#[test]
fn a_torn_header_with_a_whole_twin_is_no_damage() {
    for (bytes, torn) in [(VOLUME_BYTES, 0), (9 * VOLUME_BYTES, 1)] {
        let image = empty_image(&[bytes], Spread::Packed);
        let disk = &image.disks()[0];
        let mut header = VolumeHeader::read_from_bytes(&vec![0; size_of::<VolumeHeader>()]).unwrap();
        disk.read_at(0, header.as_mut_bytes()).unwrap();
        header.set_mirror_tid(MirrorTid(header.mirror_tid().0 + 1));
        header.set_freemap_tid(header.mirror_tid());
        header.seal();
        let copy = header_offset(torn);
        let twin = crate::media::geometry::twin_offset(torn % 2);
        disk.write_at(copy, &header.as_bytes()[..4096]).unwrap();
        disk.write_at(copy + 300, &[0xee; 20]).unwrap();
        let (without, found) = check_image(&image, true);
        assert!(without.is_ok_and(|summary| summary.problems > 0) || torn == 0, "{found:?}");
        disk.write_at(twin, header.as_bytes()).unwrap();
        let (checked, found) = check_image(&image, true);
        assert_eq!(checked.unwrap().problems, 0, "{found:?}");
        assert!(found.iter().any(|finding| finding.contains("the next mount for writing mends it")), "{found:?}");
        disk.write_at(twin + 500, &[0xee; 20]).unwrap();
        let (both_torn, found) = check_image(&image, true);
        assert!(both_torn.map_or(true, |summary| summary.problems > 0), "{found:?}");
    }
}

/// With check codes off, only the disk's content is left: nothing in it may make the check panic or hang, and two checks must
/// report the same.
#[test]
fn mutations_that_no_check_code_catches() {
    let image = image(|editor| {
        let directory = editor.directory(Inum::PFS_ROOT, b"d")?;
        editor.alter(directory, |inode| inode.meta.check_algo = CheckMethod::Disabled as u8)?;
        let deep = FileRecipe {
            check: CheckMethod::Disabled,
            indirects: IndirectSizes::DEEP,
            ..FileRecipe::new(600_000, Content::Mixed(3))
        };
        editor.file(directory, b"deep", &deep)?;
        let names = editor.deep_directory(directory, b"names")?;
        editor.alter(names, |inode| inode.meta.check_algo = CheckMethod::Disabled as u8)?;
        for number in 0..200 {
            editor.file(names, format!("n{number}").as_bytes(), &FileRecipe::new(number, Content::Text(number)))?;
        }
        Ok(())
    });
    let disk = &image.disks()[0];
    let mut used = vec::Vec::new();
    let mut block = [0; 1024];
    for at in (0x0440_0000u64..0x0800_0000).step_by(1024) {
        disk.read_at(at, &mut block).unwrap();
        // Metadata is sparse; data fills its blocks.
        if block.iter().filter(|byte| **byte != 0).count() < 700 && block != [0; 1024] {
            used.push(at);
        }
    }
    let mut random = Random::new(11);
    let mut damaged = 0;
    for round in 0..80 {
        let mut undo = vec::Vec::new();
        for _ in 0..1 + round % 3 {
            let at = used[random.below(used.len() as u64) as usize] + random.below(1024);
            let mut old = [0];
            disk.read_at(at, &mut old).unwrap();
            undo.push((at, old));
            disk.write_at(at, &[old[0] ^ 1 << random.below(8)]).unwrap();
        }
        let first = check_image(&image, false);
        damaged += usize::from(first.0.as_ref().is_ok_and(|summary| !summary.is_clean()));
        if round % 10 == 0 {
            assert_eq!(first, check_image(&image, false), "round {round}");
        }
        for (at, old) in undo.into_iter().rev() {
            disk.write_at(at, &old).unwrap();
        }
    }
    assert!(check_image(&image, false).0.unwrap().is_clean());
    assert!(damaged > 20, "{damaged} of 80 rounds did damage");
}
