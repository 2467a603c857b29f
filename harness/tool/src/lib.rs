//! The `hammer2` tool: its commands, mounts by FUSE, and what an administrator does by either. What the host lends `hammer2-core`
//! is below it, in `hammer2-host`.
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod mount;
mod pfs_label;
mod picture;
pub mod scan;

// A core that could leave out a rule of the protocol would have to remember which one. What users are given can't be built of it.
const _: () =
    assert!(size_of::<hammer2_core::cluster::Protocol>() == 0, "only hammer2-sim may use hammer2-core-unsound");
