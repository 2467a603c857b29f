//! A filesystem mounted on Linux, by FUSE.
//!
//! ```text
//!  kernel -> /dev/fuse -> front.rs     the thread that reads a request enters, begins it, and replies if it needn't wait
//!                           |
//!                         inside.rs    one thread at a time is in here: the server, and what has to wait
//!                           |     \
//!                           |      live.rs    the thread that serves the mount enters when something was woken: what has to
//!                           |                 wait, what a mount does by itself, and orders (mailbox.rs)
//!                         server.rs    what all of it is done with
//!                           |
//!                         fs           hammer2_core
//! ```
//!
//! The core is for one thread at a time, the protocol's library calls from its own; so threads take turns, by a
//! [`Monitor`](hammer2_kmod_shim::monitor::Monitor). This is all that knows FUSE, and it knows nothing but `fs`.

mod absent;
mod administration;
mod asked;
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
mod inside;
mod journal;
mod known;
mod letting_go;
mod live;
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
mod seen;
mod server;
mod signals;
mod snapshot;
mod snapshots;
mod states;
mod under_way;
mod upkeep;
mod watch;

pub use administration::{Administration, Beside};
pub use run::{EndError, MountPoint, Options};
pub use snapshot::SNAPSHOT_ATTRIBUTE;
pub use snapshots::SNAPSHOTS_MEMORY_MIB;
