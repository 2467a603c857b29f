//! The places of mounts: they are on directories, and the end of one takes no other away.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::mounted::Volume;
use crate::slow_export::Export;

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn nothing_but_a_directory_is_mounted_on() {
    let volume = Volume::new(256 << 20);
    let file = volume.directory().with_file_name("file");
    fs::write(&file, b"content").unwrap();
    for options in [&["mount", "v.img", "file"][..], &["mount", "-f", "v.img", "file"]] {
        volume.refuse(options, 2, "not a directory");
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
    volume.check();
}

/// A server has much to do at its end, and meanwhile something else is mounted at the same place.
#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_end_of_a_mount_is_not_that_of_the_next_at_its_place() {
    for signal in [None, Some(Signal::TERM)] {
        let volume = Volume::new(64 << 20);
        let export = Export::of(volume.image());
        let mut old = volume.mount_node(&export.name("127.0.0.1"), &["--sync-every", "0"]);
        fs::write(old.path("file"), b"old").unwrap();
        // Now the server waits for its disk.
        export.stall();
        assert!(Command::new("umount").arg(volume.directory()).status().unwrap().success());
        let other = volume.directory().with_file_name("other.img");
        fs::File::create(&other).unwrap().set_len(64 << 20).unwrap();
        volume.succeed(&["newfs", "other.img"]);
        let new = volume.mount_node("other.img", &[]);
        let device = fs::metadata(new.path("")).unwrap().dev();
        fs::write(new.path("file"), b"new").unwrap();
        if let Some(signal) = signal {
            old.signal(signal);
            sleep(Duration::from_millis(300));
            assert_eq!(fs::metadata(new.path("")).unwrap().dev(), device);
        }
        export.go_on();
        let (status, said) = old.end();
        assert!(status.success(), "{status}: {said}");
        assert_eq!(fs::metadata(new.path("")).unwrap().dev(), device, "the old one took it away");
        assert_eq!(fs::read(new.path("file")).unwrap(), b"new");
        new.unmount_well();
        volume.check();
        assert_eq!(volume.succeed(&["cat", "v.img:/file"]), "old");
    }
}
