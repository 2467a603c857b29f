//! The place of a mount in the tree, and unmounting it from there, but nothing that somebody else has mounted there since.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use hammer2_host::unsynced;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Dev;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

/// The place of a mount.
pub(super) struct MountPlace {
    directory: PathBuf,
    device: Dev,
    /// The kernel's end of the connection stays as long as the filesystem does.
    connection: OwnedFd,
}

impl MountPlace {
    /// The place of a mount that was just made on a directory.
    pub(super) fn of(directory: &Path, connection: impl AsFd) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            device: unsynced::device(directory)?,
            connection: connection.as_fd().try_clone_to_owned()?,
        })
    }

    /// Unmounts the filesystem, if it is still there. If that fails, only waiting is left.
    pub(super) fn detach(&self) {
        if self.is_there() && rustix::mount::unmount(&self.directory, UnmountFlags::DETACH) == Err(Errno::PERM) {
            let _ = Command::new("fusermount3").args(["-u", "-q", "-z", "--"]).arg(&self.directory).status();
        }
    }

    /// A device's number is used again when its filesystem is gone, so both are checked.
    fn is_there(&self) -> bool {
        self.is_connected() && unsynced::device(&self.directory).is_ok_and(|device| device == self.device)
    }

    fn is_connected(&self) -> bool {
        let mut connection = [PollFd::new(&self.connection, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut connection, Some(&at_once)).is_ok() && !connection[0].revents().contains(PollFlags::ERR)
    }
}
