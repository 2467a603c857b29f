//! Mounts of clusters: nodes that are away or fail, and come back.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;
use serde_json::Value;

use super::mounted::{Volume, noise, wait_until};
use crate::export_server::serve_on;

pub(crate) const NODES: &str = "v.img+b.img+c/v.img@CL";
pub(crate) const IMAGES: [&str; 3] = ["v.img", "b.img", "c/v.img"];
pub(crate) const IMAGE_BYTES: u64 = 256 << 20;

/// Three volumes that are masters of one PFS. The last is on a filesystem of its own that can run out of room: a disk on which
/// writes fail.
pub(crate) struct Masters {
    pub(crate) volume: Volume,
    disk: PathBuf,
}

impl Masters {
    pub(crate) fn new(disk_bytes: u64) -> Self {
        let volume = Volume::new(IMAGE_BYTES);
        let disk = volume.directory().with_file_name("c");
        fs::create_dir(&disk).unwrap();
        rustix::mount::mount("none", &disk, "tmpfs", MountFlags::empty(), None).unwrap();
        let masters = Self { volume, disk };
        masters.resize_disk(disk_bytes);
        for image in &IMAGES[1..] {
            File::create(masters.path(image)).unwrap().set_len(IMAGE_BYTES).unwrap();
            masters.volume.succeed(&["newfs", image]);
        }
        masters.volume.succeed(&["cluster", "create", "-L", "CL", IMAGES[0], IMAGES[1], IMAGES[2]]);
        masters
    }

    pub(crate) fn path(&self, image: &str) -> PathBuf {
        self.volume.directory().with_file_name(image)
    }

    pub(crate) fn resize_disk(&self, bytes: u64) {
        let mut command = Command::new("mount");
        let status = command.args(["-o", &format!("remount,size={bytes}")]).arg(&self.disk).status();
        assert!(status.unwrap().success());
    }

