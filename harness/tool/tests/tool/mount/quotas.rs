//! Limits of directories, as programs meet them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;

use rustix::io::Errno;
use serde_json::Value;

use super::cluster::{IMAGE_BYTES, Masters, NODES};
use super::mounted::{Mounted, Volume, noise};

const LIMIT: u64 = 4 << 20;

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

const EDQUOT: Option<i32> = Some(Errno::DQUOT.raw_os_error());
const EXDEV: Option<i32> = Some(Errno::XDEV.raw_os_error());

fn used(volume: &Volume, directory: &str) -> (u64, u64) {
    let quota: Value = serde_json::from_str(&volume.succeed(&["quota", "--json", directory])).unwrap();
    (quota["bytes_used"].as_u64().unwrap(), quota["inodes_used"].as_u64().unwrap())
}

/// Sixteen threads write until each is refused.
fn fill(volume: &Volume, mounted: &Mounted) {
    fs::create_dir_all(mounted.path("d/inner")).unwrap();
    volume.succeed(&["setquota", "mnt/d", "--bytes", "4M", "--inodes", "20"]);
    // This comes before there is no room for bytes: each takes 1 KiB, and nobody knows how much the writers leave.
    for number in 0..3 {
        fs::create_dir(mounted.path(format!("d/more{number}"))).unwrap();
    }
    let content = noise(1 << 20);
    let files: Vec<File> =
        (0..16).map(|number| File::create(mounted.path(format!("d/inner/{number}"))).unwrap()).collect();
    thread::scope(|scope| {
        for (number, file) in files.iter().enumerate() {
            let content = &content;
            scope.spawn(move || {
                let mut at = 0;
                loop {
                    let bytes = &content[..10_000 + number * 7000];
                    match file.write_at(bytes, at) {
                        Ok(written) => at += written as u64,
                        error => return assert_eq!(errno(error), EDQUOT),
                    }
                }
            });
        }
    });
    let (bytes, inodes) = used(volume, "mnt/d/inner");
    assert!(bytes <= LIMIT && bytes > LIMIT - (256 << 10), "{bytes} bytes");
    assert_eq!(inodes, 20);
    assert_eq!(errno(fs::create_dir(mounted.path("d/more"))), EDQUOT);
    assert_eq!(errno(fs::hard_link(mounted.path("d/inner/1"), mounted.path("link"))), EXDEV);
    assert_eq!(errno(fs::rename(mounted.path("d/inner"), mounted.path("inner"))), EXDEV);
    fs::rename(mounted.path("d/inner/1"), mounted.path("1")).unwrap();
    fs::remove_file(mounted.path("d/inner/2")).unwrap();
    for name in ["d/small", "d/smaller"] {
        fs::write(mounted.path(name), b"there is room again").unwrap();
    }
    assert_eq!(errno(fs::rename(mounted.path("1"), mounted.path("d/1"))), EDQUOT, "the number of inodes");
    volume.succeed(&["setquota", "mnt/d", "--inodes", "none"]);
    fs::write(mounted.path("d/more1/file"), b"no limit but bytes").unwrap();
    volume.refuse(&["setquota", "mnt/1", "--bytes", "1"], 2, "");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn writers_are_refused_at_the_limit() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fill(&volume, &mounted);
    let before = used(&volume, "mnt/d");
    mounted.unmount_well();
    assert_eq!(used(&volume, "v.img:/d"), before);
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn all_members_count_the_same() {
    let masters = Masters::new(IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    fill(volume, &mounted);
    let before = used(volume, "mnt/d");
    mounted.unmount_well();
    for image in super::cluster::IMAGES {
        volume.succeed(&["fsck", "--strict", image]);
        let shown = volume.succeed(&["--as-of", "0", "quota", "--json", &format!("{image}@CL:/d")]);
        let quota: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((quota["bytes_used"].as_u64().unwrap(), quota["inodes_used"].as_u64().unwrap()), before, "{image}");
    }
}
