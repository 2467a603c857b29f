//! The work that is counted: an operation done many times, in its usual state.

use std::error::Error;
use std::hint::black_box;

use clap::ValueEnum;
use hammer2_core::fs::{Error as FsError, FileSystem, NewFile};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;
use hammer2_core::selftest::image::Content;

use super::counted;
use crate::files::directory;
use crate::stream;
use crate::volume::{USUAL_BYTES, Volume};

const VOLUME_BYTES: usize = 512 << 20;
/// Files of the rows that are about names.
const FILES: usize = 10_000;
/// Files whose inodes don't fit the memory of a mount.
const MANY_FILES: usize = 20_000;
const SMALL_BYTES: usize = 1024;
const FILE_BYTES: u64 = 64 << 20;
const BLOCKS: usize = FILE_BYTES as usize / FILE_BLOCK_BYTES;
const PIECE_BYTES: usize = 4096;
const PIECES: usize = 500;
/// The memory of a mount that holds only few of the pieces.
const LITTLE_BYTES: usize = 4 << 20;
/// Rewrites, each with an fsync.
const SYNCS: usize = 50;
/// Rewrites before that.
const FIRST_SYNCS: usize = 6;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The operations that are counted. Each mount has 64 MiB for each of its disks, unless stated otherwise.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Counted {
    /// An empty file made, one sync for all
    Create,
    /// A file of 1 KiB made, one sync for all
    #[value(name = "create_1k")]
    CreateSmall,
    /// A file of 1 KiB removed, one sync for all
    Unlink,
    /// A name looked up, and the attributes of its file, all of it in memory
    LookupWarm,
    /// The same of 20,000 files in random order, whose inodes don't all fit
    LookupCold,
    /// 64 KiB of noise written over a file from its start, one sync for all
    WriteNoise,
    /// 64 KiB of noise read one after the other, not in memory
    ReadNoise,
    /// 64 KiB of text read one after the other, not in memory
    ReadText,
    /// 4 KiB of text written at random places in 64 MiB with 4 MiB of memory, one sync for all
    RandomWriteText,
    /// 4 KiB of a file of 8 KiB written again, each with an fsync
    Fsync,
}

impl Counted {
    /// How many operations are counted.
    pub fn operations(self) -> usize {
        match self {
            Self::Create | Self::CreateSmall | Self::Unlink | Self::LookupWarm => FILES,
            Self::LookupCold => MANY_FILES,
            Self::WriteNoise | Self::ReadNoise | Self::ReadText => BLOCKS,
            Self::RandomWriteText => PIECES,
            Self::Fsync => SYNCS,
        }
    }

    /// Prepares it on this many disks, and does it.
    pub fn perform(self, nodes: usize) -> Result<()> {
        let volume = Volume::still_masters(nodes, VOLUME_BYTES);
        volume.run(volume.format())?;
        let scene = Scene { volume, memory_bytes: USUAL_BYTES * nodes };
        match self {
            Self::Create => scene.create(0),
            Self::CreateSmall => scene.create(SMALL_BYTES),
            Self::Unlink => scene.unlink(),
            Self::LookupWarm => scene.look_up(FILES),
            Self::LookupCold => scene.look_up(MANY_FILES),
            Self::WriteNoise => scene.write_noise(),
            Self::ReadNoise => scene.read(Content::Noise(1)),
            Self::ReadText => scene.read(Content::Text(1)),
            Self::RandomWriteText => Scene { memory_bytes: LITTLE_BYTES, ..scene }.write_pieces(),
            Self::Fsync => scene.fsync(),
        }
    }
}

/// A formatted volume, and how it is mounted.
struct Scene {
    volume: Volume,
    memory_bytes: usize,
}

impl Scene {
    fn mount(&self) -> Result<FileSystem> {
        Ok(self.volume.run(self.volume.mount(self.memory_bytes))?.fs)
    }

    /// Counts the instructions of this work.
    fn count(&self, work: impl Future<Output = std::result::Result<(), FsError>>) -> Result<()> {
        let (mut work, mut done) = (Some(work), Ok(()));
        counted(&mut || {
            if let Some(work) = work.take() {
                done = self.volume.run(work);
            }
        });
        Ok(done?)
    }

    fn create(&self, bytes: usize) -> Result<()> {
        let fs = self.mount()?;
        let inum = self.volume.run(directory(&fs))?;
        self.count(create(&fs, inum, &names(FILES), bytes))
    }

    fn unlink(&self) -> Result<()> {
        let (fs, names) = (self.mount()?, names(FILES));
        let inum = self.volume.run(directory(&fs))?;
        self.volume.run(create(&fs, inum, &names, SMALL_BYTES))?;
        self.count(async {
            for name in &names {
                fs.unlink(inum, name.as_bytes()).await?;
            }
            fs.sync().await
        })
    }

