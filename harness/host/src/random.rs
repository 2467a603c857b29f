//! Random numbers of the host.

use hammer2_core::media::Uuid;
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// A new random UUID.
pub fn new_uuid() -> Result<Uuid, Errno> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(Uuid::random(bytes))
}

/// Fills `bytes` with random ones.
pub fn fill_random(mut bytes: &mut [u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let count = rustix::rand::getrandom(&mut *bytes, GetRandomFlags::empty())?;
        bytes = &mut bytes[count..];
    }
    Ok(())
}