    /// Checks that all nodes are in step, and that each by itself holds the same and is whole.
    pub(crate) fn are_equal(&self) {
        self.volume.succeed(&["cluster", "status", NODES]);
        let alone = IMAGES.map(|image| self.volume.succeed(&["manifest", &format!("{image}@CL")]));
        assert!(alone[0].contains("file") && alone.iter().all(|manifest| *manifest == alone[0]), "{alone:?}");
        for image in IMAGES {
            self.volume.succeed(&["fsck", image]);
        }
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.disk, UnmountFlags::DETACH);
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_node_whose_disk_fails_leaves_and_is_brought_back() {
    let masters = Masters::new(8 << 20);
    let mounted = masters.volume.mount_node(NODES, &[]);
    let content = noise(20 << 20);
    let file = File::create(mounted.path("file")).unwrap();
    file.write_all_at(&content, 0).unwrap();
    file.sync_all().unwrap();
    mounted.signal(Signal::USR1);
    assert!(masters.path(IMAGES[2]).metadata().unwrap().blocks() * 512 <= 8 << 20);
    masters.resize_disk(2 * IMAGE_BYTES);
    // The mount looks again by itself.
    let has_all = || masters.path(IMAGES[2]).metadata().unwrap().blocks() * 512 > content.len() as u64;
    wait_until("the node has what it missed", has_all);
    fs::write(mounted.path("later"), b"later").unwrap();
    drop(file);
    let (status, said) = mounted.unmount();
    assert!(status.success(), "{said}");
    let called = format!("{} (node 2)", masters.path(IMAGES[2]).display());
    let told = |what: &str| said.contains(&format!("{called} {what}"));
    assert!(told("left the cluster") && told("is in sync again"), "{said}");
    assert!(said.contains("cluster degraded"), "{said}");
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_node_that_was_away_is_brought_in_step_by_the_mount() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let content = noise(1 << 20);
    let mounted = masters.volume.mount_node("v.img+b.img@CL", &[]);
    fs::write(mounted.path("file"), &content).unwrap();
    let (status, said) = mounted.unmount();
    assert!(status.success() && said.contains("is missing"), "{status}: {said}");
    assert_eq!(masters.volume.run(&["cluster", "status", NODES]).status.code(), Some(1), "it is behind");
    let mounted = masters.volume.mount_node(NODES, &[]);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), content);
    let (status, said) = mounted.unmount();
    assert!(status.success() && said.contains("c/v.img (node 2) is in sync again"), "{status}: {said}");
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_disk_that_could_not_be_opened_is_tried_again_by_the_mount() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    // No server listens there yet.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let export = format!("nbd://{address}/b");
    let mounted = volume.mount_node(&format!("v.img+{export}+c/v.img@CL"), &[]);
    fs::write(mounted.path("file"), noise(1 << 20)).unwrap();
    let status = |arguments: &[&str]| String::from_utf8(volume.run(arguments).stdout).unwrap();
    let said = status(&["cluster", "status", "mnt"]);
    let resync = format!("`hammer2 cluster resync {}`", mounted.path("").display().to_string().trim_end_matches('/'));
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("{export}: can't connect")) && words.contains(&resync), "{said}");
    assert!(said.lines().any(|line| line.starts_with("b ") && line.contains("missing")), "{said}");
    let told: Value = serde_json::from_str(&status(&["cluster", "status", "--json", "mnt"])).unwrap();
    assert_eq!(told["missing"][0]["images"][0], export[..], "{told}");
    serve_on(TcpListener::bind(address).unwrap(), masters.path("b.img"), |file| file);
    wait_until("it is in step", || volume.run(&["cluster", "status", "mnt"]).status.success());
    let (ended, said) = mounted.unmount();
    assert!(ended.success() && said.contains(&format!("{export} (node 2) is in sync again")), "{said}");
    masters.are_equal();

    // An order makes the mount look at once.
    let away = masters.path("away");
    fs::rename(masters.path("b.img"), &away).unwrap();
    let mounted = volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), noise(1 << 20)).unwrap();
    let output = volume.run(&["cluster", "resync", "mnt"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("b.img: No such file"), "{said}");
    fs::rename(&away, masters.path("b.img")).unwrap();
    let said = volume.succeed(&["cluster", "resync", "mnt"]);
    assert!(said.contains("b.img (node 2, fsid ") && said.contains("): in sync; "), "{said}");
    volume.succeed(&["cluster", "status", "mnt"]);
    assert!(mounted.unmount().0.success());
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_node_that_missed_a_snapshot_is_given_it_by_the_mount() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let mounted = masters.volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), noise(1 << 20)).unwrap();
    mounted.unmount_well();
    masters.volume.succeed(&["snapshot", "v.img+b.img@CL", "BEFORE"]);
    let mounted = masters.volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file2"), noise(1 << 10)).unwrap();
    let (status, said) = mounted.unmount();
    assert!(status.success() && said.contains("snapshots given to it: 1"), "{said}");
    let alone = IMAGES.map(|image| masters.volume.succeed(&["manifest", &format!("{image}@BEFORE")]));
    assert!(alone[0].contains("file") && alone.iter().all(|manifest| *manifest == alone[0]), "{alone:?}");
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn without_a_quorum_a_mount_can_only_be_read() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let mounted = masters.volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), b"content").unwrap();
    mounted.unmount_well();
    masters.volume.refuse(&["mount", "b.img@CL", "mnt"], 1, "no quorum");
    masters.volume.refuse(&["mount", "b.img@CL", "mnt"], 1, "--read-only");
    let mounted = masters.volume.mount_node("b.img@CL", &["--read-only"]);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), b"content");
    assert!(fs::write(mounted.path("file"), b"").is_err());
    mounted.unmount();
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_a_node_can_not_read_comes_from_another_and_is_repaired() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let content = noise(64 << 10);
    let mounted = masters.volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), &content).unwrap();
    mounted.unmount_well();
    let place_of = |image: &[u8]| image.chunks(1024).position(|chunk| *chunk == content[..1024]);
    for image in &IMAGES[..2] {
        let place = place_of(&fs::read(masters.path(image)).unwrap()).unwrap() as u64;
        let damaged = File::options().write(true).open(masters.path(image)).unwrap();
        damaged.write_all_at(&[0; 1024], place * 1024).unwrap();
    }
    let mounted = masters.volume.mount_node(NODES, &[]);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), content);
    fs::write(mounted.path("other"), b"a change").unwrap();
    assert!(mounted.unmount().0.success());
    masters.volume.succeed(&["cluster", "scrub", NODES]);
    masters.are_equal();
}
