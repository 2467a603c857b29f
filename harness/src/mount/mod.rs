//! A filesystem mounted on Linux, by FUSE.
//!
//! ```text
//!  kernel -> /dev/fuse -> front.rs     the protocol's threads: turn each request into a job
//!                           | mailbox.rs
//!                         server.rs    the one thread of the executor: runs all jobs at the same time, replies
//!                           |
//!                         fs           hammer2_core
//! ```
//!
//! The core is for one thread, the protocol's library calls from its own; so requests cross once, and replies are sent from the
//! executor's thread. This is all that knows FUSE, and it knows nothing but `fs`.

mod absent;
mod attributes;
mod buffers;
mod counters;
mod direct;
mod directories;
mod durable;
mod fence;
mod files;
mod front;
mod hooks;
mod journal;
mod known;
mod mailbox;
mod metrics;
mod names;
mod nodes;
mod orders;
mod patience;
mod pfss;
mod place;
mod protocol;
mod refusal;
mod run;
mod server;
mod signals;
mod snapshot;
mod snapshots;
mod under_way;
mod upkeep;
mod watch;

pub use orders::{Administration, Beside};
pub use run::{EndError, MountPoint, Options};
pub use snapshot::SNAPSHOT_ATTRIBUTE;
pub use snapshots::SNAPSHOTS_MEMORY_MIB;
