//! What a host provides besides devices and a clock: the time of day, random numbers, and its name.

use crate::media::{HostName, Timestamp};

/// The time of day, and what distinguishes a mount from others.
pub trait TimeSource {
    /// The current time of day.
    fn now(&self) -> Timestamp;

    /// A random number, which distinguishes a mount of a cluster from others.
    fn random(&self) -> u64;

    /// The name of the machine, for other machines that find one of its disks in use.
    fn host_name(&self) -> HostName {
        HostName::UNKNOWN
    }
}
