//! Snapshots of the mounted PFS, read in a folder of the mount that no listing shows.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{Volume, noise, wait_until};

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The numbers of a directory, and of everything below it.
fn numbers(directory: &Path, found: &mut Vec<u64>) {
    found.push(fs::symlink_metadata(directory).unwrap().ino());
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let facts = fs::symlink_metadata(entry.path()).unwrap();
        assert_eq!(entry.path().symlink_metadata().unwrap().ino(), facts.ino());
        if facts.is_dir() { numbers(&entry.path(), found) } else { found.push(facts.ino()) }
    }
}

/// Makes the kernel forget its caches.
fn drop_caches() {
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_snapshot_is_read_below_the_mount() {
    let volume = Volume::new(IMAGE_BYTES);
    let mounted = volume.mount(&[]);
    let (folder, content) = (mounted.path(".snapshots"), noise(3 << 20));
    assert_eq!(names(&folder), [""; 0]);
    fs::create_dir(mounted.path("below")).unwrap();
    fs::write(mounted.path("below/large"), &content).unwrap();
    fs::write(mounted.path("file"), b"before").unwrap();
    symlink("file", mounted.path("link")).unwrap();
    // A hole, and data behind it.
    File::create(mounted.path("hole")).unwrap().write_all_at(b"x", 1 << 20).unwrap();
    volume.succeed(&["snapshot", "mnt", "ONE"]);
    fs::write(mounted.path("file"), b"after").unwrap();
    fs::remove_file(mounted.path("below/large")).unwrap();
    volume.succeed(&["snapshot", "mnt", "TWO"]);

    assert_eq!(names(&mounted.path("")), ["below", "file", "hole", "link"], "it isn't listed");
    assert_eq!(names(&folder), ["ONE", "TWO"]);
    assert_eq!(names(&folder.join("ONE")), ["below", "file", "hole", "link"]);
    assert_eq!(fs::read(folder.join("ONE/file")).unwrap(), b"before");
    assert_eq!(fs::read(folder.join("ONE/link")).unwrap(), b"before");
    assert_eq!(fs::read(folder.join("TWO/file")).unwrap(), b"after");
    assert_eq!(fs::read(folder.join("ONE/below/large")).unwrap(), content);
    assert_eq!(fs::read(folder.join("ONE/below/../../TWO/file")).unwrap(), b"after");
    assert_eq!(fs::metadata(folder.join("ONE/hole")).unwrap().blocks(), 2);
    let missing = fs::read(folder.join("TWO/below/large")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    fs::copy(folder.join("ONE/below/large"), mounted.path("restored")).unwrap();
    assert_eq!(fs::read(mounted.path("restored")).unwrap(), content);
    let mut found = Vec::new();
    numbers(&mounted.path(""), &mut found);
    numbers(&folder, &mut found);
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "each file has a number of its own: {found:?}");

    // Space is freed and used again while a file of a snapshot is read.
    let open = File::open(folder.join("ONE/below/large")).unwrap();
    for round in 0..3 {
        fs::write(mounted.path("filler"), noise(60 << 20)).unwrap();
        fs::remove_file(mounted.path("filler")).unwrap();
        volume.succeed(&["bulkfree", "mnt"]);
        drop_caches();
        let mut read = vec![0; content.len()];
        open.read_exact_at(&mut read, 0).unwrap();
        assert!(read == content, "round {round}");
        assert_eq!(fs::read(folder.join("TWO/file")).unwrap(), b"after");
    }
    volume.succeed(&["pfs-delete", "mnt", "ONE"]);
    assert_eq!(names(&folder), ["TWO"]);
    assert_eq!(fs::read(folder.join("ONE/file")).unwrap_err().kind(), ErrorKind::NotFound);
    drop_caches();
    let stale = open.read_at(&mut [0; 10], 2 << 20).unwrap_err();
    assert_eq!(stale.raw_os_error(), Some(Errno::STALE.raw_os_error()));
    drop(open);
    // Another snapshot of the same name has other files.
    fs::write(mounted.path("file"), b"at last").unwrap();
    volume.succeed(&["snapshot", "mnt", "ONE"]);
    assert_eq!(fs::read(folder.join("ONE/file")).unwrap(), b"at last");
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn nothing_in_a_snapshot_is_changed() {
    let volume = Volume::new(IMAGE_BYTES);
    let mounted = volume.mount(&[]);
    fs::create_dir(mounted.path("directory")).unwrap();
    fs::write(mounted.path("file"), b"content").unwrap();
    volume.succeed(&["snapshot", "mnt", "S"]);
    let (folder, outside) = (mounted.path(".snapshots"), mounted.path("file"));
    let within = |name: &str| folder.join("S").join(name);
    let refused: [(&str, std::io::Result<()>); 14] = [
        ("create", File::create(within("new")).map(drop)),
        ("create in the folder", File::create(folder.join("new")).map(drop)),
        ("write", File::options().append(true).open(within("file")).map(drop)),
        ("truncate", File::options().write(true).truncate(true).open(within("file")).map(drop)),
        ("mkdir", fs::create_dir(within("new"))),
        ("mkdir in the folder", fs::create_dir(folder.join("new"))),
        ("symlink", symlink("x", within("new"))),
        ("link", fs::hard_link(within("file"), mounted.path("new"))),
        ("unlink", fs::remove_file(within("file"))),
        ("rmdir", fs::remove_dir(within("directory"))),
        ("rmdir of the folder", fs::remove_dir(&folder)),
        ("rename", fs::rename(&outside, within("file"))),
        ("rename of the folder", fs::rename(&folder, mounted.path("new"))),
        ("rename onto the folder", fs::rename(mounted.path("directory"), &folder)),
    ];
    for (what, outcome) in refused {
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(Errno::ROFS.raw_os_error()), "{what}");
    }
    let mode = fs::metadata(&outside).unwrap().permissions();
    assert_eq!(fs::set_permissions(within("file"), mode).unwrap_err().raw_os_error(), Some(Errno::ROFS.raw_os_error()));
    assert_eq!(fs::read(within("file")).unwrap(), b"content");
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_file_of_that_name_comes_first() {
    let volume = Volume::new(IMAGE_BYTES);
    volume.succeed(&["mkdir", "v.img:/.snapshots"]);
    let mounted = volume.mount(&[]);
    volume.succeed(&["snapshot", "mnt", "S"]);
    let folder: PathBuf = mounted.path(".snapshots");
    fs::write(folder.join("own"), b"content").unwrap();
    assert_eq!(names(&mounted.path("")), [".snapshots"]);
    assert_eq!(names(&folder), ["own"]);
    fs::remove_file(folder.join("own")).unwrap();
    fs::remove_dir(&folder).unwrap();
    assert_eq!(names(&folder), ["S"]);
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn snapshots_of_a_cluster_are_read_without_the_disks_that_are_gone() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let content = noise(2 << 20);
    let mounted = volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), &content).unwrap();
    volume.succeed(&["snapshot", "mnt", "S"]);
    fs::write(mounted.path("file"), b"later").unwrap();
    let kept = mounted.path(".snapshots/S/file");
    assert_eq!(fs::read(&kept).unwrap(), content);
    // The disk that would be asked first fails while the snapshot is open.
    File::options().write(true).open(masters.path(IMAGES[0])).unwrap().set_len(0).unwrap();
    drop_caches();
    assert!(fs::read(&kept).unwrap() == content);
    // Another disk may be slow, and away for a moment.
    wait_until("it has left", || volume.run(&["cluster", "status", "mnt"]).status.code() == Some(1));
    volume.succeed(&["bulkfree", "mnt"]);
    drop_caches();
    assert!(fs::read(&kept).unwrap() == content);
    assert!(mounted.unmount().0.success());
    let read_only = volume.mount_node("b.img+c/v.img@CL", &["--read-only"]);
    assert!(fs::read(read_only.path(".snapshots/S/file")).unwrap() == content);
    assert!(read_only.unmount().0.success());
}

/// After bulkfree, the blocks that lead to a snapshot are used for something else, so nothing may be read through them any more.
#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_snapshot_is_opened_anew_after_bulkfree() {
    let volume = Volume::new(IMAGE_BYTES);
    let mounted = volume.mount(&[]);
    let content = noise(1 << 20);
    fs::write(mounted.path("file"), &content).unwrap();
    volume.succeed(&["snapshot", "mnt", "S"]);
    let kept = File::open(mounted.path(".snapshots/S/file")).unwrap();
    let opened = || {
        drop_caches();
        let mut read = vec![0; content.len()];
        kept.read_exact_at(&mut read, 0).unwrap();
        assert!(read == content);
        let metrics = volume.succeed(&["metrics", "mnt"]);
        let count = metrics.lines().find_map(|line| line.strip_prefix("hammer2_snapshots_opened_total"));
        count.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((opened(), opened()), (1, 1), "it stays open");
    for round in 2..4 {
        volume.succeed(&["bulkfree", "mnt"]);
        assert_eq!((opened(), opened()), (round, round));
    }
    drop(kept);
    mounted.unmount_well();
}