    fn look_up(&self, files: usize) -> Result<()> {
        let fs = self.mount()?;
        let inum = self.volume.run(directory(&fs))?;
        self.volume.run(create(&fs, inum, &names(files), 0))?;
        self.volume.run(look_up(&fs, inum, &shuffled(files, 1)))?;
        self.count(look_up(&fs, inum, &shuffled(files, 2)))
    }

    fn write_noise(&self) -> Result<()> {
        let (fs, source) = (self.mount()?, stream::source(Content::Noise(1)));
        let file = self.volume.run(fill(&fs, &source))?;
        self.count(write(&fs, file, &source))
    }

    fn read(&self, content: Content) -> Result<()> {
        let (fs, source) = (self.mount()?, stream::source(content));
        let file = self.volume.run(fill(&fs, &source))?;
        drop(self.volume.run(fs.unmount())?);
        let fs = self.mount()?;
        let mut block = vec![0; FILE_BLOCK_BYTES];
        self.count(async {
            for offset in (0..FILE_BYTES).step_by(FILE_BLOCK_BYTES) {
                fs.read(file, offset, black_box(&mut block)).await?;
            }
            Ok(())
        })
    }

    fn write_pieces(&self) -> Result<()> {
        let (fs, source) = (self.mount()?, stream::source(Content::Text(1)));
        let file = self.volume.run(fill(&fs, &source))?;
        let mut random = Random::new(2);
        self.volume.run(pieces(&fs, file, &source, &mut random, 2 * PIECES))?;
        self.count(pieces(&fs, file, &source, &mut random, PIECES))
    }

    fn fsync(&self) -> Result<()> {
        let (fs, source) = (self.mount()?, stream::source(Content::Noise(1)));
        let file = self.volume.run(async {
            let file = fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await?;
            fs.write(file, 0, &source[..2 * PIECE_BYTES]).await?;
            fs.sync().await?;
            Ok::<_, FsError>(file)
        })?;
        self.volume.run(rewrite(&fs, file, &source, FIRST_SYNCS))?;
        self.count(rewrite(&fs, file, &source, SYNCS))
    }
}

fn names(files: usize) -> Vec<String> {
    (0..files).map(|number| format!("file.{number}")).collect()
}

fn shuffled(files: usize, seed: u64) -> Vec<String> {
    let (mut names, mut random) = (names(files), Random::new(seed));
    for index in (1..files).rev() {
        names.swap(index, random.below(index as u64 + 1) as usize);
    }
    names
}

async fn create(fs: &FileSystem, directory: Inum, names: &[String], bytes: usize) -> std::result::Result<(), FsError> {
    let mut content = vec![0; bytes];
    Random::new(1).fill(&mut content);
    for name in names {
        let file = fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
        if !content.is_empty() {
            fs.write(file, 0, &content).await?;
        }
    }
    fs.sync().await
}

async fn look_up(fs: &FileSystem, directory: Inum, names: &[String]) -> std::result::Result<(), FsError> {
    for name in names {
        let file = fs.lookup(directory, name.as_bytes()).await?;
        black_box(fs.attributes(file).await?);
    }
    Ok(())
}

/// Makes a file by writing `source` over and over.
async fn fill(fs: &FileSystem, source: &[u8]) -> std::result::Result<Inum, FsError> {
    let file = fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await?;
    write(fs, file, source).await?;
    Ok(file)
}

async fn write(fs: &FileSystem, file: Inum, source: &[u8]) -> std::result::Result<(), FsError> {
    let blocks = source.chunks_exact(FILE_BLOCK_BYTES).cycle();
    for (offset, block) in (0..FILE_BYTES).step_by(FILE_BLOCK_BYTES).zip(blocks) {
        fs.write(file, offset, block).await?;
    }
    fs.sync().await
}

async fn pieces(
    fs: &FileSystem,
    file: Inum,
    source: &[u8],
    random: &mut Random,
    count: usize,
) -> std::result::Result<(), FsError> {
    for _ in 0..count {
        let offset = random.below(FILE_BYTES / PIECE_BYTES as u64) * PIECE_BYTES as u64;
        fs.write(file, offset, &source[..PIECE_BYTES]).await?;
    }
    fs.sync().await
}

async fn rewrite(fs: &FileSystem, file: Inum, source: &[u8], count: usize) -> std::result::Result<(), FsError> {
    for number in 0..count {
        fs.write(file, 0, &source[number..][..PIECE_BYTES]).await?;
        fs.fsync(file).await?;
    }
    Ok(())
}
