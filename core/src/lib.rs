//! HAMMER2 as a library.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "selftest")]
extern crate alloc;

pub mod chain;
pub mod io;
pub mod media;
pub mod memory;
pub mod newfs;
#[cfg(feature = "selftest")]
pub mod selftest;
