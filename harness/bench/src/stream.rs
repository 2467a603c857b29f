//! Writing and reading large files from one end to the other.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::fs::{FileSystem, NewAttributes, NewFile};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{CheckMethod, Compression, FileKind, Inum};
use hammer2_core::selftest::image::Content;

use crate::cpu_time;
use crate::peer::{PEER, Redox};
use crate::ram::RamDisk;
use crate::report::{Memory, Row};
use crate::volume::{USUAL_BYTES, Volume};

const FILE_BYTES: u64 = 1 << 30;
const VOLUME_BYTES: usize = 3 << 29;
const PEER_BYTES: u64 = 3 << 30;
/// Bytes of one write, and of one read.
const CALL_BYTES: usize = 128 << 10;
/// What is written, over and over: more than a processor's caches hold.
const SOURCE_BYTES: usize = 64 << 20;
const NAME: &[u8] = b"file";

fn source(content: Content) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SOURCE_BYTES);
    let mut block = [0; FILE_BLOCK_BYTES];
    for index in 0..(SOURCE_BYTES / FILE_BLOCK_BYTES) as u64 {
        content.fill(index, SOURCE_BYTES as u64, &mut block);
        bytes.extend_from_slice(&block);
    }
    bytes
}

/// The calls that write the whole file: each with its offset.
fn calls(source: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let pieces = source.chunks_exact(CALL_BYTES).cycle();
    (0..FILE_BYTES).step_by(CALL_BYTES).zip(pieces)
}

async fn write(fs: &FileSystem, compression: Compression, source: &[u8]) -> Result<Inum, Box<dyn Error>> {
    let file = fs.create(Inum::PFS_ROOT, NAME, &NewFile::new(FileKind::Regular, 0o644)).await?;
    let methods = NewAttributes { comp_algo: Some(compression as u8), ..NewAttributes::default() };
    fs.set_attributes(file, &methods).await?;
    for (offset, data) in calls(source) {
        fs.write(file, offset, data).await?;
    }
    fs.sync().await?;
    Ok(file)
}

async fn read(fs: &FileSystem, file: Inum) -> Result<(), Box<dyn Error>> {
    let mut buffer = vec![0; CALL_BYTES];
    for offset in (0..FILE_BYTES).step_by(CALL_BYTES) {
        fs.read(file, offset, black_box(&mut buffer)).await?;
    }
    Ok(())
}

/// Writes a file to a fresh filesystem, and reads it.
fn ours(volume: &Volume, compression: Compression, source: &[u8]) -> Result<([Duration; 2], Memory), Box<dyn Error>> {
    volume.run(async {
        volume.format().await?;
        let mounted = volume.mount(USUAL_BYTES).await?;
        let mut file = Inum::PFS_ROOT;
        let writing = cpu_time::of_async(async {
            file = write(&mounted.fs, compression, source).await?;
            Ok::<_, Box<dyn Error>>(())
        })
        .await?;
        let reading = cpu_time::of_async(read(&mounted.fs, file)).await?;
        Ok(([writing, reading], mounted.memory()))
    })
}

