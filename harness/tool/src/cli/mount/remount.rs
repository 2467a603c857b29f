//! `mount -o remount`: other options for a mount.

use std::path::Path;

use hammer2_host::mount_table::mounts;

use super::options::MountOptions;
use crate::admin::socket::MOUNT_TYPE;
use crate::admin::wire::Question;
use crate::cli::{Failure, Outcome, mounted};

/// Gives the mount on a directory these options. The process that serves it has to prepare for `ro` and `rw`: it refuses to make
/// a read-only mount writable, and makes everything durable before nothing is changed any more.
pub(super) fn remount(directory: &Path, options: &MountOptions) -> Result<Outcome, Failure> {
    let mount = mounts().into_iter().rev().find(|mount| mount.directory == directory);
    if mount.is_none_or(|mount| mount.kind != MOUNT_TYPE) {
        return Err(Failure::unusable(format_args!(
            "{}: no HAMMER2 filesystem is mounted on this directory",
            directory.display()
        )));
    }
    let read_only = options.read_only == Some(true);
    if !read_only {
        mounted::change(directory, &Question::Remount { read_only })?;
    }
    rustix::mount::mount_remount(directory, options.flags(), c"")
        .map_err(|error| Failure::failed(format_args!("{}: {error}", directory.display())))?;
    if read_only {
        mounted::change(directory, &Question::Remount { read_only })?;
    }
    Ok(Outcome::Good)
}
