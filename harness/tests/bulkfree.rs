//! `hammer2 bulkfree` on an image: what it frees becomes a hole, unless that isn't wanted.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const IMAGE_BYTES: u64 = 256 << 20;
const CONTENT_BYTES: usize = 20 << 20;

fn run(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_hammer2")).current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run(folder, arguments)).unwrap()
}

/// Bytes of the host's file system that the image takes.
fn taken(folder: &Path) -> u64 {
    fs::metadata(folder.join("v")).unwrap().blocks() * 512
}

/// Bytes that don't compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mix = |n: u64| {
        (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0x94d0_49bb_1331_11eb) >> 29).wrapping_mul(n | 1)
    };
    (0..bytes as u64).map(|n| (mix(n) >> 45) as u8).collect()
}

#[test]
fn freed_space_becomes_a_hole_of_the_image() {
    for discards in [true, false] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        File::create(folder.join("v")).unwrap().set_len(IMAGE_BYTES).unwrap();
        succeed(folder, &["newfs", "v"]);
        fs::create_dir(folder.join("tree")).unwrap();
        let noise = noise(CONTENT_BYTES);
        fs::write(folder.join("tree/goes"), &noise).unwrap();
        fs::write(folder.join("tree/stays"), &noise[..1 << 20]).unwrap();
        succeed(folder, &["put", "tree", "v"]);
        succeed(folder, &["rm", "v:/goes"]);
        let full = taken(folder);
        let options =
            if discards { &["bulkfree", "--json", "v"][..] } else { &["bulkfree", "--json", "--no-discard", "v"] };
        let report: Value = serde_json::from_str(&succeed(folder, options)).unwrap();
        let (freed, discarded) = (report["freed_bytes"].as_u64().unwrap(), report["discarded_bytes"].as_u64().unwrap());
        assert!(freed >= CONTENT_BYTES as u64, "{report}");
        assert_eq!(discarded, if discards { freed } else { 0 }, "{report}");
        let less = full.saturating_sub(taken(folder));
        assert_eq!(less > CONTENT_BYTES as u64 / 2, discards, "{less} bytes less");
        assert_eq!(fs::metadata(folder.join("v")).unwrap().len(), IMAGE_BYTES);
        assert!(run(folder, &["cat", "v:/stays"]) == noise[..1 << 20]);
        assert!(succeed(folder, &["fsck", "--strict", "v"]).contains("clean: 0 problems"));
    }
}
