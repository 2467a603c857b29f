//! Check functions that use instructions of the processor.

use hammer2_core::media::check_functions::{HostChecks, portable_xxh64, use_host_checks};

static CHECKS: HostChecks = HostChecks { crc32c: crc32c::crc32c, xxh64: portable_xxh64 };

/// Makes this process compute CRC-32C with the processor's instructions, if it has them. There are none for XXH64.
pub fn use_processor() {
    if let Err(error) = use_host_checks(&CHECKS) {
        log::warn!("{error}");
    }
}
