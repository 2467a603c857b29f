//! Reading everything in a mounted PFS, to compare one state of an image with another.

use crate::fs::{Attributes, Error, FileSystem, Found, TreeWalk};
use crate::io::Buffer;
use crate::media::FileKind;
use crate::media::check::xxhash64;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::memory::{Heap, NoMemory};

/// All that is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its attributes.
    pub attributes: Attributes,
    /// A digest of its content: for a file, of all bytes outside holes and their places; for a link, of the target.
    pub content: u64,
}

/// Calls `visit` with everything below the root and what is known of it, until it has enough or `most_blocks` file blocks were
/// read: a hostile image can promise any number of them.
pub async fn survey(
    heap: Heap,
    fs: &FileSystem,
    most_blocks: u64,
    visit: &mut dyn FnMut(&Found<'_>, Result<Fact, Error>),
) -> Result<(), NoMemory> {
    let mut buffer = Buffer::new(heap, FILE_BLOCK_BYTES)?;
    let mut walk = TreeWalk::new(heap, fs, crate::media::Inum::PFS_ROOT)?;
    let mut blocks_left = most_blocks;
    while let Some(found) = walk.next().await? {
        let fact = match learn(fs, &found, &mut buffer, &mut blocks_left).await {
            Err(Error::NoMemory) => return Err(NoMemory),
            fact => fact,
        };
        visit(&found, fact);
    }
    Ok(())
}

async fn learn(fs: &FileSystem, found: &Found<'_>, buffer: &mut Buffer, blocks_left: &mut u64) -> Result<Fact, Error> {
    if let Some(error) = found.incomplete {
        return Err(error);
    }
    let attributes = fs.attributes(found.inum).await?;
    let content = match attributes.kind {
        FileKind::Regular => digest(fs, &attributes, buffer, blocks_left).await?,
        FileKind::Symlink => {
            let len = fs.read_link(found.inum, buffer.bytes_mut()).await?;
            xxhash64(&buffer.bytes()[..len.min(FILE_BLOCK_BYTES)])
        }
        _ => 0,
    };
    Ok(Fact { attributes, content })
}

async fn digest(fs: &FileSystem, file: &Attributes, buffer: &mut Buffer, blocks_left: &mut u64) -> Result<u64, Error> {
    let mut digest = 0u64;
    let mut at = 0;
    while at < file.size && *blocks_left > 0 {
        *blocks_left -= 1;
        let data = match fs.seek_data(file.inum, at).await {
            Err(Error::NoData) => break,
            found => found?,
        };
        let start = data - data % FILE_BLOCK_BYTES as u64;
        let count = fs.read(file.inum, start, buffer.bytes_mut()).await?;
        digest = digest.rotate_left(1) ^ xxhash64(&buffer.bytes()[..count]).wrapping_mul(start | 1);
        at = start + FILE_BLOCK_BYTES as u64;
    }
    Ok(digest)
}
