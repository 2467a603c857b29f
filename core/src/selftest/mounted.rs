//! Mounting an image and comparing what is found with what was put in.

use super::image::Content;
use super::image::population::{Expected, FileContent, Object, symlink_target};
use super::{Environment, Failure, ensure};
use crate::cluster::{EntryBatch, PfsSelector};
use crate::fs::{Attributes, Cookie, Error, FileSystem, MountError, MountOptions};
use crate::io::Disk;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, Inum};
use crate::memory::{self, Box, Heap, Vec};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;
/// The memory of a mount in cases that aren't about memory.
pub(super) const MOUNT_BYTES: usize = 4 << 20;

/// Mounts the PFS with this label.
pub(super) async fn mount(heap: Heap, disks: Vec<Disk>, label: &[u8]) -> Result<FileSystem, MountError> {
    let options = MountOptions { memory_bytes: MOUNT_BYTES, spare_nodes: 0 };
    FileSystem::mount(heap, disks, PfsSelector::Label(label), options).await
}

/// How an object differs from what was put in.
#[derive(Clone, Debug)]
pub(super) enum Mismatch {
    /// It can't be read, and an error was reported.
    Error(Error),
    /// Its content differs, and no error was reported.
    Wrong(Failure),
}

impl From<Error> for Mismatch {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for Mismatch {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure)
    }
}

/// Compares objects with what is expected, with memory of its own for that.
pub(super) struct Comparer {
    found: Box<[u8; FILE_BLOCK_BYTES]>,
    wanted: Box<[u8; FILE_BLOCK_BYTES]>,
}

impl Comparer {
    pub(super) fn new(environment: &dyn Environment) -> Result<Self, Failure> {
        let block = || memory::boxed(environment.heap(), [0; FILE_BLOCK_BYTES]);
        Ok(Self { found: block()?, wanted: block()? })
    }

    /// Looks the object up by name and reads all of it.
    pub(super) async fn compare(&mut self, fs: &FileSystem, object: &Object) -> Result<(), Mismatch> {
        let inum = fs.lookup(object.parent, &object.name).await?;
        ensure(inum == object.inum, format_args!("found inode {inum} instead of {}", object.inum))?;
        let attributes = fs.attributes(inum).await?;
        check_attributes(object, &attributes)?;
        match object.expected {
            Expected::File(content) => self.file(fs, inum, content).await,
            Expected::Symlink(length) => self.symlink(fs, inum, length).await,
            Expected::Directory => {
                let above = fs.lookup(inum, b"..").await?;
                Ok(ensure(above == object.parent, format_args!("`..` is {above} instead of {}", object.parent))?)
            }
            Expected::Special { .. } => Ok(()),
        }
    }

    async fn file(&mut self, fs: &FileSystem, inum: Inum, file: FileContent) -> Result<(), Mismatch> {
        let FileContent { size, content } = file;
        for index in content.written_blocks(size) {
            self.block(fs, inum, file, index).await?;
        }
        if matches!(content, Content::Islands(_)) {
            self.holes(fs, inum, file).await?;
        }
        let behind = fs.read(inum, size, &mut self.found[..]).await?;
        Ok(ensure(behind == 0, format_args!("{behind} bytes behind the end"))?)
    }

    async fn block(&mut self, fs: &FileSystem, inum: Inum, file: FileContent, index: u64) -> Result<(), Mismatch> {
        let length = (file.size - index * BLOCK).min(BLOCK) as usize;
        // The content of the last block must not pass for this one.
        self.found.fill(0xee);
        let read = fs.read(inum, index * BLOCK, &mut self.found[..]).await?;
        ensure(read == length, format_args!("{read} bytes of block {index} instead of {length}"))?;
        file.content.fill(index, file.size, &mut self.wanted);
        let same = self.found[..length] == self.wanted[..length];
        Ok(ensure(same, format_args!("wrong content in block {index}"))?)
    }

    /// Checks that seeking finds nothing between the islands.
    async fn holes(&mut self, fs: &FileSystem, inum: Inum, file: FileContent) -> Result<(), Mismatch> {
        let mut end = 0;
        for index in file.content.written_blocks(file.size) {
            let start = index * BLOCK;
            if start > end {
                let (data, hole) = (fs.seek_data(inum, end).await?, fs.seek_hole(inum, end).await?);
                ensure(
                    (data, hole) == (start, end),
                    format_args!("behind {end:#x} data at {data:#x}, hole at {hole:#x}"),
                )?;
                self.block(fs, inum, file, index - 1).await?;
            }
            end = start + BLOCK;
        }
        Ok(())
    }

