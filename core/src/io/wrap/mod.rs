//! Devices around devices: faults, a log, counters.
//!
//! Each wrapper takes a device of any kind and is one itself, so they stack in any order below a
//! [`Disk`](super::Disk), in tests, tools and a user's kernel alike. What controls a wrapper from outside (the plan of
//! faults, the log, the counters) is a value of its own that the wrapper reaches through any pointer its user likes: a
//! `&'static` in a kernel, an `Rc` on a host.

mod counted;
mod faulty;
mod logged;
mod plan;

pub use counted::{Counted, Counters, Counts};
pub use faulty::Faulty;
pub use logged::{Content, Detail, Entry, Log, Logged};
pub use plan::{Effect, Fault, FaultId, FaultPlan, Operations};
