//! Paths in mounts: which mount holds a path, and the path within it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use hammer2_host::mount_table::{Mount, mounts};

use super::target::Target;
use super::volume_file;
use crate::admin::socket::MOUNT_TYPE;

/// A file in a mount.
pub(super) struct Within {
    /// Where the filesystem is mounted.
    pub(super) directory: PathBuf,
    /// The file's path from the root of the mount.
    pub(super) path: Vec<u8>,
}

impl Within {
    /// The place in a mount that a target names: a directory or file there, or DIR:/PATH. None for an image, which may itself be
    /// a file in a mount.
    pub(super) fn of(target: &Target) -> Option<Self> {
        let [only] = &target.only_node().filter(|_| target.label.is_none())?[..] else { return None };
        let found = Self::find(only, &mounts())?;
        if target.path == b"/" {
            return Some(found).filter(|_| !volume_file::holds_volume(only));
        }
        target.directory()?;
        let path = [found.path.strip_suffix(b"/").unwrap_or(&found.path), &target.path[..]].concat();
        Some(Self { path, ..found })
    }

    /// The mount of ours that holds a path. This looks at nothing in the mount, as its process may be stopped.
    fn find(path: &Path, mounts: &[Mount]) -> Option<Self> {
        let absolute = std::path::absolute(path).ok()?;
        let mut rest = absolute.components();
        let mut known = PathBuf::from("/");
        rest.next();
        loop {
            let topmost = mounts.iter().rev().find(|mount| mount.directory == known);
            if topmost.is_some_and(|mount| mount.kind == MOUNT_TYPE) {
                break;
            }
            known = known.join(rest.next()?).canonicalize().ok()?;
        }
        let (inner, whole) = (rest.as_path(), known.join(rest.as_path()));
        let is_plain = inner.components().all(|component| matches!(component, Component::Normal(_)));
        let is_deeper = |other: &Mount| other.directory != known && other.directory.starts_with(&known);
        let is_covered = mounts.iter().any(|other| is_deeper(other) && whole.starts_with(&other.directory));
        let path = [b"/", inner.as_os_str().as_bytes()].concat();
        Some(Self { directory: known, path }).filter(|_| is_plain && !is_covered)
    }
}
