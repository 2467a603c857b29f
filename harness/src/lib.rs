//! What userspace lends `hammer2-core` (devices on files, time, an executor), and the `hammer2` tool made from them.
#![forbid(unsafe_code)]

pub mod admin;
pub mod check_functions;
pub mod cli;
pub mod clock;
pub mod device;
pub mod executor;
pub mod model;
pub mod mount;
mod mount_table;
mod pfs_label;
mod random;
pub mod replay;
mod runtime_dir;
pub mod scan;
pub mod time_source;
mod unsynced;
pub mod virtual_time;

// A core that could leave out a rule of the protocol would have to remember which one. What users are given can't be built of it.
const _: () =
    assert!(size_of::<hammer2_core::cluster::Protocol>() == 0, "only hammer2-sim may use hammer2-core-unsound");