/// Rows of a comparison of writing and reading: names, and the goals.
fn rows(
    names: [&'static str; 2],
    against: [&'static str; 2],
    goals: [f64; 2],
    times: [(Duration, Duration); 2],
    memory: Option<Memory>,
) -> [Row; 2] {
    let rate = |time: Duration| FILE_BYTES as f64 / 1e6 / time.as_secs_f64();
    std::array::from_fn(|step| Row {
        name: names[step],
        against: against[step],
        unit: "MB/s",
        ours: rate(times[step].0),
        theirs: rate(times[step].1),
        goal: Some(goals[step]),
        memory,
    })
}

/// A file that doesn't compress, with the methods a new filesystem has, against RedoxFS with its own.
pub fn against_peer(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    let source = source(Content::Noise(1));
    let volume = Volume::new(VOLUME_BYTES);
    let mut redox = Redox::new(PEER_BYTES)?;
    let mut memory = None;
    let ours = || -> Result<_, Box<dyn Error>> {
        let (times, taken) = ours(&volume, Compression::Lz4, &source)?;
        memory = Some(taken);
        Ok(times)
    };
    let theirs = || -> Result<_, Box<dyn Error>> {
        let file = redox.create("file", &[])?;
        let writing = cpu_time::of(|| calls(&source).try_for_each(|(offset, data)| redox.write(file, offset, data)))?;
        let mut buffer = vec![0; CALL_BYTES];
        let reading = cpu_time::of(|| {
            (0..FILE_BYTES).step_by(CALL_BYTES).try_for_each(|offset| redox.read(file, offset, black_box(&mut buffer)))
        })?;
        redox.unlink("file")?;
        Ok([writing, reading])
    };
    let times = cpu_time::medians_of(runs, ours, theirs)?;
    let names = ["sequential write, 1 GiB of noise, LZ4, sync", "sequential read of it"];
    Ok(rows(names, [PEER; 2], [2.0, 1.0], times, memory))
}

/// A file that isn't compressed, against copying the same blocks, computing their check codes, and the copy that a write to a
/// disk in memory is.
pub fn against_copies(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    let source = source(Content::Noise(1));
    let volume = Volume::new(VOLUME_BYTES);
    let disk = RamDisk::new(VOLUME_BYTES);
    let mut memory = None;
    let ours = || -> Result<_, Box<dyn Error>> {
        let (times, taken) = ours(&volume, Compression::None, &source)?;
        memory = Some(taken);
        Ok(times)
    };
    let theirs = || -> Result<_, Box<dyn Error>> {
        // As many blocks on their way as a mount has: a single one would never leave the processor's caches.
        let mut pages = vec![0; USUAL_BYTES / 4];
        let method = CheckMethod::XxHash64;
        let writing = cpu_time::of(|| {
            disk.with(|disk| {
                for (index, data) in calls(&source) {
                    let start = index as usize % pages.len();
                    let page = &mut pages[start..start + CALL_BYTES];
                    page.copy_from_slice(data);
                    for (block, place) in
                        page.chunks(FILE_BLOCK_BYTES).zip((index as usize..).step_by(FILE_BLOCK_BYTES))
                    {
                        black_box(method.compute(block));
                        disk[place..place + FILE_BLOCK_BYTES].copy_from_slice(block);
                    }
                }
            });
            Ok::<_, Box<dyn Error>>(())
        })?;
        let (mut block, mut buffer) = ([0; FILE_BLOCK_BYTES], vec![0; CALL_BYTES]);
        let reading = cpu_time::of(|| {
            disk.with(|disk| {
                for (place, out) in
                    (0..FILE_BYTES as usize).step_by(FILE_BLOCK_BYTES).zip((0..CALL_BYTES / FILE_BLOCK_BYTES).cycle())
                {
                    block.copy_from_slice(&disk[place..place + FILE_BLOCK_BYTES]);
                    black_box(method.compute(&block));
                    buffer[out * FILE_BLOCK_BYTES..][..FILE_BLOCK_BYTES].copy_from_slice(&block);
                }
            });
            black_box(&buffer);
            Ok::<_, Box<dyn Error>>(())
        })?;
        Ok([writing, reading])
    };
    let times = cpu_time::medians_of(runs, ours, theirs)?;
    let names = ["sequential write, 1 GiB, XXHASH64, sync", "sequential read of it"];
    let against = ["copy, check code and copy to the disk", "copy from the disk, check code and copy"];
    Ok(rows(names, against, [0.7, 0.7], times, memory))
}

/// Text, compressed with LZ4, against the bare codec.
pub fn against_codec(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    let source = source(Content::Text(1));
    let volume = Volume::new(VOLUME_BYTES);
    let mut memory = None;
    let ours = || -> Result<_, Box<dyn Error>> {
        let (times, taken) = ours(&volume, Compression::Lz4, &source)?;
        memory = Some(taken);
        Ok(times)
    };
    let theirs = || -> Result<_, Box<dyn Error>> {
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
    };
    let times = cpu_time::medians_of(runs, ours, theirs)?;
    let names = ["sequential write, 1 GiB of text, LZ4, sync", "sequential read of it"];
    Ok(rows(names, ["the bare compressor", "the bare decompressor"], [0.8, 0.8], times, memory))
}
