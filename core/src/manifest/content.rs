//! The content of files and links.

use sha2::{Digest as _, Sha256};

use crate::fs::{Attributes, Error, FileSystem};
use crate::io::Buffer;

/// Hole bytes of one file that are digested at most: about a minute's work. A damaged size can promise any number.
pub const MOST_HOLE_BYTES: u64 = 64 << 30;
/// The longest target of a symbolic link that any system follows.
const MAX_TARGET_BYTES: u64 = 4096;

/// Why content can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It can't be read.
    #[error("{0}")]
    Read(#[from] Error),
    /// Almost all of it is holes.
    #[error("more than {MOST_HOLE_BYTES} bytes of holes in a file of {0} bytes: not digested")]
    Holes(u64),
    /// Longer than any path.
    #[error("a symbolic link of {0} bytes")]
    LongTarget(u64),
}

/// The SHA-256 of a regular file.
pub(super) async fn digest(fs: &FileSystem, file: &Attributes, buffer: &mut Buffer) -> Result<[u8; 32], ContentError> {
    let mut digest = Sha256::new();
    let mut at = 0;
    let mut hole_bytes = 0u64;
    while at < file.size {
        let count = fs.read(file.inum, at, buffer.bytes_mut()).await?;
        let bytes = &buffer.bytes()[..count];
        digest.update(bytes);
        at += count as u64;
        if bytes.iter().all(|byte| *byte == 0) && at < file.size {
            // Probably a hole; what else of it there is needn't be read.
            let end = match fs.seek_data(file.inum, at).await {
                Err(Error::NoData) => file.size,
                found => found?,
            };
            hole_bytes = hole_bytes.saturating_add(end - at);
            if hole_bytes > MOST_HOLE_BYTES {
                return Err(ContentError::Holes(file.size));
            }
            while at < end {
                let count = (end - at).min(bytes.len() as u64);
                digest.update(&bytes[..count as usize]);
                at += count;
            }
        }
    }
    Ok(digest.finalize().into())
}

/// The target of a symbolic link.
pub(super) async fn target<'b>(
    fs: &FileSystem,
    link: &Attributes,
    buffer: &'b mut Buffer,
) -> Result<&'b [u8], ContentError> {
    if link.size > MAX_TARGET_BYTES {
        return Err(ContentError::LongTarget(link.size));
    }
    let len = fs.read_link(link.inum, buffer.bytes_mut()).await?;
    Ok(&buffer.bytes()[..len.min(buffer.len())])
}
