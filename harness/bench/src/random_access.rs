//! 4 KiB at random places in a large file.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::fs::{Error as FsError, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::cpu_time;
use crate::peer::{PEER, Redox};
use crate::report::Row;
use crate::volume::{USUAL_BYTES, Volume};

const FILE_BYTES: u64 = 1 << 30;
const PIECE_BYTES: usize = 4096;
const VOLUME_BYTES: usize = 4 << 30;
const PEER_BYTES: u64 = 3 << 30;
/// A quarter of it is for file content, and three quarters of that for unwritten content: enough for all of the file.
const AMPLE_BYTES: usize = 6 << 30;
const CALL_BYTES: usize = 1 << 20;
const PEER_CALLS: usize = 5000;

/// How a comparison is made.
struct Case {
    names: [&'static str; 2],
    goal: f64,
    memory_bytes: usize,
    calls: usize,
}

/// With 64 MiB of memory.
pub fn uncached(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    compare(
        runs,
        &Case {
            names: ["4 KiB random read, 1 GiB file", "4 KiB random write, 1 GiB file, 10,000 and a sync"],
            goal: 2.5,
            memory_bytes: USUAL_BYTES,
            calls: 10_000,
        },
    )
}

/// With memory for the whole file.
pub fn cached(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    compare(
        runs,
        &Case {
            names: ["the same, file in memory", "the same, 400,000 and a sync"],
            goal: 10.0,
            memory_bytes: AMPLE_BYTES,
            calls: 400_000,
        },
    )
}

/// Places in a file.
pub struct Offsets {
    random: Random,
    file_bytes: u64,
}

impl Offsets {
    /// Places in a file of so many bytes.
    pub fn new(file_bytes: u64) -> Self {
        Self { random: Random::new(2), file_bytes }
    }

    fn next(&mut self) -> u64 {
        self.random.below(self.file_bytes / PIECE_BYTES as u64) * PIECE_BYTES as u64
    }
}

/// Makes a file.
pub async fn fill(fs: &FileSystem, bytes: u64, source: &[u8]) -> Result<Inum, FsError> {
    let file = fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await?;
    for offset in (0..bytes).step_by(source.len()) {
        fs.write(file, offset, source).await?;
    }
    fs.sync().await?;
    Ok(file)
}

/// Writes 4 KiB to each of `calls` places.
pub async fn write_pieces(
    fs: &FileSystem,
    file: Inum,
    offsets: &mut Offsets,
    calls: usize,
    source: &[u8],
) -> Result<(), FsError> {
    for _ in 0..calls {
        fs.write(file, offsets.next(), &source[..PIECE_BYTES]).await?;
    }
    fs.sync().await
}

fn compare(runs: u32, case: &Case) -> Result<[Row; 2], Box<dyn Error>> {
    let mut source = vec![0; CALL_BYTES];
    Random::new(1).fill(&mut source);
    let volume = Volume::new(VOLUME_BYTES);
    let mut redox = Redox::new(PEER_BYTES)?;
    let redox_file = redox.create("file", &[])?;
    for offset in (0..FILE_BYTES).step_by(CALL_BYTES) {
        redox.write(redox_file, offset, &source)?;
    }
    let mut memory = None;
    let (mut our_offsets, mut their_offsets) = (Offsets::new(FILE_BYTES), Offsets::new(FILE_BYTES));
    let mut buffer = [0; PIECE_BYTES];
    let ours = || -> Result<_, Box<dyn Error>> {
        volume.run(async {
            volume.format().await?;
            let mounted = volume.mount(case.memory_bytes).await?;
            let fs = &mounted.fs;
            let file = fill(fs, FILE_BYTES, &source).await?;
            for offset in (0..FILE_BYTES).step_by(PIECE_BYTES) {
                fs.read(file, offset, &mut buffer).await?;
            }
            let reading = cpu_time::of_async(async {
                for _ in 0..case.calls {
                    fs.read(file, our_offsets.next(), black_box(&mut buffer)).await?;
                }
                Ok::<_, Box<dyn Error>>(())
            })
            .await?;
            let writing = cpu_time::of_async(write_pieces(fs, file, &mut our_offsets, case.calls, &source)).await?;
            memory = Some(mounted.memory());
            Ok([reading / case.calls as u32, writing / case.calls as u32])
        })
    };
    let theirs = || -> Result<_, Box<dyn Error>> {
        let mut buffer = [0; PIECE_BYTES];
        let reading = cpu_time::of(|| {
            (0..PEER_CALLS).try_for_each(|_| redox.read(redox_file, their_offsets.next(), black_box(&mut buffer)))
        })?;
        let writing = cpu_time::of(|| {
            (0..PEER_CALLS).try_for_each(|_| redox.write(redox_file, their_offsets.next(), &source[..PIECE_BYTES]))
        })?;
        Ok([reading / PEER_CALLS as u32, writing / PEER_CALLS as u32])
    };
    let times = cpu_time::medians_of(runs, ours, theirs)?;
    let rate = |time: Duration| 1.0 / time.as_secs_f64();
    Ok(std::array::from_fn(|step| Row {
        name: case.names[step],
        against: PEER,
        unit: "calls/s",
        ours: rate(times[step].0),
        theirs: rate(times[step].1),
        goal: Some(case.goal),
        memory,
    }))
}
