//! The `hammer2` tool: its commands, mounts by FUSE, and administration for both. What the host provides for `hammer2-core` is
//! below it, in `hammer2-host`.
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod mount;
mod pfs_label;
mod picture;
pub mod scan;

// A core that can leave out a rule of the protocol has to remember which one, and so has a size. The shipped tool can't be built
// with it.
const _: () = assert!(size_of::<hammer2_core::node::Protocol>() == 0, "only hammer2-sim may use hammer2-core-unsound");
