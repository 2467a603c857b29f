//! The content of files and links.

use sha2::{Digest as _, Sha256};

use crate::fs::{Attributes, Error, FileSystem};
use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::is_zero;

/// The most hole bytes of one file that are digested: some seconds' work. A file's size can promise any number of them.
pub const MOST_HOLE_BYTES: u64 = 16 << 30;
/// The longest target of a symbolic link that any system follows.
const MAX_TARGET_BYTES: u64 = 4096;

/// Why a file's content can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    if file.size > MOST_HOLE_BYTES {
        check_holes(fs, file).await?;
    }
    let mut digest = Sha256::new();
    let mut at = 0;
    while at < file.size {
        let count = fs.read(file.inum, at, buffer.bytes_mut()).await?;
        let bytes = &buffer.bytes()[..count];
        digest.update(bytes);
        at += count as u64;
        if is_zero(bytes) {
            // Probably a hole: the rest of it needn't be read.
            let end = next_data(fs, file, at).await?;
            while at < end {
                let count = (end - at).min(bytes.len() as u64);
                digest.update(&bytes[..count as usize]);
                at += count;
            }
        }
    }
    Ok(digest.finalize().into())
}

/// Refuses a file with too many hole bytes.
async fn check_holes(fs: &FileSystem, file: &Attributes) -> Result<(), ContentError> {
    let (mut at, mut hole_bytes) = (0, 0);
    while at < file.size {
        let data = next_data(fs, file, at).await?;
        hole_bytes += data - at;
        if hole_bytes > MOST_HOLE_BYTES {
            return Err(ContentError::Holes(file.size));
        }
        at = data.saturating_add(FILE_BLOCK_BYTES as u64);
    }
    Ok(())
}

/// Where the next bytes are that aren't in a hole; the end of the file when there are none.
async fn next_data(fs: &FileSystem, file: &Attributes, at: u64) -> Result<u64, Error> {
    match fs.seek_data(file.inum, at).await {
        Err(Error::NoData) => Ok(file.size),
        found => found,
    }
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
