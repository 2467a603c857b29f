//! Shared parts of the fuzz targets: bounded memory, disks in memory, an image to damage.
//!
//! Run a target with `cargo fuzz run --fuzz-dir harness/fuzz -s none TARGET`; `cargo run --example seeds` in `harness/fuzz`
//! first makes inputs to start from.
#![forbid(unsafe_code)]

pub mod arrays;
pub mod decoding;
pub mod medium;
pub mod patches;
pub mod run;
