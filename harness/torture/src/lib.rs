//! The rig of programs that torture clusters: disks as images, the process that serves a mount of them, files of which each
//! version replaces the one before, and running programs.
#![forbid(unsafe_code)]

pub mod failure;
pub mod images;
pub mod program;
pub mod server;
pub mod versions;
