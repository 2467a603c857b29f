//! A freemap that can't be read: `fsck` says so, changes go on all the same, and `fsck --repair` makes it anew.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use hammer2_core::media::Key;
use hammer2_core::media::freemap::{FREEMAP_BLOCK_BYTES, LEAF_KEYBITS, ROTATIONS, place};

use super::folder::{self, Folder};

const IMAGE: &str = "a.img";
const IMAGE_BYTES: u64 = 512 << 20;

/// A filesystem whose freemap is noise, wherever its one leaf may be.
fn rotten() -> Folder {
    let folder = Folder::new();
    folder.image(IMAGE, IMAGE_BYTES);
    folder.succeed(["newfs", IMAGE]);
    folder.succeed(["mkdir", "a.img:/before"]);
    let image = File::options().write(true).open(folder.path(IMAGE)).unwrap();
    for rotation in 0..ROTATIONS {
        let leaf = place(Key(0), LEAF_KEYBITS, rotation).unwrap().offset();
        image.write_all_at(&[0x5a; FREEMAP_BLOCK_BYTES], leaf.0).unwrap();
    }
    folder
}

#[test]
fn repair_makes_a_freemap_anew() {
    let folder = rotten();
    let found = folder.run(["fsck", IMAGE]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(String::from_utf8(found.stdout).unwrap().contains("freemap"));
    let mended = folder.run(["fsck", "--repair", IMAGE]);
    let report = String::from_utf8(mended.stdout).unwrap();
    assert!(
        mended.status.success() && report.contains("\nrepair: freemap: make anew what can't be read; "),
        "{report}"
    );
    folder.check(IMAGE);
    folder.succeed(["mkdir", "a.img:/after"]);
    assert_eq!(folder.succeed(["ls", "a.img:/"]), "after\nbefore\n");
    folder.check(IMAGE);
}

#[test]
fn changes_go_on_without_a_freemap() {
    let folder = rotten();
    let made = folder.run(["mkdir", "a.img:/after"]);
    let warning = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success() && warning.contains("counts as in use until bulkfree has looked"), "{warning}");
    std::fs::write(folder.path("file"), folder::noise(100_000, 1)).unwrap();
    folder.succeed(["put", "file", "a.img:/after/file"]);
    assert_eq!(folder.succeed(["ls", "a.img:/"]), "after\nbefore\n");
    folder.succeed(["bulkfree", IMAGE]);
    folder.check(IMAGE);
}
