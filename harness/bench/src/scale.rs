//! How times grow with the size of a filesystem.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::cluster::NewPfs;
use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum, PfsKind, Timestamp, Uuid};
use hammer2_core::random::Random;

use crate::cpu_time;
use crate::files::directory;
use crate::report::{Memory, Row};
use crate::volume::{USUAL_BYTES, Volume};

/// Files of a small directory, and how many such directories are measured.
const FEW: usize = 1000;
const SMALL_DIRECTORIES: usize = 30;
/// From how many files on a directory counts as large.
const LARGE: usize = 100_000;
const MANY: usize = 1_000_000;
const LOOKUPS: usize = 100_000;
const SNAPSHOTS: usize = 15;
const VOLUME_BYTES: usize = 4 << 30;
/// Enough memory for a mount to keep all inodes and blocks.
const AMPLE_BYTES: usize = 2 << 30;
const SMALL_VOLUME: u64 = 1 << 30;
const LARGE_VOLUME: u64 = 1 << 40;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes empty files with these numbers in their names, and a sync.
pub async fn create(fs: &FileSystem, directory: Inum, numbers: std::ops::Range<usize>) -> Result<()> {
    for number in numbers {
        let name = format!("file.{number}");
        fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
    }
    Ok(fs.sync().await?)
}

/// Looks up `count` of the names below `files`, with attributes.
pub async fn look_up(fs: &FileSystem, directory: Inum, files: usize, count: usize) -> Result<()> {
    let mut random = Random::new(3);
    for _ in 0..count {
        let name = format!("file.{}", random.below(files as u64));
        let inum = fs.lookup(directory, name.as_bytes()).await?;
        black_box(fs.attributes(inum).await?);
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The CPU time of each of several snapshots.
async fn snapshots(fs: &FileSystem) -> Result<Duration> {
    let mut times = Vec::new();
    for number in 0..SNAPSHOTS {
        let label = format!("snapshot.{number}");
        let uuid = Uuid::from_unix_id(number as u32);
        let time = Timestamp { microseconds: 0 };
        let new = NewPfs { label: label.as_bytes(), kind: PfsKind::Master, clid: uuid, fsid: uuid, time };
        times.push(cpu_time::of_async(fs.snapshot(&new)).await?);
    }
    Ok(median(times))
}

/// The times of operations on a filesystem of some size.
struct Times {
    create: Duration,
    lookup: Duration,
    snapshot: Duration,
    memory: Memory,
}

/// The times for one file: medians of many small directories.
async fn small(volume: &Volume, memory_bytes: usize) -> Result<Times> {
    let (mut creates, mut lookups) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..SMALL_DIRECTORIES {
        volume.format().await?;
        let mounted = volume.mount(memory_bytes).await?;
        let directory = directory(&mounted.fs).await?;
        creates.push(cpu_time::of_async(create(&mounted.fs, directory, 0..FEW)).await? / FEW as u32);
        lookups.push(cpu_time::of_async(look_up(&mounted.fs, directory, FEW, FEW)).await? / FEW as u32);
        last = Some(mounted.memory());
    }
    volume.format().await?;
    let snapshot = snapshots(&volume.mount(memory_bytes).await?.fs).await?;
    let memory = last.ok_or("nothing was measured")?;
    Ok(Times { create: median(creates), lookup: median(lookups), snapshot, memory })
}

async fn large(volume: &Volume, memory_bytes: usize) -> Result<Times> {
    volume.format().await?;
    let mounted = volume.mount(memory_bytes).await?;
    let fs = &mounted.fs;
    let directory = directory(fs).await?;
    create(fs, directory, 0..LARGE).await?;
    let creating = cpu_time::of_async(create(fs, directory, LARGE..MANY)).await?;
    // The memory should hold what it holds after many lookups, not after so many creates.
    look_up(fs, directory, MANY, LOOKUPS).await?;
    let looking = cpu_time::of_async(look_up(fs, directory, MANY, LOOKUPS)).await?;
    Ok(Times {
        create: creating / (MANY - LARGE) as u32,
        lookup: looking / LOOKUPS as u32,
        snapshot: snapshots(fs).await?,
        memory: mounted.memory(),
    })
}

/// A directory of a million files against one of a thousand, with memory for all of it.
pub fn directories() -> Result<[Row; 3]> {
    let volume = Volume::new(VOLUME_BYTES);
    let rate = |time: Duration| 1.0 / time.as_secs_f64();
    let (small, large) = volume.run(async {
        let small = small(&volume, AMPLE_BYTES).await?;
        Ok::<_, Box<dyn Error>>((small, large(&volume, AMPLE_BYTES).await?))
    })?;
    let row = |name, against, unit, ours: Duration, theirs: Duration, goal| {
        let memory = Some(large.memory);
        Row { name, against, unit, ours: rate(ours), theirs: rate(theirs), goal: Some(goal), memory }
    };
    let create = "create, 100,000th to 1,000,000th file, sync";
    let lookup = "lookup and attributes among 1,000,000 files";
    Ok([
        row(create, "up to 1,000 files, sync", "files/s", large.create, small.create, 0.9),
        row(lookup, "among 1,000", "lookups/s", large.lookup, small.lookup, 0.5),
        row("snapshot of 1,000,000 files", "of an empty PFS", "/s", large.snapshot, small.snapshot, 0.5),
    ])
}

/// Making and mounting a volume of 1 TiB against one of 1 GiB.
pub fn volumes(runs: u32) -> Result<[Row; 2]> {
    let (large, small) = (Volume::sparse(LARGE_VOLUME), Volume::sparse(SMALL_VOLUME));
    let times = |volume: &Volume| {
        volume.run(async {
            let format = cpu_time::of_async(volume.format()).await?;
            let mut memory = None;
            let mount = cpu_time::of_async(async {
                memory = Some(volume.mount(USUAL_BYTES).await?.memory());
                Ok::<_, Box<dyn Error>>(())
            })
            .await?;
            Ok::<_, Box<dyn Error>>(([format, mount], memory))
        })
    };
    let mut memory = None;
    let ours = || {
        let (times, taken) = times(&large)?;
        memory = taken;
        Ok::<_, Box<dyn Error>>(times)
    };
    let theirs = || Ok(times(&small)?.0);
    // They take next to no time, so there are many runs.
    let times = cpu_time::medians_of(20 * runs, ours, theirs)?;
    let rate = |time: Duration| 1.0 / time.as_secs_f64();
    let names = ["newfs of 1 TiB", "mount of 1 TiB"];
    Ok(std::array::from_fn(|step| Row {
        name: names[step],
        against: "1 GiB",
        unit: "/s",
        ours: rate(times[step].0),
        theirs: rate(times[step].1),
        goal: Some(1.0 / 3.0),
        memory,
    }))
}
