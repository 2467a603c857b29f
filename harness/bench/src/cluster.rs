//! Three masters against one node, and against their limits.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use hammer2_core::media::Compression;
use hammer2_core::random::Random;
use hammer2_core::selftest::image::Content;

use crate::cpu_time;
use crate::files::directory;
use crate::ram::RamDisk;
use crate::random_access::{self, Offsets};
use crate::report::Row;
use crate::scale;
use crate::stream::{self, Stream};
use crate::throttled::Speed;
use crate::volume::{USUAL_BYTES, Volume};

/// Masters of the clusters that are measured.
pub const MASTERS: usize = 3;
const ONE: &str = "1 node";

const FILES: usize = 10_000;
const LOOKUPS: usize = 50_000;
const RANDOM_FILE_BYTES: u64 = 256 << 20;
const RANDOM_WRITES: usize = 5_000;
const SMALL_VOLUME_BYTES: usize = 1 << 30;
const CALL_BYTES: usize = 1 << 20;

/// The speed of a common disk.
pub const SPEED: Speed = Speed { bytes_per_second: 500_000_000, latency: Duration::from_micros(100) };
const SLOW_FILE_BYTES: u64 = 512 << 20;
const SLOW_VOLUME_BYTES: u64 = 2 << 30;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Large files, written and read: against one node, and against the copies that can't be left out.
pub fn streams(runs: u32) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let three = Volume::masters(MASTERS, stream::VOLUME_BYTES);
    let one = Volume::new(stream::VOLUME_BYTES);
    let text = ["3 masters: write 1 GiB of text, LZ4, sync", "3 masters: read of it"];
    let noise = ["3 masters: write 1 GiB of noise, LZ4, sync", "3 masters: read of it"];
    // 1.5 times the processor time for text, and twice for noise.
    for (names, content, goal) in [(text, Content::Text(1), 1.0 / 1.5), (noise, Content::Noise(1), 0.5)] {
        let source = stream::source(content);
        let of = |volume| Stream { volume, compression: Compression::Lz4, source: &source, names };
        rows.extend(of(&three).compare(runs, [ONE; 2], [Some(goal), None], || of(&one).run())?);
    }
    drop(one);
    let disks: [_; MASTERS] = std::array::from_fn(|_| RamDisk::new(stream::VOLUME_BYTES));
    let nothing = Duration::from_secs(1);
    let source = stream::source(Content::Noise(1));
    let of = Stream { volume: &three, compression: Compression::Lz4, source: &source, names: noise };
    let against = ["copy, check code and 3 copies", ""];
    let bare = || Ok([stream::bare_copies(&disks, &source)?, nothing]);
    let [row, _] = of.compare(runs, against, [Some(0.6), None], bare)?;
    rows.push(row);
    let source = stream::source(Content::Text(1));
    let of = Stream { volume: &three, compression: Compression::Lz4, source: &source, names: text };
    let against = ["compressor, check code and 3 copies", ""];
    let bare = || Ok([stream::bare_compressed_copies(&disks, &source)?, nothing]);
    let [row, _] = of.compare(runs, against, [Some(0.9), None], bare)?;
    rows.push(row);
    Ok(rows)
}

/// Creating, looking up and random writes of 4 KiB: with as much memory for each node as the single node has, and with as much
/// for all together.
pub fn small(runs: u32) -> Result<Vec<Row>> {
    let three = Volume::masters(MASTERS, SMALL_VOLUME_BYTES);
    let one = Volume::new(SMALL_VOLUME_BYTES);
    let mut source = vec![0; CALL_BYTES];
    Random::new(1).fill(&mut source);
    let memory = Cell::new(None);
    let times = |volume: &Volume, memory_bytes| -> Result<[Duration; 3]> {
        volume.run(async {
            volume.format().await?;
            let mounted = volume.mount(memory_bytes).await?;
            let fs = &mounted.fs;
            let directory = directory(fs).await?;
            let creating = cpu_time::of_async(scale::create(fs, directory, 0..FILES)).await?;
            scale::look_up(fs, directory, FILES, LOOKUPS).await?;
            let looking = cpu_time::of_async(scale::look_up(fs, directory, FILES, LOOKUPS)).await?;
            let file = random_access::fill(fs, RANDOM_FILE_BYTES, &source).await?;
            let mut offsets = Offsets::new(RANDOM_FILE_BYTES);
            let writes = random_access::write_pieces(fs, file, &mut offsets, RANDOM_WRITES, &source);
            let writing = cpu_time::of_async(writes).await?;
            memory.set(Some(mounted.memory()));
            Ok([creating / FILES as u32, looking / LOOKUPS as u32, writing / RANDOM_WRITES as u32])
        })
    };
    let rate = |time: Duration| 1.0 / time.as_secs_f64();
    let mut rows = Vec::new();
    for (names, goals, memory_bytes) in [
        (
            ["3 masters: create 10,000 files, sync", "3 masters: lookup, attributes", "3 masters: 4 KiB random write"],
            [Some(0.4), Some(0.95), Some(0.45)],
            MASTERS * USUAL_BYTES,
        ),
        (["the same: create", "the same: lookup", "the same: 4 KiB random write"], [None; 3], USUAL_BYTES),
    ] {
        let mut of_cluster = None;
        let ours = || {
            let times = times(&three, memory_bytes);
            of_cluster = memory.get();
            times
        };
        let times = cpu_time::medians_of(runs, ours, || times(&one, USUAL_BYTES))?;
        rows.extend((0..names.len()).map(|step| Row {
            name: names[step],
            against: ONE,
            unit: "/s",
            ours: rate(times[step].0),
            theirs: rate(times[step].1),
            goal: goals[step],
            memory: of_cluster,
        }));
    }
    Ok(rows)
}

/// A large file on slow disks, in virtual time.
pub fn slow_disks() -> Result<[Row; 2]> {
    let source = stream::source(Content::Noise(1));
    let times = |masters| -> Result<_> {
        let volume = Volume::throttled_masters(masters, SLOW_VOLUME_BYTES, SPEED);
        volume.run(async {
            volume.format().await?;
            let mounted = volume.mount(USUAL_BYTES).await?;
            let writing = volume.time(stream::write(&mounted.fs, Compression::None, SLOW_FILE_BYTES, &source)).await?;
            drop(mounted.fs.unmount().await?);
            let mounted = volume.mount(USUAL_BYTES).await?;
            let reading = volume.time(stream::read(&mounted.fs, SLOW_FILE_BYTES)).await?;
            Ok(([writing, reading], mounted.memory()))
        })
    };
    let ((ours, memory), (theirs, _)) = (times(MASTERS)?, times(1)?);
    let names = ["3 disks of 500 MB/s: sequential write", "3 disks of 500 MB/s: sequential read"];
    let goals = [0.9, 2.5];
    let rate = |time: Duration| SLOW_FILE_BYTES as f64 / 1e6 / time.as_secs_f64();
    Ok(std::array::from_fn(|step| Row {
        name: names[step],
        against: "1 disk, in virtual time",
        unit: "MB/s",
        ours: rate(ours[step]),
        theirs: rate(theirs[step]),
        goal: Some(goals[step]),
        memory: Some(memory),
    }))
}
