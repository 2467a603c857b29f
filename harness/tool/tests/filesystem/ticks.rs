//! A time source that stands still, so that the same seed gives the same bytes.

use hammer2_core::fs::TimeSource;
use hammer2_core::media::Timestamp;

pub(crate) struct Ticks;

impl TimeSource for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 1_700_000_000_000_000 }
    }

    fn random(&self) -> u64 {
        0x5eed
    }
}
