//! What a host lends beside devices and a clock: the time of day, random numbers, and its name.

use crate::media::{HostName, Timestamp};

/// The time of day, and what makes one mount differ from another.
pub trait TimeSource {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A random number: what makes one mount of a cluster differ from another.
    fn random(&self) -> u64;

    /// The name of the machine, for others that find one of its disks in use.
    fn host_name(&self) -> HostName {
        HostName::UNKNOWN
    }
}
