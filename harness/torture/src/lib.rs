//! The rig of what tortures clusters: disks that are images, the process that serves a mount of them, files that are replaced by
//! one version after another, and programs that are run.
#![forbid(unsafe_code)]

pub mod failure;
pub mod images;
pub mod program;
pub mod server;
pub mod versions;
