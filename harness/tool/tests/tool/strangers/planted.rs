//! Noise with the marks of other filesystems in it, from a seed: if `wipefs` finds something on an image, `newfs` names it and
//! leaves it as it is; otherwise, a filesystem is made.

use std::fs::File;
use std::os::unix::fs::FileExt;

use hammer2_core::random::Random;

use super::content::{digest, recognized};
use crate::folder::Folder;

const SEEDS: u64 = 30;

/// The place of a mark.
enum Place {
    Begin(u64),
    /// So many bytes before the end, rounded down to a multiple.
    End(u64, u64),
}

/// A mark: its bytes, its place, and other bytes that must be there for it to be recognized.
struct Mark {
    at: Place,
    bytes: &'static [u8],
}

const fn begin(at: u64, bytes: &'static [u8]) -> Mark {
    Mark { at: Place::Begin(at), bytes }
}

/// The marks. Some are recognized by themselves, others only with more content.
const MARKS: &[Mark] = &[
    begin(0x438, b"\x53\xef"),
    begin(0x10040, b"_BHRfS_M"),
    begin(0xff6, b"SWAPSPACE2"),
    begin(0, b"LUKS\xba\xbe\x00\x01"),
    begin(0, b"XFSB\x00\x00\x10\x00"),
    begin(0x1fe, b"\x55\xaa"),
    begin(0x218, b"LVM2 001"),
    begin(0x200, b"LABELONE"),
    begin(3, b"NTFS    "),
    begin(3, b"EXFAT   "),
    begin(0x8001, b"CD001"),
    begin(0x8001, b"BEA01"),
    begin(0, b"hsqs"),
    begin(0x400, b"\x10\x20\xf5\xf2"),
    begin(0x10034, b"ReIsErFs"),
    begin(0x8000, b"JFS1"),
    begin(0x410, b"\x7f\x13"),
    begin(0, b"\x45\x3d\xcd\x28"),
    begin(0x10000, b"\x01\x16\x19\x70"),
    begin(0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    Mark { at: Place::End(65536, 65536), bytes: b"\xfc\x4e\x2b\xa9\x00\x00\x00\x00\x5a\x00\x00\x00" },
    Mark { at: Place::End(512, 512), bytes: b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00" },
];

/// An image with noise at both ends, and marks in it.
fn plant(folder: &Folder, random: &mut Random) {
    // Sometimes the size isn't a multiple of a sector.
    let unit = if random.percent(25) { 1 } else { 4096 };
    let bytes = (64 << 20) + random.below(16 << 20) / unit * unit;
    folder.image("x.img", bytes);
    let file = File::options().write(true).open(folder.path("x.img")).unwrap();
    if random.percent(50) {
        let mut noise = vec![0; 1 + random.below(1 << 20) as usize];
        random.fill(&mut noise);
        // Otherwise, the bytes around the marks are zero.
        file.write_all_at(&noise, 0).unwrap();
        file.write_all_at(&noise, bytes - noise.len() as u64).unwrap();
    }
    for _ in 0..random.below(3) {
        let Mark { at, bytes: mark } = &MARKS[random.index(MARKS.len())];
        let at = match at {
            Place::Begin(at) => *at,
            Place::End(before, multiple) => bytes / multiple * multiple - before,
        };
        file.write_all_at(mark, at).unwrap();
    }
}

#[test]
fn whatever_is_recognized_is_named_and_left_alone() {
    let folder = Folder::new();
    let (mut refused, mut made) = (0, 0);
    for seed in 0..SEEDS {
        plant(&folder, &mut Random::new(seed));
        let image = folder.path("x.img");
        let found = recognized(&image);
        let before = digest(&image);
        let output = folder.run(["newfs", "x.img"]);
        let said = String::from_utf8(output.stderr).unwrap();
        if found.is_empty() {
            assert!(output.status.success(), "seed {seed}: {said}");
            folder.refuse(["newfs", "x.img"], 2, "x.img: holds hammer2");
            made += 1;
        } else {
            assert_eq!(output.status.code(), Some(2), "seed {seed}: {said}");
            assert!(said.starts_with("hammer2: x.img: holds ") && said.lines().count() == 1, "seed {seed}: {said}");
            assert!(found.iter().all(|word| said.contains(word)), "seed {seed}: {said}: {found:?}");
            assert_eq!(digest(&image), before, "seed {seed}");
            folder.succeed(["newfs", "-f", "x.img"]);
            let left = recognized(&image);
            assert!(left.iter().all(|word| !found.contains(word)), "seed {seed}: {left:?} of {found:?}");
            refused += 1;
        }
        if seed % 5 == 0 {
            folder.check("x.img");
        }
        std::fs::remove_file(image).unwrap();
    }
    assert!(refused >= SEEDS / 5 && made >= SEEDS / 5, "{refused} refused, {made} made");
}
