//! Administration of a cluster while it is mounted and used.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::noise;

/// Makes files, each durable, until it is told to stop; returns how many.
fn write_until(stop: &AtomicBool, root: &Path) -> usize {
    let content = noise(60_000);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let file = File::create(root.join(format!("file{count}"))).unwrap();
        file.write_all_at(&content, 0).unwrap();
        file.sync_all().unwrap();
        count += 1;
    }
    count
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn every_disk_is_replaced_while_the_cluster_is_used() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    fs::write(mounted.path("first"), noise(10 << 20)).unwrap();
    let stop = AtomicBool::new(false);
    let new = ["new0.img", "new1.img", "new2.img"];
    let files = thread::scope(|scope| {
        let writing = scope.spawn(|| write_until(&stop, &mounted.path("")));
        for (old, new) in IMAGES.iter().zip(new) {
            File::create(masters.path(new)).unwrap().set_len(IMAGE_BYTES).unwrap();
            volume.succeed(&["cluster", "replace", "mnt", old, new]);
            assert!(volume.succeed(&["cluster", "status", "mnt"]).contains("healthy"));
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    assert!(files > 0);
    let scrubbed = volume.succeed(&["cluster", "scrub", "mnt"]);
    assert!(scrubbed.starts_with("3 nodes") && scrubbed.contains(" 0 bad blocks"), "{scrubbed}");
    mounted.unmount_well();
    volume.succeed(&["cluster", "status", "new0.img+new1.img+new2.img@CL"]);
    let alone = new.map(|image| volume.succeed(&["manifest", &format!("{image}@CL")]));
    assert!(alone.iter().all(|manifest| *manifest == alone[0]), "{alone:?}");
    assert!(alone[0].contains("first") && alone[0].contains(&format!("file{}", files - 1)));
    new.iter().for_each(|image| drop(volume.succeed(&["fsck", image])));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn members_come_and_go_while_it_is_mounted() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node("v.img+b.img@CL", &[]);
    fs::write(mounted.path("file"), b"content").unwrap();
    let status = || volume.run(&["cluster", "status", "mnt"]);
    assert_eq!(status().status.code(), Some(1), "one is missing");
    // The disk is there again.
    volume.succeed(&["cluster", "add", "mnt", IMAGES[2]]);
    assert_eq!(status().status.code(), Some(0), "{:?}", status());
    File::create(masters.path("slave.img")).unwrap().set_len(IMAGE_BYTES).unwrap();
    volume.succeed(&["cluster", "add", "-t", "SLAVE", "mnt", "slave.img"]);
    volume.succeed(&["cluster", "remove", "mnt", "b.img"]);
    volume.refuse(&["cluster", "remove", "mnt", "b.img"], 1, "is no member");
    volume.succeed(&["cluster", "promote", "mnt", "slave.img"]);
    // The removed disk comes in again, as a new one.
    volume.succeed(&["cluster", "add", "-t", "SLAVE", "mnt", "b.img"]);
    volume.succeed(&["cluster", "resync", "mnt"]);
    let said = String::from_utf8(status().stdout).unwrap();
    assert_eq!((said.matches("  MASTER ").count(), said.matches("  SLAVE ").count()), (3, 1), "{said}");
    let json = volume.succeed(&["cluster", "status", "--json", "mnt"]);
    assert!(json.contains("\"health\":\"healthy\"") && json.contains("slave.img"), "{json}");
    let (exit, told) = mounted.unmount();
    assert!(exit.success() && told.contains("is missing; `hammer2 cluster add"), "{told}");
    let all = "v.img+b.img+c/v.img+slave.img@CL";
    volume.succeed(&["cluster", "status", all]);
    let alone =
        ["v.img", "b.img", "c/v.img", "slave.img"].map(|image| volume.succeed(&["manifest", &format!("{image}@CL")]));
    assert!(alone[0].contains("file") && alone.iter().all(|manifest| *manifest == alone[0]), "{alone:?}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn how_it_is_is_asked_of_the_disks() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &["--log", "log"]);
    volume.succeed(&["cluster", "status", "mnt"]);
    // A member that lags would write the header of this mount to what is left of its image, and make that as long as before.
    volume.succeed(&["cluster", "scrub", "mnt"]);
    // The cluster isn't mounted, and two disks are gone.
    for image in &IMAGES[1..] {
        File::options().write(true).open(masters.path(image)).unwrap().set_len(0).unwrap();
    }
    let status = volume.run(&["cluster", "status", "mnt"]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert_eq!(status.status.code(), Some(3), "{said}");
    assert!(said.contains("1 of 3 masters in sync") && said.matches("  ejected ").count() == 2, "{said}");
    drop(mounted);
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn orders_that_make_no_sense() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    volume.refuse(&["cluster", "status", "mnt"], 2, "no HAMMER2 filesystem is mounted");
    volume.refuse(&["cluster", "scrub", "c"], 2, "no HAMMER2 filesystem is mounted");
    let mounted = volume.mount_node(NODES, &[]);
    volume.refuse(&["cluster", "remove", "mnt", "nothing"], 2, "is no node here");
    volume.succeed(&["cluster", "add", "mnt", "b.img"]);
    fs::copy(masters.path("b.img"), masters.path("copy.img")).unwrap();
    volume.refuse(&["cluster", "add", "mnt", "copy.img"], 2, "a copy of another member");
    volume.refuse(&["cluster", "force", "mnt", "b.img"], 2, "mnt");
    volume.succeed(&["cluster", "status", "mnt"]);
    fs::write(mounted.path("file"), b"content").unwrap();
    // It may or may not report the copy.
    let (exit, told) = mounted.unmount();
    assert!(exit.success(), "{told}");
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn strangers_are_not_heard() {
    const NOBODY: u32 = 65534;
    let masters = Masters::new(2 * IMAGE_BYTES);
    let mounted = masters.volume.mount_node(NODES, &[]);
    // Otherwise only its owner can enter the folder, and perhaps the one in which the tool was built.
    fs::set_permissions(masters.path(""), Permissions::from_mode(0o755)).unwrap();
    let copy = masters.path("hammer2");
    fs::copy(env!("CARGO_BIN_EXE_hammer2"), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    let mut stranger = Command::new(copy);
    stranger.args(["cluster", "status", "mnt"]).current_dir(masters.path("")).uid(NOBODY);
    let told = stranger.output().unwrap();
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stderr).contains("only root, and the user who mounted it"), "{told:?}");
    masters.volume.succeed(&["cluster", "status", "mnt"]);
    let (exit, told) = mounted.unmount();
    assert!(exit.success(), "{told}");
}
