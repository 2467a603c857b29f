//! Errors of mounts that no other test provokes: `docs/errors.md` has all errors.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{major, minor};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Signal;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters};
use super::mounted::{Mounted, Volume, noise};

/// More connections than any server's queue holds.
const MORE_THAN_WAIT: usize = 5000;

/// The socket for orders to a mount.
fn socket(mounted: &Mounted) -> PathBuf {
    let device = fs::metadata(mounted.path("")).unwrap().dev();
    PathBuf::from(format!("/run/hammer2/orders/{}:{}", major(device), minor(device)))
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_mount_whose_socket_is_gone_hears_nothing() {
    let volume = Volume::new(IMAGE_BYTES);
    let mounted = volume.mount(&[]);
    fs::remove_file(socket(&mounted)).unwrap();
    volume.refuse(
        &["info", "mnt"],
        1,
        "this mount hears no orders: its process is gone, or found no place for a socket",
    );
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_mount_that_takes_no_more_callers_is_said_to_hang() {
    let volume = Volume::new(IMAGE_BYTES);
    let mounted = volume.mount(&[]);
    let address = SocketAddrUnix::new(socket(&mounted)).unwrap();
    mounted.signal(Signal::STOP);
    let call = || {
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        connect(&stream, &address).map(|()| stream)
    };
    let waiting: Vec<_> = (0..MORE_THAN_WAIT).map_while(|_| call().ok()).collect();
    assert!(waiting.len() < MORE_THAN_WAIT);
    volume.refuse(&["info", "mnt"], 1, "the process that serves this mount doesn't answer: it is stopped, or hangs");
    drop(waiting);
    mounted.signal(Signal::CONT);
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_lost_at_the_end_is_told() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let disk = format!("{}@DATA", IMAGES[2]);
    let mounted = masters.volume.mount_node(&disk, &["--sync-every", "0"]);
    // The disk accepts no more.
    masters.resize_disk(masters.path(IMAGES[2]).metadata().unwrap().blocks() * 512 + (1 << 20));
    // The program that made the changes gets the error, too, if it still listens.
    let _ = fs::write(mounted.path("file"), noise(4 << 20));
    let (status, said) = mounted.unmount();
    assert_eq!(status.code(), Some(1), "{said}");
    let told = said.lines().find(|line| line.contains("; what was changed since the last sync is lost"));
    let named = masters.path(IMAGES[2]).display().to_string();
    assert!(told.is_some_and(|line| line.contains(&format!(": {named}: "))), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn nothing_is_overwritten_where_nobody_can_tell_what_it_is() {
    let volume = Volume::new(IMAGE_BYTES);
    fs::write(volume.image(), vec![7; 1 << 20]).unwrap();
    // The command runs on a system of its own, without wipefs.
    let script =
        "for there in /sbin/wipefs /usr/sbin/wipefs; do mount --bind /dev/null $there; done; exec \"$0\" newfs v.img";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, env!("CARGO_BIN_EXE_hammer2")]);
    let output = command.current_dir(volume.directory().parent().unwrap()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("`wipefs` can't be asked what it holds: "), "{said}");
}
