//! Whether the content of a device may be changed (protocol 8).

use super::Instant;

/// Whether content may be changed. Reads and flushes always may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Content may be changed: nobody else can reach the device, or it isn't known who writes to it.
    Always,
    /// Until this time, by the clock of the device's [`Disk`](super::Disk), nobody else changes the content. Later changes wait
    /// until they are permitted again.
    Until(Instant),
    /// Another mount writes to the device.
    Never,
}

impl Permission {
    /// True when content may be changed at that time.
    pub fn permits_at(self, now: Instant) -> bool {
        match self {
            Self::Always => true,
            Self::Until(end) => now < end,
            Self::Never => false,
        }
    }
}
