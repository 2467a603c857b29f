//! Facts about files and the volume: blocks, times, free space.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use rustix::fs::{AtFlags, CWD, FallocateFlags, Timespec, Timestamps, fallocate, statvfs, utimensat};
use rustix::io::Errno;

use super::mounted::{Volume, noise, wait_until};

const BLOCK: u64 = 64 << 10;

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn files_take_the_blocks_that_are_stored_for_them() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let bytes = |name: &str| fs::metadata(mounted.path(name)).unwrap().blocks() * 512;
    let file = |name: &str| File::create_new(mounted.path(name)).unwrap();
    let hole = file("hole");
    hole.set_len(1 << 40).unwrap();
    assert_eq!(bytes("hole"), 0);
    hole.write_all_at(&noise(100_000), 1 << 39).unwrap();
    assert!((100_000..=3 * BLOCK).contains(&bytes("hole")), "{}", bytes("hole"));
    hole.sync_all().unwrap();
    assert!((100_000..=2 * BLOCK + 65536).contains(&bytes("hole")), "{}", bytes("hole"));
    // A program that copies a file looks whether it is all hole.
    fs::write(mounted.path("small"), b"some bytes").unwrap();
    assert!((1..=4096).contains(&bytes("small")), "{}", bytes("small"));
    fs::write(mounted.path("empty"), b"").unwrap();
    assert_eq!(bytes("empty"), 0);
    // The count is right as soon as the file is stored, whatever the kernel knew before.
    let packed = file("packed");
    packed.write_all_at(&[7; 1 << 20], 0).unwrap();
    assert!((1..=1 << 20).contains(&bytes("packed")), "{}", bytes("packed"));
    packed.sync_all().unwrap();
    wait_until("it is known how small it is stored", || (1..100_000).contains(&bytes("packed")));
    let plain = file("plain");
    plain.write_all_at(&noise(1 << 20), 0).unwrap();
    plain.sync_all().unwrap();
    wait_until("it is known what is stored", || (1 << 20..(1 << 20) + BLOCK).contains(&bytes("plain")));
    fallocate(&plain, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 8 * BLOCK).unwrap();
    let half = 8 * BLOCK..9 * BLOCK;
    assert!(half.contains(&bytes("plain")), "{}", bytes("plain"));
    plain.set_len(0).unwrap();
    assert_eq!(bytes("plain"), 0);
    let known = ["hole", "packed", "plain", "empty"].map(bytes);
    // The root doesn't count all files.
    assert_eq!(bytes(""), 0);
    drop((hole, packed, plain));
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&["--read-only"]);
    let bytes = |name: &str| fs::metadata(mounted.path(name)).unwrap().blocks() * 512;
    assert_eq!(["hole", "packed", "plain", "empty"].map(bytes), known);
    mounted.unmount_well();
    assert!(volume.succeed(&["stat", "v.img:/plain"]).contains("0 bytes, 0 stored"));
    assert!(volume.succeed(&["stat", "v.img:/hole"]).contains(&format!("{} bytes, {} stored", 1_u64 << 40, known[0])));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn times_that_can_not_be_stored_are_refused() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), b"").unwrap();
    let set = |tv_sec, tv_nsec| {
        let time = Timespec { tv_sec, tv_nsec };
        utimensat(
            CWD,
            mounted.path("file"),
            &Timestamps { last_access: time, last_modification: time },
            AtFlags::empty(),
        )
    };
    let times = || fs::metadata(mounted.path("file")).map(|facts| (facts.atime(), facts.mtime())).unwrap();
    set(1_000_000, 999_999_999).unwrap();
    for (seconds, nanoseconds) in [(-1, 999_999_999), (-1_000_000_000, 0), (i64::MIN / 2, 0), (1 << 55, 0)] {
        assert_eq!(set(seconds, nanoseconds), Err(Errno::INVAL), "{seconds}.{nanoseconds}");
        assert_eq!(times(), (1_000_000, 1_000_000));
    }
    set(0, 0).unwrap();
    assert_eq!(times(), (0, 0));
    set(1 << 40, 0).unwrap();
    assert_eq!(times(), (1 << 40, 1 << 40));
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_removed_from_a_full_volume_counts_as_free_at_once() {
    let volume = Volume::new(64 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let free = || statvfs(mounted.path("")).unwrap().f_bfree * 4096;
    let noise = noise(1 << 20);
    for round in 0..3 {
        let file = File::create(mounted.path("file")).unwrap();
        let accepted = (0..64).take_while(|piece| file.write_all_at(&noise, piece << 20).is_ok()).count() as u64;
        file.sync_all().unwrap();
        drop(file);
        assert!(free() < 4 << 20, "round {round}: {} bytes are free", free());
        fs::remove_file(mounted.path("file")).unwrap();
        // Nothing is written in between, but repeated calls get the true value after a while.
        wait_until("there is room for what was there", || free() + (2 << 20) >= accepted << 20);
    }
    mounted.unmount_well();
    volume.check();
}
