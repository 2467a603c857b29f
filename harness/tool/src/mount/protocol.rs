//! The options agreed with the kernel when a mount begins. The benchmark of FUSE's own cost includes this file, so that it asks
//! for the same.

use std::time::Duration;

use fuser::{InitFlags, KernelConfig};

/// How long the kernel may keep answers: nobody else changes a mounted filesystem.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The most bytes that a request carries.
pub(crate) const MOST_BYTES: u32 = 1 << 20;

/// The most requests at a time that no program waits for (reading ahead, writing back).
const MOST_IN_BACKGROUND: u16 = 64;

/// The kernel's offers that we accept.
///
/// Not wanted: writing back from the kernel's cache, since a full volume should refuse a write and not lose it later; locks,
/// which the kernel keeps itself for one machine.
const WANTED: [InitFlags; 8] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_NO_OPENDIR_SUPPORT,
    InitFlags::FUSE_EXPORT_SUPPORT,
];

/// Asks for these options. An older kernel does without some.
pub(crate) fn configure(config: &mut KernelConfig) {
    for flags in WANTED {
        let _ = config.add_capabilities(flags);
    }
    // If these are refused, the nearest possible value is in place.
    let _ = config.set_max_write(MOST_BYTES);
    let _ = config.set_max_background(MOST_IN_BACKGROUND);
    let _ = config.set_time_granularity(Duration::from_micros(1));
}
