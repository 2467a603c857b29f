//! Directories of files of many sizes, which several cases write and compare later.

use core::ops::Range;

use crate::fs::{FileSystem, NewFile};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, Inum};
use crate::memory::{self, Box};
use crate::selftest::image::Content;
use crate::selftest::{Environment, Failure, ensure};

/// The number of files in each directory.
pub(super) const FILES: u64 = 24;
const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// A file block in memory.
type Block = [u8; FILE_BLOCK_BYTES];

/// The name of a directory or file.
pub(super) fn name(prefix: u8, number: u64) -> [u8; 3] {
    [prefix, b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// The size of file `number`: sizes around every boundary of the format, and a large one.
fn size(number: u64) -> u64 {
    const SIZES: [u64; 12] =
        [0, 1, 511, 512, 513, 1023, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 777, 40 * BLOCK];
    SIZES[(number % SIZES.len() as u64) as usize]
}

/// Fills `block` with the content of file `number`.
fn content(number: u64, index: u64, block: &mut Block) {
    let content = if number.is_multiple_of(2) { Content::Text(number) } else { Content::Noise(number) };
    content.fill(index, size(number), block);
}

async fn write_file(fs: &FileSystem, file: Inum, number: u64, block: &mut Block) -> Result<(), Failure> {
    let mut offset = 0;
    while offset < size(number) {
        content(number, offset / BLOCK, block);
        let count = (size(number) - offset).min(BLOCK) as usize;
        fs.write(file, offset, &block[..count]).await?;
        offset += count as u64;
    }
    Ok(())
}

async fn compare_file(fs: &FileSystem, file: Inum, number: u64, blocks: &mut [Box<Block>; 2]) -> Result<(), Failure> {
    let [wanted, found] = blocks;
    let mut offset = 0;
    while offset < size(number) {
        content(number, offset / BLOCK, wanted);
        let count = (size(number) - offset).min(BLOCK) as usize;
        let read = fs.read(file, offset, &mut found[..]).await?;
        let same = read == count && found[..count] == wanted[..count];
        ensure(same, format_args!("file {number} differs at {offset:#x}"))?;
        offset += count as u64;
    }
    let behind = fs.read(file, size(number), &mut found[..]).await?;
    ensure(behind == 0, format_args!("file {number} is longer than {}", size(number)))
}

fn blocks(environment: &dyn Environment) -> Result<[Box<Block>; 2], Failure> {
    let block = || memory::boxed(environment.heap(), [0; FILE_BLOCK_BYTES]);
    Ok([block()?, block()?])
}

/// Makes the directories with these numbers and their files.
pub(super) async fn populate(
    environment: &dyn Environment,
    fs: &FileSystem,
    directories: Range<u64>,
) -> Result<(), Failure> {
    let mut block = blocks(environment)?;
    for directory in directories {
        let new = NewFile::new(FileKind::Directory, 0o755);
        let parent = fs.create(Inum::PFS_ROOT, &name(b'd', directory), &new).await?;
        for number in 0..FILES {
            let file = fs.create(parent, &name(b'f', number), &NewFile::new(FileKind::Regular, 0o644)).await?;
            write_file(fs, file, number, &mut block[0]).await?;
        }
    }
    Ok(())
}

/// Compares all files of the directories with these numbers.
pub(super) async fn compare(
    environment: &dyn Environment,
    fs: &FileSystem,
    directories: Range<u64>,
) -> Result<(), Failure> {
    let mut both = blocks(environment)?;
    for directory in directories {
        let parent = fs.lookup(Inum::PFS_ROOT, &name(b'd', directory)).await?;
        for number in 0..FILES {
            let file = fs.lookup(parent, &name(b'f', number)).await?;
            compare_file(fs, file, number, &mut both).await?;
        }
    }
    Ok(())
}
