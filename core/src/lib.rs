//! HAMMER2 as a library.
#![no_std]
#![forbid(unsafe_code)]

pub mod chain;
pub mod cluster;
pub mod fs;
pub mod fsck;
pub mod io;
pub mod media;
pub mod memory;
pub mod node;
