//! Random numbers of the host.

use hammer2_core::media::Uuid;
use rustix::rand::GetRandomFlags;

use super::Failure;

/// A new random UUID.
pub(super) fn new_uuid() -> Result<Uuid, Failure> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(|error| Failure::failed(format_args!("no random numbers: {error}")))?;
    Ok(Uuid::random(bytes))
}

/// Fills `bytes` with random ones.
pub(super) fn fill_random(mut bytes: &mut [u8]) -> Result<(), rustix::io::Errno> {
    while !bytes.is_empty() {
        let count = rustix::rand::getrandom(&mut *bytes, GetRandomFlags::empty())?;
        bytes = &mut bytes[count..];
    }
    Ok(())
}
