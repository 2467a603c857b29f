//! The two functions behind nearly all check codes and hashes of names: portable ones, or those of a host, which may be faster
//! (by instructions of its processor, or from its kernel).
//!
//! A host's functions belong to the process, not to a mount. They are checked against the portable ones before they are used, so
//! their results are the same and nothing depends on which of them computed a code; and names are hashed in places that know no
//! mount.

use crc::{CRC_32_ISCSI, Crc, Table};
use once_cell::race::OnceRef;

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// A host's check functions.
pub struct HostChecks {
    /// CRC-32C (Castagnoli) of the bytes.
    pub crc32c: fn(&[u8]) -> u32,
    /// XXH64 of the bytes with a seed.
    pub xxh64: fn(&[u8], u64) -> u64,
}

/// Why a host's check functions aren't used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitChecks {
    /// A function of the host computes something else.
    #[error("the host's {function} of {bytes} bytes isn't what it should be: the portable one is used")]
    Differ {
        /// Which function.
        function: &'static str,
        /// The length of the bytes it was tried with.
        bytes: usize,
    },
    /// Functions were chosen before.
    #[error("the check functions were chosen already")]
    Chosen,
}

static HOST: OnceRef<'static, HostChecks> = OnceRef::new();

/// CRC-32C, the format's `icrc32`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    match HOST.get().filter(|_| bytes.len() >= WORTH_BYTES) {
        Some(host) => (host.crc32c)(bytes),
        None => portable_crc32c(bytes),
    }
}

/// XXH64.
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    match HOST.get() {
        Some(host) => (host.xxh64)(bytes, seed),
        None => portable_xxh64(bytes, seed),
    }
}

/// CRC-32C without the host's functions.
pub fn portable_crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// XXH64 without the host's functions.
pub fn portable_xxh64(bytes: &[u8], seed: u64) -> u64 {
    xxhash_rust::xxh64::xxh64(bytes, seed)
}

/// For fewer bytes than this, as in names, a host's functions aren't faster, because they take longer to prepare.
const WORTH_BYTES: usize = 64;

/// The bytes on which functions are tried: every length up to [`TRIED_LENGTHS`], and all of them.
const TRIED_BYTES: usize = 8192 + 63;
const TRIED_LENGTHS: usize = 272;

/// Uses a host's check functions from now on, if they compute the same as the portable ones. This must be called once, when a
/// process or a kernel starts.
pub fn use_host_checks(host: &'static HostChecks) -> Result<(), UnfitChecks> {
    try_out(host)?;
    HOST.set(host).map_err(|()| UnfitChecks::Chosen)
}

fn try_out(host: &HostChecks) -> Result<(), UnfitChecks> {
    static TRIED: [u8; TRIED_BYTES] = tried();
    for bytes in (0..TRIED_LENGTHS).chain([TRIED_BYTES / 2, TRIED_BYTES]) {
        // The tried bytes also begin at odd addresses, since such functions work in words.
        let tried = &TRIED[TRIED_BYTES - bytes..];
        if (host.crc32c)(tried) != portable_crc32c(tried) {
            return Err(UnfitChecks::Differ { function: "CRC-32C", bytes });
        }
        if (host.xxh64)(tried, bytes as u64) != portable_xxh64(tried, bytes as u64) {
            return Err(UnfitChecks::Differ { function: "XXH64", bytes });
        }
    }
    Ok(())
}

/// Bytes without a pattern, to try functions on.
const fn tried() -> [u8; TRIED_BYTES] {
    let mut bytes = [0; TRIED_BYTES];
    let (mut state, mut index) = (1u32, 0);
    while index < TRIED_BYTES {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[index] = (state >> 24) as u8;
        index += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_compute_something_else_are_refused() {
        let good = HostChecks { crc32c: portable_crc32c, xxh64: portable_xxh64 };
        assert_eq!(try_out(&good), Ok(()));
        // This function is wrong only where a word and a remainder meet.
        let crc32c = |bytes: &[u8]| portable_crc32c(bytes) ^ u32::from(bytes.len() == 265);
        let wrong = HostChecks { crc32c, ..good };
        assert_eq!(try_out(&wrong), Err(UnfitChecks::Differ { function: "CRC-32C", bytes: 265 }));
        let seedless = HostChecks { xxh64: |bytes, _| portable_xxh64(bytes, 0), ..good };
        assert_eq!(try_out(&seedless), Err(UnfitChecks::Differ { function: "XXH64", bytes: 1 }));
    }
}
