//! The filesystem in memory, as its hosts use it: clusters, crashes, crowds, full and damaged volumes, models, counts.
//!
//! This is one program: what the tests have the filesystem do is compiled into each program that does it, and takes minutes.

mod cluster;
mod commits;
mod concurrent;
mod crash;
mod device_bytes;
mod full_volume;
mod limits;
mod model;
mod pieces;
mod proof;
mod recover;
mod runs;
mod ticks;
