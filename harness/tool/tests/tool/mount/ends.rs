//! Beginnings and ends of mounts: locks, signals, the background, snapshots, full volumes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::thread;

use rustix::fs::{XattrFlags, setxattr};
use rustix::io::Errno;
use rustix::process::Signal;

use super::mounted::{Volume, noise, wait_until};

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_mounted_image_is_nobody_elses() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::create_dir(volume.directory().with_file_name("other")).unwrap();
    volume.refuse(&["mount", "v.img", "other"], 2, "in use");
    volume.refuse(&["mount", "-r", "v.img", "other"], 2, "in use");
    volume.refuse(&["fsck", "v.img"], 2, "in use");
    volume.refuse(&["mkdir", "v.img:/x"], 2, "in use");
    mounted.unmount_well();
    let reader = volume.mount(&["--read-only"]);
    volume.check();
    volume.refuse(&["mkdir", "v.img:/x"], 2, "in use");
    let refused = fs::create_dir(reader.path("x")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    reader.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn signals_end_it_with_everything_durable_even_while_files_are_open() {
    let volume = Volume::new(256 << 20);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut mounted = volume.mount(&["--sync-every", "0"]);
        fs::write(mounted.path("file"), format!("{signal:?}")).unwrap();
        mounted.signal(signal);
        let (status, said) = mounted.end();
        assert!(status.success() && said.is_empty(), "{signal:?}: {status}, {said}");
        assert_eq!(volume.succeed(&["cat", "v.img:/file"]), format!("{signal:?}"));
        volume.check();
    }
    let mut mounted = volume.mount(&["--sync-every", "0"]);
    let mut open = File::create(mounted.path("open")).unwrap();
    open.write_all(b"first").unwrap();
    mounted.signal(Signal::TERM);
    wait_until("it is out of the tree", || !mounted.path("open").exists());
    // A program with an open file can go on until the second signal.
    open.write_all(b" second").unwrap();
    mounted.signal(Signal::TERM);
    let (status, said) = mounted.end();
    assert!(status.success() && said.is_empty(), "{status}, {said}");
    assert!(open.write_all(b"third").is_err());
    drop(open);
    assert_eq!(volume.succeed(&["cat", "v.img:/open"]), "first second");
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn counters_are_printed_and_the_list_of_mounts_names_it() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), [1; 1000]).unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounts.lines().find(|line| line.contains(volume.directory().to_str().unwrap())).unwrap();
    assert!(line.starts_with("v.img ") && line.contains(" fuse.hammer2 "), "{line}");
    assert!(line.contains("allow_other") && line.contains("default_permissions"), "{line}");
    assert!(!line.contains("nosuid") && !line.contains("nodev"), "{line}");
    mounted.signal(Signal::USR1);
    // The next request is served after the job of the signal.
    thread::sleep(std::time::Duration::from_millis(200));
    fs::metadata(mounted.path("none")).unwrap_err();
    let (status, said) = mounted.unmount();
    assert!(status.success());
    assert!(said.contains("counters: ") && said.contains("bytes written 1000,") && said.contains("memory "), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_process_in_the_background_serves_until_it_is_unmounted() {
    let volume = Volume::new(256 << 20);
    volume.succeed(&["mount", "--log", "log", "v.img", "mnt"]);
    fs::write(volume.directory().join("file"), b"content").unwrap();
    assert!(Command::new("umount").arg(volume.directory()).status().unwrap().success());
    wait_until("the image is free", || volume.run(&["fsck", "v.img"]).status.success());
    assert_eq!(volume.succeed(&["cat", "v.img:/file"]), "content");
    volume.refuse(&["mount", "v.img@NONE", "mnt"], 2, "no such PFS");
    volume.refuse(&["mount", "v.img", "nowhere"], 2, "nowhere");
    volume.refuse(&["mount", "-o", "nonsense", "v.img", "mnt"], 2, "nonsense");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn snapshots_are_mounted_by_their_label() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), b"before").unwrap();
    mounted.unmount_well();
    volume.succeed(&["snapshot", "v.img", "BEFORE"]);
    assert!(volume.succeed(&["info", "v.img"]).contains("BEFORE"));
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), b"after").unwrap();
    mounted.unmount_well();
    let mounted = volume.mount_node("v.img@BEFORE", &["--read-only"]);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), b"before");
    mounted.unmount_well();
    let mounted = volume.mount(&[]);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), b"after");
    // While it is mounted, the mount makes them.
    volume.succeed(&["snapshot", "mnt", "AFTER"]);
    volume.refuse(&["snapshot", "mnt", "AFTER"], 2, "already");
    volume.refuse(&["snapshot", ".", "AFTER"], 2, "no HAMMER2 filesystem");
    fs::create_dir(mounted.path("inside")).unwrap();
    volume.refuse(&["snapshot", "mnt/inside", "INSIDE"], 2, "no HAMMER2 filesystem");
    let asked = setxattr(mounted.path(""), "system.hammer2.snapshot", b"a/b", XattrFlags::empty());
    assert_eq!(asked, Err(Errno::INVAL));
    fs::write(mounted.path("file"), b"later").unwrap();
    mounted.unmount_well();
    assert_eq!(volume.succeed(&["cat", "v.img@AFTER:/file"]), "after");
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_full_volume_refuses_the_write_and_loses_nothing() {
    let volume = Volume::new(64 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let noise = noise(1 << 20);
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(mounted.path("f")).unwrap();
    let mut written = 0;
    let refused = loop {
        assert!(written < 64 << 20, "the volume is never full");
        match file.write_all_at(&noise, written) {
            Ok(()) => written += noise.len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    // Accepted content can be made durable.
    file.sync_all().unwrap();
    drop(file);
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&[]);
    let found = fs::read(mounted.path("f")).unwrap();
    assert!(fs::metadata(mounted.path("f")).unwrap().size() >= written);
    assert!(found.chunks(noise.len()).take((written >> 20) as usize).all(|chunk| chunk == noise));
    fs::remove_file(mounted.path("f")).unwrap();
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_removed_makes_room_at_once() {
    let volume = Volume::new(64 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let noise = noise(1 << 20);
    let fill = |name: &str| {
        let file = File::create(mounted.path(name)).unwrap();
        let accepted = (0..64).take_while(|piece| file.write_all_at(&noise, piece << 20).is_ok()).count();
        file.sync_all().unwrap();
        accepted
    };
    let first = fill("one");
    for (old, new) in [("one", "two"), ("two", "three")] {
        // Nothing else is done in between, and the last search for space has just failed.
        fs::remove_file(mounted.path(old)).unwrap();
        assert!(fill(new) + 2 >= first, "there is no room for what was there before");
    }
    // Only a few tiny files fit, in blocks that others have begun.
    assert!(fill("rest") <= 2, "it is not full");
    File::options().write(true).open(mounted.path("three")).unwrap().set_len(0).unwrap();
    assert!(fill("other") + 2 >= first, "cutting off makes no room");
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn space_comes_back_while_it_is_mounted() {
    let volume = Volume::new(64 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let mut noise = noise(8 << 20);
    // In total, this is sixteen times what fits.
    for round in 0..128 {
        noise[0] = round;
        let file = File::create(mounted.path("new")).unwrap();
        file.write_all_at(&noise, 0).unwrap();
        file.sync_all().unwrap();
        fs::rename(mounted.path("new"), mounted.path("file")).unwrap();
    }
    assert!(fs::read(mounted.path("file")).unwrap() == noise);
    mounted.unmount_well();
    volume.check();
}
