//! Writing and reading large files from one end to the other.

use std::error::Error;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use hammer2_core::fs::{FileSystem, NewAttributes, NewFile};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{CheckMethod, Compression, FileKind, Inum, Radix};
use hammer2_core::selftest::image::Content;

use crate::cpu_time;
use crate::peer::{PEER, Redox};
use crate::ram::RamDisk;
use crate::report::{Memory, Row};
use crate::volume::{USUAL_BYTES, Volume};

/// Bytes of the file for measurements of CPU time.
pub const FILE_BYTES: u64 = 1 << 30;
/// A volume with room for it.
pub const VOLUME_BYTES: usize = 3 << 29;
const PEER_BYTES: u64 = 3 << 30;
/// Bytes of one write, and of one read.
const CALL_BYTES: usize = 128 << 10;
/// Bytes that are written over and over: more than a processor's caches hold.
const SOURCE_BYTES: usize = 64 << 20;
const NAME: &[u8] = b"file";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The bytes to write.
pub fn source(content: Content) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SOURCE_BYTES);
    let mut block = [0; FILE_BLOCK_BYTES];
    for index in 0..(SOURCE_BYTES / FILE_BLOCK_BYTES) as u64 {
        content.fill(index, SOURCE_BYTES as u64, &mut block);
        bytes.extend_from_slice(&block);
    }
    bytes
}

/// The calls that write a file of `bytes` bytes: each with its offset.
fn calls(bytes: u64, source: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let pieces = source.chunks_exact(CALL_BYTES).cycle();
    (0..bytes).step_by(CALL_BYTES).zip(pieces)
}

/// Writes a file of `bytes` bytes, and makes it durable.
pub async fn write(fs: &FileSystem, compression: Compression, bytes: u64, source: &[u8]) -> Result<Inum> {
    let file = fs.create(Inum::PFS_ROOT, NAME, &NewFile::new(FileKind::Regular, 0o644)).await?;
    let methods = NewAttributes { comp_algo: Some(compression as u8), ..NewAttributes::default() };
    fs.set_attributes(file, &methods).await?;
    for (offset, data) in calls(bytes, source) {
        fs.write(file, offset, data).await?;
    }
    fs.sync().await?;
    Ok(file)
}

/// Reads a file of `bytes` bytes.
pub async fn read(fs: &FileSystem, bytes: u64) -> Result<()> {
    let file = fs.lookup(Inum::PFS_ROOT, NAME).await?;
    let mut buffer = vec![0; CALL_BYTES];
    for offset in (0..bytes).step_by(CALL_BYTES) {
        fs.read(file, offset, black_box(&mut buffer)).await?;
    }
    Ok(())
}

/// A large file that is written to a fresh filesystem, and read.
pub struct Stream<'a> {
    /// The volume.
    pub volume: &'a Volume,
    /// How it is compressed.
    pub compression: Compression,
    /// The bytes to write.
    pub source: &'a [u8],
    /// The names of the rows.
    pub names: [&'static str; 2],
}

impl Stream<'_> {
    /// The CPU time of writing and of reading.
    pub fn run(&self) -> Result<[Duration; 2]> {
        self.mount_and_run(&mut None)
    }

    fn mount_and_run(&self, memory: &mut Option<Memory>) -> Result<[Duration; 2]> {
        let Self { volume, compression, source, .. } = *self;
        volume.run(async {
            volume.format().await?;
            let mounted = volume.mount(USUAL_BYTES).await?;
            let writing = cpu_time::of_async(write(&mounted.fs, compression, FILE_BYTES, source)).await?;
            let reading = cpu_time::of_async(read(&mounted.fs, FILE_BYTES)).await?;
            *memory = Some(mounted.memory());
            Ok([writing, reading])
        })
    }

    /// Compares it with something else that writes and reads as much, with goals for the ratios of the rates.
    pub fn compare(
        &self,
        runs: u32,
        against: [&'static str; 2],
        goals: [Option<f64>; 2],
        theirs: impl FnMut() -> Result<[Duration; 2]>,
    ) -> Result<[Row; 2]> {
        let mut memory = None;
        let times = cpu_time::medians_of(runs, || self.mount_and_run(&mut memory), theirs)?;
        let rate = |time: Duration| FILE_BYTES as f64 / 1e6 / time.as_secs_f64();
        Ok(std::array::from_fn(|step| Row {
            name: self.names[step],
            against: against[step],
            unit: "MB/s",
            ours: rate(times[step].0),
            theirs: rate(times[step].1),
            goal: goals[step],
            memory,
        }))
    }
}

/// A file that doesn't compress, with the methods a new filesystem has, against RedoxFS with its own.
pub fn against_peer(runs: u32) -> Result<[Row; 2]> {
    let source = source(Content::Noise(1));
    let volume = Volume::new(VOLUME_BYTES);
    let names = ["sequential write, 1 GiB of noise, LZ4, sync", "sequential read of it"];
    let stream = Stream { volume: &volume, compression: Compression::Lz4, source: &source, names };
    let mut redox = Redox::new(PEER_BYTES)?;
    stream.compare(runs, [PEER; 2], [Some(2.0), Some(1.0)], || {
        let file = redox.create("file", &[])?;
        let mut pieces = calls(FILE_BYTES, &source);
        let writing = cpu_time::of(|| pieces.try_for_each(|(offset, data)| redox.write(file, offset, data)))?;
        let mut buffer = vec![0; CALL_BYTES];
        let reading = cpu_time::of(|| {
            (0..FILE_BYTES).step_by(CALL_BYTES).try_for_each(|offset| redox.read(file, offset, black_box(&mut buffer)))
        })?;
        redox.unlink("file")?;
        Ok([writing, reading])
    })
}

