//! Looking at a path without asking the process that serves its mount: that may be stopped, or hang, and whoever asks it with it.
//! A user's mount may be closed to everybody else, root too; the kernel's list of mounts is not.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dev, FileType, Statx, StatxAttributes, StatxFlags, makedev, statx};

use crate::mount_table::{Mount, mounts};

/// What the kernel knows of a path by itself. Of a mount's root that is enough.
fn facts(path: &Path) -> io::Result<Statx> {
    Ok(statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)?)
}

/// The mount on a path.
fn mount_on(path: &Path) -> Option<Mount> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = folder.canonicalize().ok()?.join(path.file_name()?);
    mounts().into_iter().rev().find(|mount| mount.directory == place)
}

/// True when there is something.
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

/// True for a directory on which something is mounted; also where the kernel doesn't say.
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
