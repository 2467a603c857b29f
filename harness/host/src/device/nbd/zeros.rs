//! Asking a server for zeros, which the crate `nbd` has no request for.

use std::io::{self, ErrorKind, Read as _, Write as _};

use super::stream::Stream;

const REQUEST: u32 = 0x2560_9513;
const WRITE_ZEROES: u16 = 6;
const REPLY: u32 = 0x6744_6698;

/// Has the server make a range read as zeros. It may give back what held the content before. What it answers when it doesn't
/// is an error in the words of the crate for the same.
pub(super) fn write_zeroes(stream: &mut Stream, offset: u64, bytes: u32) -> io::Result<()> {
    let flags = 0_u16.to_be_bytes();
    let handle = 0_u64.to_be_bytes();
    let [magic, length] = [REQUEST, bytes].map(u32::to_be_bytes);
    let request = [&magic[..], &flags, &WRITE_ZEROES.to_be_bytes(), &handle, &offset.to_be_bytes(), &length].concat();
    stream.write_all(&request)?;
    stream.flush()?;
    let [mut magic, mut error] = [[0; 4]; 2];
    let mut answered = [0; 8];
    stream.read_exact(&mut magic)?;
    stream.read_exact(&mut error)?;
    stream.read_exact(&mut answered)?;
    if u32::from_be_bytes(magic) != REPLY || answered != handle {
        return Err(io::Error::new(ErrorKind::InvalidData, "it answers something else"));
    }
    match u32::from_be_bytes(error) {
        0 => Ok(()),
        1 => Err(io::Error::new(ErrorKind::PermissionDenied, "EPERM")),
        28 => Err(io::Error::other("ENOSPC")),
        _ => Err(io::Error::other("EIO")),
    }
}