    async fn symlink(&mut self, fs: &FileSystem, inum: Inum, length: usize) -> Result<(), Mismatch> {
        let found = fs.read_link(inum, &mut self.found[..]).await?;
        let same = found == length && self.found[..length].iter().copied().eq(symlink_target(length));
        Ok(ensure(same, format_args!("wrong symbolic link of {found} bytes"))?)
    }
}

fn check_attributes(object: &Object, attributes: &Attributes) -> Result<(), Failure> {
    let (kind, size, device) = match object.expected {
        Expected::Directory => (FileKind::Directory, 0, (0, 0)),
        Expected::File(file) => (FileKind::Regular, file.size, (0, 0)),
        Expected::Symlink(length) => (FileKind::Symlink, length as u64, (0, 0)),
        Expected::Special { kind, device } => (kind, 0, device),
    };
    let found = (attributes.kind, attributes.size, attributes.device, attributes.links);
    let wanted = (kind, size, device, object.links);
    ensure(found == wanted, format_args!("{found:?} instead of {wanted:?}"))
}

/// Compares every object; fails with the first that differs.
pub(super) async fn compare_all(
    environment: &dyn Environment,
    fs: &FileSystem,
    objects: &[Object],
) -> Result<(), Failure> {
    let mut comparer = Comparer::new(environment)?;
    for object in objects {
        comparer.compare(fs, object).await.map_err(|mismatch| {
            let failure = match mismatch {
                Mismatch::Error(error) => Failure::from(error),
                Mismatch::Wrong(failure) => failure,
            };
            failure.of(format_args!("{} in {}", object.name.escape_ascii(), object.parent))
        })?;
    }
    Ok(())
}

/// Reads every directory and every file completely; returns how many names were found and how many errors there were.
pub(super) async fn read_everything(heap: Heap, fs: &FileSystem) -> Result<Census, Failure> {
    let mut census = Census::default();
    let mut pending = Vec::new_in(heap);
    let mut visited = Vec::new_in(heap);
    memory::push(&mut pending, Inum::PFS_ROOT)?;
    let mut batch = EntryBatch::new(heap, BATCH_BYTES)?;
    let mut block = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    while let Some(directory) = pending.pop() {
        // Damage can make two ways to a directory.
        if visited.contains(&directory) {
            continue;
        }
        memory::push(&mut visited, directory)?;
        let mut from = Some(Cookie::START);
        while let Some(cookie) = from {
            let listing = match fs.read_directory(directory, cookie, &mut batch).await {
                Ok(listing) => listing,
                Err(error) => {
                    census.note(error);
                    break;
                }
            };
            if listing.damaged.is_some() {
                census.errors += 1;
            }
            for entry in batch.iter() {
                census.names += 1;
                match fs.attributes(entry.inum).await {
                    Ok(attributes) if attributes.kind == FileKind::Directory => {
                        memory::push(&mut pending, entry.inum)?;
                    }
                    Ok(attributes) => {
                        if let Err(error) = read_whole(fs, &attributes, &mut block).await {
                            census.note(error);
                        }
                    }
                    Err(error) => census.note(error),
                }
            }
            ensure(listing.next > Some(cookie) || listing.next.is_none(), format_args!("a listing doesn't get on"))?;
            from = listing.next;
        }
    }
    Ok(census)
}

const BATCH_BYTES: usize = 4096;
/// The most blocks of a file that are read, since a damaged size can be anything.
const MOST_BLOCKS: u64 = 100;

async fn read_whole(fs: &FileSystem, file: &Attributes, block: &mut [u8; FILE_BLOCK_BYTES]) -> Result<(), Error> {
    if file.kind == FileKind::Symlink {
        fs.read_link(file.inum, block).await?;
    }
    if file.kind != FileKind::Regular {
        return Ok(());
    }
    let mut offset = 0;
    for _ in 0..MOST_BLOCKS {
        match fs.seek_data(file.inum, offset).await {
            Ok(data) => offset = data - data % BLOCK,
            Err(Error::NoData) => return Ok(()),
            Err(error) => return Err(error),
        }
        if fs.read(file.inum, offset, block).await? == 0 {
            return Ok(());
        }
        offset = offset.saturating_add(BLOCK);
    }
    Ok(())
}

/// What a walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) names: u64,
    pub(super) errors: u64,
    pub(super) out_of_memory: u64,
}

impl Census {
    fn note(&mut self, error: Error) {
        self.errors += 1;
        self.out_of_memory += u64::from(error == Error::NoMemory);
    }
}
