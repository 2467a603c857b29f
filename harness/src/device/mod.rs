//! Block devices on a host.

mod file;
mod workers;

pub use file::{Access, FileDevice, OpenError};
