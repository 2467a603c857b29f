//! HAMMER2 as a library.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "selftest")]
extern crate alloc;

pub mod chain;
pub mod cluster;
pub mod freemap;
pub mod fs;
pub mod fsck;
pub mod io;
pub mod manifest;
pub mod media;
pub mod memory;
pub mod newfs;
pub mod node;
#[cfg(feature = "selftest")]
pub mod selftest;
