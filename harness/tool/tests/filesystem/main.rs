//! Tests of the filesystem in memory, as hosts use it: clusters, crashes, crowds, full and damaged volumes, models, counts.
//! This is a single program, as the filesystem would be compiled again for each program that uses it, which takes minutes.

mod cluster;
mod commits;
mod concurrent;
mod crash;
mod device_bytes;
mod difference;
mod full_volume;
mod limits;
mod model;
mod perform;
mod pieces;
mod proof;
mod recover;
mod runs;
mod sequences;
mod shared;
mod ticks;
