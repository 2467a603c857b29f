//! Operations of programs on files beyond reading and writing.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::thread;

use rustix::fs::{CWD, FallocateFlags, FileType, Mode, RenameFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;

use super::mounted::Volume;

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn names_of_any_bytes_and_files_of_any_kind() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let names: [&[u8]; 3] = [b"\xff\xfe", b"new\nline", &[b'n'; 255]];
    for name in names {
        fs::write(mounted.path(OsStr::from_bytes(name)), name).unwrap();
    }
    let too_long = fs::write(mounted.path(OsStr::from_bytes(&[b'n'; 256])), b"").unwrap_err();
    assert_eq!(Errno::from_io_error(&too_long), Some(Errno::NAMETOOLONG));
    for (name, kind) in [("pipe", FileType::Fifo), ("socket", FileType::Socket)] {
        rustix::fs::mknodat(CWD, mounted.path(name), kind, Mode::from(0o640), 0).unwrap();
    }
    let device = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(CWD, mounted.path("null"), FileType::CharacterDevice, Mode::from(0o666), device).unwrap();
    symlink("target", mounted.path("link")).unwrap();
    fs::write(mounted.path("null"), b"goes nowhere").unwrap();
    mounted.unmount_well();
    volume.check();
    let mounted = volume.mount(&["--read-only"]);
    let mut found: Vec<_> = fs::read_dir(mounted.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found.len(), names.len() + 4);
    for name in names {
        assert_eq!(fs::read(mounted.path(OsStr::from_bytes(name))).unwrap(), name);
    }
    let facts = |name: &str| fs::symlink_metadata(mounted.path(name)).unwrap();
    assert!(facts("pipe").file_type().is_fifo() && facts("pipe").permissions().mode() & 0o777 == 0o640);
    assert!(facts("socket").file_type().is_socket() && facts("null").rdev() == device);
    assert_eq!(fs::read_link(mounted.path("link")).unwrap(), OsStr::new("target"));
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn holes_copies_and_renames_as_linux_has_them() {
    const BLOCK: u64 = 65536;
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(mounted.path("f")).unwrap();
    file.write_all_at(&[1; 4 * BLOCK as usize], 0).unwrap();
    file.set_len(8 * BLOCK).unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, BLOCK, BLOCK + 10).unwrap();
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(0)).unwrap(), BLOCK);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(BLOCK)).unwrap(), 2 * BLOCK);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(2 * BLOCK)).unwrap(), 4 * BLOCK);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(5 * BLOCK)), Err(Errno::NXIO));
    let mut byte = [7; 11];
    file.read_exact_at(&mut byte, 2 * BLOCK).unwrap();
    assert_eq!(byte, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let copy = File::create(mounted.path("copy")).unwrap();
    let (mut from, mut to) = (0, 0);
    while from < 8 * BLOCK {
        let wanted = (8 * BLOCK - from) as usize;
        assert!(rustix::fs::copy_file_range(&file, Some(&mut from), &copy, Some(&mut to), wanted).unwrap() > 0);
    }
    assert!(fs::read(mounted.path("copy")).unwrap() == fs::read(mounted.path("f")).unwrap());
    let rename = |flags| rustix::fs::renameat_with(CWD, mounted.path("copy"), CWD, mounted.path("f"), flags);
    assert_eq!(rename(RenameFlags::NOREPLACE), Err(Errno::EXIST));
    assert_eq!(rename(RenameFlags::WHITEOUT), Err(Errno::INVAL));
    assert_eq!(rename(RenameFlags::empty()), Ok(()));
    let refused = rustix::fs::setxattr(mounted.path("f"), "user.name", b"value", XattrFlags::empty());
    assert_eq!(refused, Err(Errno::OPNOTSUPP));
    drop((file, copy));
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn open_files_live_on_without_a_name() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(mounted.path("f")).unwrap();
    fs::remove_file(mounted.path("f")).unwrap();
    file.write_all_at(&[3; 100_000], 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!((file.metadata().unwrap().nlink(), file.metadata().unwrap().len()), (0, 100_000));
    let mut byte = [0];
    file.read_exact_at(&mut byte, 99_999).unwrap();
    assert_eq!(byte, [3]);
    drop(file);
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn many_threads_sync_at_once_and_what_is_listed_is_what_was_made() {
    const THREADS: usize = 16;
    const FILES: usize = 64;
    let volume = Volume::new(512 << 20);
    let mounted = volume.mount(&["--memory", "16"]);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let mounted = &mounted;
            scope.spawn(move || {
                for file in 0..FILES {
                    let path = mounted.path(format!("{number}-{file}"));
                    fs::write(&path, vec![number as u8; 1 + file * 997]).unwrap();
                    File::open(&path).unwrap().sync_all().unwrap();
                    if file % 4 == 0 {
                        fs::rename(&path, mounted.path(format!("r{number}-{file}"))).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(fs::read_dir(mounted.path("")).unwrap().count(), THREADS * FILES);
    for number in 0..THREADS {
        for file in 0..FILES {
            let name = if file % 4 == 0 { format!("r{number}-{file}") } else { format!("{number}-{file}") };
            assert!(fs::read(mounted.path(name)).unwrap() == vec![number as u8; 1 + file * 997]);
        }
    }
    mounted.unmount_well();
    volume.check();
}
