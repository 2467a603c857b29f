//! Check functions by instructions of the processor.

use hammer2_core::media::check_functions::{HostChecks, portable_xxh64, use_host_checks};

static CHECKS: HostChecks = HostChecks { crc32c: crc32c::crc32c, xxh64: portable_xxh64 };

/// Has this process compute CRC-32C with the processor's instructions, where it has them. XXH64 has none.
pub fn use_processor() {
    if let Err(error) = use_host_checks(&CHECKS) {
        log::warn!("{error}");
    }
}
