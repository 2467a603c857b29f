//! Reading a large file from its beginning to its end.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::fs::FileSystem;
use hammer2_core::media::{BlockKind, Blockref, CheckMethod, Compression, Inum};
use hammer2_core::selftest::image::{BlockMap, Content, FileRecipe};

use crate::cpu_time;
use crate::image::RamVolume;
use crate::report::{Memory, Row};
use crate::volume::USUAL_BYTES;

const FILE_BYTES: u64 = 256 << 20;
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of one read.
const READ_BYTES: usize = 128 << 10;
const NAME: &[u8] = b"file";

/// A volume with one large file, and the blockrefs of its data.
struct LargeFile {
    volume: RamVolume,
    data: Vec<Blockref>,
}

impl LargeFile {
    fn new(compression: Compression, content: Content) -> Result<Self, Box<dyn Error>> {
        let recipe = FileRecipe { check: CheckMethod::XxHash64, compression, ..FileRecipe::new(FILE_BYTES, content) };
        let volume = RamVolume::new(|editor| editor.file(Inum::PFS_ROOT, NAME, &recipe).map(drop))?;
        let map = BlockMap::new(&volume.written)?;
        let is_data = |entry: &Blockref| entry.is(BlockKind::Data);
        let data: Vec<_> = map.entries().iter().map(|mapped| mapped.entry).filter(is_data).collect();
        if data.len() as u64 != FILE_BYTES / BLOCK_BYTES as u64
            || data.iter().any(|entry| entry.methods.compression() != Ok(compression))
        {
            return Err("the file isn't stored as it should be".into());
        }
        Ok(Self { volume, data })
    }

    fn read(&self, fs: &FileSystem) -> Result<Duration, Box<dyn Error>> {
        let mut buffer = vec![0; READ_BYTES];
        cpu_time::of(|| {
            self.volume.run(async {
                let file = fs.lookup(Inum::PFS_ROOT, NAME).await?;
                let mut offset = 0;
                while offset < FILE_BYTES {
                    offset += fs.read(file, offset, black_box(&mut buffer)).await? as u64;
                }
                Ok(())
            })
        })
    }
}

fn row(
    name: &'static str,
    against: &'static str,
    goal: f64,
    (ours, theirs): (Duration, Duration),
    memory: Memory,
) -> Row {
    let megabytes = FILE_BYTES as f64 / 1e6;
    let rate = |time: Duration| megabytes / time.as_secs_f64();
    Row { name, against, unit: "MB/s", ours: rate(ours), theirs: rate(theirs), goal: Some(goal), memory: Some(memory) }
}

/// An uncompressed file, against a loop that reads the same blocks and computes their check codes.
pub fn uncompressed(runs: u32) -> Result<Row, Box<dyn Error>> {
    let file = LargeFile::new(Compression::None, Content::Noise(1))?;
    let mounted = file.volume.mount(USUAL_BYTES)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let plain = || {
        cpu_time::of(|| {
            for entry in &file.data {
                file.volume.disk().read_at(entry.data_off().offset().0, black_box(&mut buffer))?;
                entry.verify(&buffer)?;
            }
            Ok(())
        })
    };
    let times = cpu_time::medians(runs, || file.read(&mounted.fs), plain)?;
    Ok(row("sequential read, XXHASH64", "the same blocks and check codes, plain loop", 0.7, times, mounted.memory()))
}

/// A compressed text, against the decompressor with all stored blocks in memory.
pub fn lz4(runs: u32) -> Result<Row, Box<dyn Error>> {
    let file = LargeFile::new(Compression::Lz4, Content::Text(1))?;
    let mounted = file.volume.mount(USUAL_BYTES)?;
    let mut stored = Vec::new();
    for entry in &file.data {
        let mut block = vec![0; entry.data_off().radix()?.map_or(0, |radix| radix.bytes())];
        file.volume.disk().read_at(entry.data_off().offset().0, &mut block)?;
        stored.push(block);
    }
    let mut buffer = vec![0; BLOCK_BYTES];
    let bare = || {
        cpu_time::of(|| {
            for block in &stored {
                let (length, rest) = block.split_first_chunk::<4>().ok_or("a block is too short")?;
                let packed = rest.get(..u32::from_le_bytes(*length) as usize).ok_or("a block is too short")?;
                lz4_flex::block::decompress_into(packed, black_box(&mut buffer))?;
            }
            Ok(())
        })
    };
    let times = cpu_time::medians(runs, || file.read(&mounted.fs), bare)?;
    Ok(row("sequential read, LZ4 text", "the bare decompressor", 0.8, times, mounted.memory()))
}
