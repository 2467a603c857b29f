//! `hammer2 bulkfree` on an image: freed space becomes a hole, unless that isn't wanted.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::folder::{Folder, noise};

const IMAGE_BYTES: u64 = 256 << 20;
const CONTENT_BYTES: u64 = 20 << 20;

/// Bytes of the host's file system that the image takes.
fn taken(folder: &Folder) -> u64 {
    fs::metadata(folder.path("v")).unwrap().blocks() * 512
}

#[test]
fn freed_space_becomes_a_hole_of_the_image() {
    for discards in [true, false] {
        let folder = Folder::new();
        folder.image("v", IMAGE_BYTES);
        folder.succeed(["newfs", "v"]);
        fs::create_dir(folder.path("tree")).unwrap();
        let noise = noise(CONTENT_BYTES, 1);
        fs::write(folder.path("tree/goes"), &noise).unwrap();
        fs::write(folder.path("tree/stays"), &noise[..1 << 20]).unwrap();
        folder.succeed(["put", "tree", "v"]);
        folder.succeed(["rm", "v:/goes"]);
        let full = taken(&folder);
        let options =
            if discards { &["bulkfree", "--json", "v"][..] } else { &["bulkfree", "--json", "--no-discard", "v"] };
        let report = folder.json(options);
        let (freed, discarded) = (report["freed_bytes"].as_u64().unwrap(), report["discarded_bytes"].as_u64().unwrap());
        assert!(freed >= CONTENT_BYTES, "{report}");
        assert_eq!(discarded, if discards { freed } else { 0 }, "{report}");
        let less = full.saturating_sub(taken(&folder));
        assert_eq!(less > CONTENT_BYTES / 2, discards, "{less} bytes less");
        assert_eq!(folder.length("v"), IMAGE_BYTES);
        assert!(folder.read(["cat", "v:/stays"]) == noise[..1 << 20]);
        folder.check("v");
    }
}

#[test]
fn put_has_room_looked_for_before_it_gives_up() {
    let folder = Folder::new();
    folder.image("v.img", 128 << 20);
    folder.succeed(["newfs", "v.img"]);
    fs::create_dir(folder.path("tree")).unwrap();
    for number in 0..24 {
        fs::write(folder.path(format!("tree/{number}")), noise(2 << 20, number)).unwrap();
    }
    // In total, this is twice as much as fits at a time.
    for round in 0..3 {
        let target = format!("v.img:/round{round}");
        folder.succeed(["put", "tree", &target]);
        folder.succeed(["rm", "-r", &target]);
    }
    let large = fs::File::open(folder.path("tree/1")).unwrap();
    let output = folder.command(["put", "-", "v.img:/file"]).stdin(large).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    folder.check("v.img");
}
