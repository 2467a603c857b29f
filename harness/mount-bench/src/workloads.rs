//! What is done on each mount.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, Timespec, Timestamps};
use rustix::time::{ClockId, clock_gettime};

use crate::candidates::Mounted;
use crate::row::Row;

const STREAM_BYTES: u64 = 256 << 20;
const PIECE_BYTES: usize = 1 << 20;
const RANDOM_BYTES: u64 = 64 << 20;
const RANDOM_OPERATIONS: u64 = 8_000;
const PAGE_BYTES: usize = 4096;
const FILES: u64 = 9_000;
const DIRECTORIES: u64 = 300;

/// What something cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Time on the wall.
    pub(crate) wall: Duration,
    /// Processor time of client and server.
    pub(crate) cpu: Duration,
}

/// Does everything; each row's cost is told.
pub(crate) fn all(mounted: &mut Mounted<'_>, note: &mut dyn FnMut(Row, Cost)) -> io::Result<()> {
    let root = mounted.directory().to_owned();
    note(Row::SequentialWrite, cost(mounted, || write_stream(&root))?);
    cool(&root.join("stream"))?;
    note(Row::SequentialRead, cost(mounted, || read_stream(&root))?);
    fs::remove_file(root.join("stream"))?;
    fs::write(root.join("random"), noise(RANDOM_BYTES as usize))?;
    cool(&root.join("random"))?;
    note(Row::RandomRead, cost(mounted, || random(&root, false))?);
    cool(&root.join("random"))?;
    note(Row::RandomWrite, cost(mounted, || random(&root, true))?);
    fs::create_dir(root.join("files"))?;
    note(Row::Create, cost(mounted, || each(&root, |path| File::create(path).map(drop)))?);
    mounted.remount()?;
    note(Row::Stat, cost(mounted, || each(&root, |path| fs::metadata(path).map(drop)))?);
    mounted.remount()?;
    note(Row::ReadDir, cost(mounted, || list(&root))?);
    note(Row::Unlink, cost(mounted, || each(&root, |path| fs::remove_file(path)))?);
    note(Row::Untar, cost(mounted, || untar(&root))?);
    Ok(())
}

fn cost(mounted: &Mounted<'_>, work: impl FnOnce() -> io::Result<()>) -> io::Result<Cost> {
    let (server, client, start) = (mounted.server_time(), client_time(), Instant::now());
    work()?;
    let wall = start.elapsed();
    Ok(Cost { wall, cpu: mounted.server_time() - server + client_time() - client })
}

fn client_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Text as sources are, half of it noise: it compresses by about a half.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 40 & 1 == 0 { (state >> 56) as u8 } else { b' ' }
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Takes a file out of the kernel's memory.
fn cool(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    Ok(())
}

fn write_stream(root: &Path) -> io::Result<()> {
    let piece = noise(PIECE_BYTES);
    let mut file = File::create(root.join("stream"))?;
    for _ in 0..STREAM_BYTES / PIECE_BYTES as u64 {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

fn read_stream(root: &Path) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut file = File::open(root.join("stream"))?;
    while file.read(&mut piece)? > 0 {}
    black_box(&piece);
    Ok(())
}

fn random(root: &Path, write: bool) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(write).open(root.join("random"))?;
    rustix::fs::fadvise(&file, 0, None, Advice::Random)?;
    let mut page = noise(PAGE_BYTES);
    let mut state = 7u64;
    for _ in 0..RANDOM_OPERATIONS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) % (RANDOM_BYTES / PAGE_BYTES as u64) * PAGE_BYTES as u64;
        if write { file.write_all_at(&page, at)? } else { file.read_exact_at(&mut page, at)? }
    }
    if write { file.sync_all() } else { Ok(()) }
}

fn each(root: &Path, work: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let directory = root.join("files");
    (0..FILES).try_for_each(|number| work(&directory.join(format!("file number {number}"))))
}

fn list(root: &Path) -> io::Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(root.join("files"))? {
        entry?;
        count += 1;
    }
    if count == FILES { Ok(()) } else { Err(io::Error::other(format!("{count} files are listed"))) }
}

/// What tar does for a source tree: directories, files of some KiB, times and modes.
fn untar(root: &Path) -> io::Result<()> {
    let content = noise(32 << 10);
    let time = Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
    for directory in 0..DIRECTORIES {
        let path = root.join(format!("tree{directory}"));
        fs::create_dir(&path)?;
        for number in 0..FILES / DIRECTORIES {
            let mut file = File::create(path.join(format!("source{number}.rs")))?;
            let bytes = 200 + (directory * 7919 + number * 997) % 12_000;
            file.write_all(&content[..bytes as usize])?;
            rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
            rustix::fs::fchmod(&file, 0o640.into())?;
        }
    }
    Ok(())
}
