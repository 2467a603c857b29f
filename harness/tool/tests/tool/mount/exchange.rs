//! Exchanging two names.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::mounted::Volume;

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn names_of_any_kind_change_places() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let exchange = |first: &str, second: &str| {
        rustix::fs::renameat_with(CWD, mounted.path(first), CWD, mounted.path(second), RenameFlags::EXCHANGE)
    };
    fs::create_dir_all(mounted.path("a/deep/deeper")).unwrap();
    fs::write(mounted.path("a/deep/inside"), b"inside").unwrap();
    fs::write(mounted.path("file"), b"file").unwrap();
    let (file, directory) =
        (fs::metadata(mounted.path("file")).unwrap(), fs::metadata(mounted.path("a/deep")).unwrap());
    exchange("file", "a/deep").unwrap();
    assert_eq!(fs::read(mounted.path("a/deep")).unwrap(), b"file");
    assert_eq!(fs::read(mounted.path("file/inside")).unwrap(), b"inside");
    // The directory knows its new parent.
    assert_eq!(fs::metadata(mounted.path("file/..")).unwrap().ino(), fs::metadata(mounted.path("")).unwrap().ino());
    assert_eq!(exchange("file", "none"), Err(Errno::NOENT));
    assert_eq!(exchange("none", "file"), Err(Errno::NOENT));
    assert_eq!(exchange("file", "file/deeper"), Err(Errno::INVAL));
    assert_eq!(exchange("file/deeper", "file"), Err(Errno::INVAL));
    exchange("file", "file").unwrap();
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&[]);
    assert_eq!(fs::metadata(mounted.path("a/deep")).unwrap().ino(), file.ino());
    assert_eq!(fs::metadata(mounted.path("file")).unwrap().ino(), directory.ino());
    mounted.unmount_well();
}
