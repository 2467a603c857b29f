//! Looking at a path without asking the process that serves its mount: that process may be stopped, or hang, and the caller would
//! hang with it. A user's mount may be closed to everybody else, even root; the kernel's list of mounts isn't.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dev, FileType, Statx, StatxAttributes, StatxFlags, makedev, statx};

use crate::mount_table::{Mount, mounts};

/// The facts about a path that the kernel knows by itself, which are enough for a mount's root.
fn facts(path: &Path) -> io::Result<Statx> {
    Ok(statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)?)
}

/// The mount on a path.
fn mount_on(path: &Path) -> Option<Mount> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = folder.canonicalize().ok()?.join(path.file_name()?);
    mounts().into_iter().rev().find(|mount| mount.directory == place)
}

/// True if the path exists.
pub fn exists(path: &Path) -> bool {
    facts(path).is_ok()
}

/// What kind of file a path names, if there is one.
pub fn kind(path: &Path) -> Option<FileType> {
    facts(path).map(|facts| FileType::from_raw_mode(facts.stx_mode.into())).ok()
}

/// True for a directory.
pub fn is_directory(path: &Path) -> bool {
    match facts(path) {
        Ok(facts) => FileType::from_raw_mode(facts.stx_mode.into()).is_dir(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied && mount_on(path).is_some(),
    }
}

/// True for a directory on which something is mounted; also works where the kernel doesn't report that directly.
pub fn is_mount_root(path: &Path) -> bool {
    match facts(path) {
        Ok(facts) => {
            let root = StatxAttributes::MOUNT_ROOT;
            facts.stx_attributes.contains(root) || !facts.stx_attributes_mask.contains(root)
        }
        Err(_) => mount_on(path).is_some(),
    }
}

/// The device number of the filesystem that a path is on.
pub fn device(path: &Path) -> io::Result<Dev> {
    let known = facts(path).map(|facts| makedev(facts.stx_dev_major, facts.stx_dev_minor));
    known.or_else(|error| mount_on(path).map(|mount| mount.device).ok_or(error))
}