/// A file that isn't compressed, against copying the same blocks, computing their check codes, and the copy of a write to a disk
/// in memory.
pub fn against_copies(runs: u32) -> Result<[Row; 2]> {
    let source = source(Content::Noise(1));
    let volume = Volume::new(VOLUME_BYTES);
    let names = ["sequential write, 1 GiB, XXHASH64, sync", "sequential read of it"];
    let stream = Stream { volume: &volume, compression: Compression::None, source: &source, names };
    let disks = [RamDisk::new(VOLUME_BYTES)];
    let against = ["copy, check code and copy to the disk", "copy from the disk, check code and copy"];
    stream.compare(runs, against, [Some(0.7); 2], || {
        let writing = bare_copies(&disks, &source)?;
        let (mut block, mut buffer) = ([0; FILE_BLOCK_BYTES], vec![0; CALL_BYTES]);
        let reading = cpu_time::of(|| {
            disks[0].with(|disk| {
                for (place, out) in
                    (0..FILE_BYTES as usize).step_by(FILE_BLOCK_BYTES).zip((0..CALL_BYTES / FILE_BLOCK_BYTES).cycle())
                {
                    block.copy_from_slice(&disk[place..place + FILE_BLOCK_BYTES]);
                    black_box(CheckMethod::XxHash64.compute(&block));
                    buffer[out * FILE_BLOCK_BYTES..][..FILE_BLOCK_BYTES].copy_from_slice(&block);
                }
            });
            black_box(&buffer);
            Ok::<_, Box<dyn Error>>(())
        })?;
        Ok([writing, reading])
    })
}

/// Text, compressed with LZ4, against the bare codec.
pub fn against_codec(runs: u32) -> Result<[Row; 2]> {
    let source = source(Content::Text(1));
    let volume = Volume::new(VOLUME_BYTES);
    let names = ["sequential write, 1 GiB of text, LZ4, sync", "sequential read of it"];
    let stream = Stream { volume: &volume, compression: Compression::Lz4, source: &source, names };
    stream.compare(runs, ["the bare compressor", "the bare decompressor"], [Some(0.8); 2], || {
        let mut table = lz4_flex::block::CompressTable::large();
        let bound = lz4_flex::block::get_maximum_output_size(FILE_BLOCK_BYTES);
        let mut packed = vec![vec![0; bound]; SOURCE_BYTES / FILE_BLOCK_BYTES];
        let mut lengths = vec![0; packed.len()];
        let blocks = (FILE_BYTES / FILE_BLOCK_BYTES as u64) as usize;
        let writing = cpu_time::of(|| {
            for (index, block) in source.chunks_exact(FILE_BLOCK_BYTES).enumerate().cycle().take(blocks) {
                lengths[index] = lz4_flex::block::compress_into_with_table(block, &mut packed[index], &mut table)?;
            }
            Ok::<_, Box<dyn Error>>(())
        })?;
        let mut buffer = vec![0; FILE_BLOCK_BYTES];
        let reading = cpu_time::of(|| {
            for (block, length) in packed.iter().zip(&lengths).cycle().take(blocks) {
                lz4_flex::block::decompress_into(&block[..*length], black_box(&mut buffer))?;
            }
            Ok::<_, Box<dyn Error>>(())
        })?;
        Ok([writing, reading])
    })
}

/// The CPU time of the necessary parts of writing: a copy of each block, its check code, and its copy to each disk.
pub fn bare_copies(disks: &[Rc<RamDisk>], source: &[u8]) -> Result<Duration> {
    // There are as many blocks under way as in a mount: a single one would never leave the processor's caches.
    let mut pages = vec![0; USUAL_BYTES / 4];
    cpu_time::of(|| {
        for (offset, data) in calls(FILE_BYTES, source) {
            let start = offset as usize % pages.len();
            let page = &mut pages[start..start + CALL_BYTES];
            page.copy_from_slice(data);
            for (block, place) in page.chunks(FILE_BLOCK_BYTES).zip((offset as usize..).step_by(FILE_BLOCK_BYTES)) {
                black_box(CheckMethod::XxHash64.compute(block));
                disks.iter().for_each(|disk| disk.with(|disk| disk[place..][..block.len()].copy_from_slice(block)));
            }
        }
        Ok(())
    })
}

/// The same for blocks that are compressed first.
pub fn bare_compressed_copies(disks: &[Rc<RamDisk>], source: &[u8]) -> Result<Duration> {
    let mut table = lz4_flex::block::CompressTable::large();
    let bound = lz4_flex::block::get_maximum_output_size(FILE_BLOCK_BYTES).next_power_of_two();
    let mut packed = vec![vec![0; bound]; USUAL_BYTES / 4 / FILE_BLOCK_BYTES];
    let blocks = (FILE_BYTES / FILE_BLOCK_BYTES as u64) as usize;
    let mut place = 0;
    cpu_time::of(|| {
        for (index, block) in source.chunks_exact(FILE_BLOCK_BYTES).cycle().take(blocks).enumerate() {
            let count = packed.len();
            let packed = &mut packed[index % count];
            let length = lz4_flex::block::compress_into_with_table(block, packed, &mut table)?;
            let stored = &packed[..Radix::holding(length + 4).ok_or("a block doesn't compress")?.bytes()];
            black_box(CheckMethod::XxHash64.compute(stored));
            disks.iter().for_each(|disk| disk.with(|disk| disk[place..][..stored.len()].copy_from_slice(stored)));
            place += stored.len();
        }
        Ok(())
    })
}
