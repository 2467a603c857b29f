//! The host's time of day, for the times of files, and its random numbers.

use std::time::SystemTime;

use hammer2_core::fs::TimeSource;
use hammer2_core::media::{HostName, Timestamp};

/// The host's time of day; 1970 if its clock is set to an earlier time.
pub struct HostTime;

impl TimeSource for HostTime {
    fn now(&self) -> Timestamp {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp { microseconds: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) }
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(8) => u64::from_le_bytes(bytes),
            // Without random numbers, the time is the best substitute.
            _ => self.now().microseconds,
        }
    }

    fn host_name(&self) -> HostName {
        HostName::new(rustix::system::uname().nodename().to_bytes())
    }
}
