//! Copies that programs make on a mount share blocks with what was copied.

use std::fs::{self, File};
use std::process::Command;

use hammer2_core::random::Random;
use rustix::fs::{statvfs, syncfs};

use super::mounted::{Mounted, Volume};

const MIB: usize = 1 << 20;

fn noise(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; 16 * MIB];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// Bytes that are free when everything is stored.
fn free_bytes(mounted: &Mounted) -> u64 {
    syncfs(File::open(mounted.path("")).unwrap()).unwrap();
    let found = statvfs(mounted.path("")).unwrap();
    found.f_bfree * found.f_frsize
}

/// Does `work`, which takes hardly any room.
fn expect_no_room_for(mounted: &Mounted, what: &str, work: impl FnOnce()) {
    let before = free_bytes(mounted);
    work();
    let taken = before - free_bytes(mounted);
    println!("{what}: {taken} bytes taken");
    assert!(taken < MIB as u64, "{what}: {taken} bytes taken");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn copies_share_blocks() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let content = noise(1);
    fs::write(mounted.path("original"), &content).unwrap();
    expect_no_room_for(&mounted, "a copy", || {
        assert_eq!(fs::copy(mounted.path("original"), mounted.path("copy")).unwrap(), content.len() as u64);
    });
    expect_no_room_for(&mounted, "cp", || {
        let cp =
            Command::new("cp").args(["--reflink=auto", "original", "another"]).current_dir(mounted.path("")).status();
        assert!(cp.unwrap().success());
    });
    let before = free_bytes(&mounted);
    fs::write(mounted.path("same"), &content).unwrap();
    assert!(before - free_bytes(&mounted) >= content.len() as u64, "it isn't deduplicated unless that is asked for");
    fs::remove_file(mounted.path("original")).unwrap();
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&["--dedup"]);
    for name in ["copy", "another", "same"] {
        assert!(fs::read(mounted.path(name)).unwrap() == content, "{name}");
    }
    let other = noise(2);
    fs::write(mounted.path("first"), &other).unwrap();
    expect_no_room_for(&mounted, "what is written once more", || fs::write(mounted.path("second"), &other).unwrap());
    assert!(fs::read(mounted.path("second")).unwrap() == other);
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&["-o", "dedup,ro"]);
    assert!(fs::read(mounted.path("first")).unwrap() == other && fs::read(mounted.path("second")).unwrap() == other);
    mounted.unmount_well();
}
