//! Files opened by handle, as servers of network filesystems do: by their number, without a path.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::{io, mem};

use super::mounted::{Volume, wait_until};

const MOST_HANDLE_BYTES: usize = 128;

/// A handle, in the kernel's layout.
#[repr(C)]
#[derive(Clone)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; MOST_HANDLE_BYTES],
}

impl Handle {
    fn of(path: &Path) -> Self {
        let mut handle = Self { bytes: MOST_HANDLE_BYTES as u32, kind: 0, handle: [0; MOST_HANDLE_BYTES] };
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let mut mount = 0;
        // SAFETY: the path ends with 0, and the handle has the room it says.
        let done = unsafe {
            libc::name_to_handle_at(libc::AT_FDCWD, path.as_ptr(), (&raw mut handle).cast(), &raw mut mount, 0)
        };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        handle
    }

    fn open(&self, root: &File, flags: i32) -> io::Result<File> {
        let mut handle = self.clone();
        // SAFETY: the handle is one of the kernel's.
        let opened = unsafe { libc::open_by_handle_at(root.as_raw_fd(), (&raw mut handle).cast(), flags) };
        // SAFETY: the descriptor is new, and nobody else's.
        if opened < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { File::from_raw_fd(opened) }) }
    }
}

/// Makes the kernel forget whatever it can.
fn drop_caches() {
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn files_are_found_by_handle_when_the_kernel_has_forgotten_them() {
    const FILES: usize = 50;
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    assert_eq!(mem::offset_of!(Handle, handle), 8, "as struct file_handle");
    let root = File::open(mounted.path("")).unwrap();
    fs::create_dir_all(mounted.path("a/b/c")).unwrap();
    let mut handles = Vec::new();
    for number in 0..FILES {
        let path = mounted.path(format!("a/b/c/file{number}"));
        fs::write(&path, format!("content {number}")).unwrap();
        handles.push(Handle::of(&path));
    }
    let (directory, top) = (Handle::of(&mounted.path("a/b/c")), Handle::of(&mounted.path("")));
    drop_caches();
    for (number, handle) in handles.iter().enumerate() {
        let mut found = String::new();
        io::Read::read_to_string(&mut handle.open(&root, libc::O_RDONLY).unwrap(), &mut found).unwrap();
        assert_eq!(found, format!("content {number}"));
    }
    drop_caches();
    let opened = directory.open(&root, libc::O_DIRECTORY).unwrap();
    assert_eq!(fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap(), mounted.path("a/b/c"));
    drop_caches();
    assert_eq!(top.open(&root, libc::O_DIRECTORY).unwrap().metadata().unwrap().ino(), 1);
    // The handle of a removed file is stale, even if the kernel never knew its number.
    for number in 0..FILES {
        fs::remove_file(mounted.path(format!("a/b/c/file{number}"))).unwrap();
    }
    drop_caches();
    for handle in &handles {
        wait_until("the kernel has let go of a removed file", || match handle.open(&root, libc::O_RDONLY) {
            Err(refused) => {
                assert_eq!(refused.raw_os_error(), Some(libc::ESTALE), "{refused}");
                true
            }
            // The kernel keeps recently used files until it is asked again, and so long the file is there.
            Ok(file) => {
                drop(file);
                drop_caches();
                false
            }
        });
    }
    drop((root, opened));
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_removed_file_that_is_open_can_be_opened_by_handle_and_written() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let root = File::open(mounted.path("")).unwrap();
    fs::write(mounted.path("file"), b"before").unwrap();
    let handle = Handle::of(&mounted.path("file"));
    let open = File::open(mounted.path("file")).unwrap();
    fs::remove_file(mounted.path("file")).unwrap();
    drop_caches();
    let by_handle = handle.open(&root, libc::O_RDWR).unwrap();
    drop(open);
    drop_caches();
    by_handle.write_all_at(b"after!", 0).unwrap();
    let mut found = [0; 6];
    by_handle.read_exact_at(&mut found, 0).unwrap();
    assert_eq!((&found, by_handle.metadata().unwrap().nlink()), (b"after!", 0));
    let again = handle.open(&root, libc::O_RDWR).unwrap();
    drop(by_handle);
    again.write_all_at(b"still", 0).unwrap();
    drop(again);
    // The file is there until the kernel has reported that it is closed, which no program waits for.
    let open = || handle.open(&root, libc::O_RDONLY).map(drop).map_err(|error| error.raw_os_error());
    wait_until("it is gone", || open() == Err(Some(libc::ESTALE)));
    drop(root);
    mounted.unmount_well();
    volume.check();
}
