//! What a host provides for `hammer2-core`: devices on files, disks and NBD exports, time, random numbers, an executor, the
//! processor's check functions; and, for tests, virtual time and the replay of power cuts.
#![forbid(unsafe_code)]

pub mod check_functions;
pub mod clock;
pub mod device;
pub mod executor;
pub mod mount_table;
pub mod random;
pub mod replay;
pub mod runtime_dir;
pub mod time_source;
pub mod unsynced;
pub mod virtual_time;
