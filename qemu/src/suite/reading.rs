//! The speed of reading a large file from a disk, compared with plain reads of the same disk. The figures are only printed, since
//! the limit depends on the host.

use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::io::{Buffer, Clock, DeviceOffset, Disk};
use hammer2_core::media::{Compression, Inum};
use hammer2_core::memory::{self, Vec};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::{Content, FileRecipe, Image, Spread};
use hammer2_core::selftest::{Environment, Failure};
use hammer2_kmod_shim::executor::Executor;

use super::environment::Kernel;
use super::parallel::{BufferPool, in_parallel};
use super::{Case, disk};
use crate::platform::{CORE_MEMORY, MEMORY, Platform};
use crate::println;

pub(super) const CASES: &[Case] =
    &[Case { name: "reading: a large file with check codes, against raw reads", run: large_file }];

const LABEL: &[u8] = b"DATA";
const FILE: &[u8] = b"large";
const VOLUME_BYTES: u64 = 128 << 20;
const AREA_BYTES: u64 = 8 << 20;
/// The most bytes of the file, which is made in memory: this many, or a quarter of the memory if that is less.
const MOST_FILE_BYTES: u64 = 64 << 20;

/// Bytes requested at a time, from the disk and from the filesystem.
const REQUEST_BYTES: usize = 64 << 10;
const RAW_IN_FLIGHT: u16 = 16;
const PASSES: u64 = 3;

fn large_file(platform: &Platform) -> Result<(), Failure> {
    let file_bytes = MOST_FILE_BYTES.min(platform.memory_bytes as u64 / 4);
    let file_bytes = file_bytes - file_bytes % REQUEST_BYTES as u64;
    let offsets = &write_volume(platform, file_bytes)?;
    let (mut raw_nanoseconds, mut file_nanoseconds) = (0, 0);
    // They take turns, so that both see the same moods of the host.
    for _ in 0..PASSES {
        let start = platform.timer.now();
        read_raw(platform, offsets)?;
        let between = platform.timer.now();
        raw_nanoseconds += between.nanoseconds - start.nanoseconds;
        platform.run(&Executor::new(MEMORY)?, read_file(platform, file_bytes))?;
        file_nanoseconds += platform.timer.now().nanoseconds - between.nanoseconds;
    }
    let speed = |bytes, nanoseconds: u64| PASSES * bytes * 1000 / nanoseconds.max(1);
    let raw = speed(offsets.len() as u64 * REQUEST_BYTES as u64, raw_nanoseconds);
    let file = speed(file_bytes, file_nanoseconds);
    println!(
        "        {} MiB: {file} MB/s through the filesystem, {raw} MB/s raw with {RAW_IN_FLIGHT} in flight: {} %",
        file_bytes >> 20,
        100 * file / raw.max(1)
    );
    Ok(())
}

/// Writes a volume with one large file to the first disk; returns the places that were written.
fn write_volume(platform: &Platform, file_bytes: u64) -> Result<Vec<DeviceOffset>, Failure> {
    let environment = Kernel(platform);
    let options = NewfsOptions {
        labels: &[LABEL],
        boot_bytes: Some(AREA_BYTES),
        aux_bytes: Some(AREA_BYTES),
        ..NewfsOptions::default()
    };
    let clock = environment.clock();
    let format = Image::format(MEMORY, clock, &[VOLUME_BYTES], &options, Spread::Packed, environment.seed());
    let mut image = platform.run(&Executor::new(MEMORY)?, format)?;
    let recipe = FileRecipe { compression: Compression::None, ..FileRecipe::new(file_bytes, Content::Noise(1)) };
    image.edit(LABEL)?.file(Inum::PFS_ROOT, FILE, &recipe)?;
    image.commit()?;

    let mut offsets = Vec::new_in(MEMORY);
    let mut buffer = Buffer::new(MEMORY, REQUEST_BYTES)?;
    let source = &image.disks()[0];
    for offset in (0..VOLUME_BYTES).step_by(REQUEST_BYTES) {
        source.read_at(offset, buffer.bytes_mut())?;
        if buffer.bytes().iter().any(|byte| *byte != 0) {
            memory::push(&mut offsets, DeviceOffset(offset))?;
        }
    }
    let disk = &first_disk(platform)?;
    let pool = &BufferPool::new(RAW_IN_FLIGHT, REQUEST_BYTES)?;
    let places = &offsets;
    in_parallel(platform, RAW_IN_FLIGHT, offsets.len() as u64, |number| async move {
        let (at, mut buffer) = (places[number as usize], pool.take()?);
        source.read_at(at.0, buffer.bytes_mut())?;
        pool.put(disk.write(at, buffer).await?)
    })?;
    platform.run(&Executor::new(MEMORY)?, disk.flush())?;
    Ok(offsets)
}

fn first_disk(platform: &Platform) -> Result<Disk, Failure> {
    let driver = platform.disks.first().ok_or_else(|| Failure::new(format_args!("no virtio disk is attached")))?;
    disk(platform, driver)
}

fn read_raw(platform: &Platform, offsets: &[DeviceOffset]) -> Result<(), Failure> {
    let disk = &first_disk(platform)?;
    let pool = &BufferPool::new(RAW_IN_FLIGHT, REQUEST_BYTES)?;
    in_parallel(platform, RAW_IN_FLIGHT, offsets.len() as u64, |number| async move {
        pool.put(disk.read(offsets[number as usize], pool.take()?).await?)
    })
}

/// Mounts, so that nothing is in memory, and reads the whole file.
async fn read_file(platform: &Platform, file_bytes: u64) -> Result<(), Failure> {
    let mut disks = Vec::new_in(CORE_MEMORY);
    memory::push(&mut disks, first_disk(platform)?)?;
    let fs = FileSystem::mount(CORE_MEMORY, disks, PfsSelector::Label(LABEL), MountOptions::default()).await?;
    let file = fs.lookup(Inum::PFS_ROOT, FILE).await?;
    let mut buffer = Buffer::new(MEMORY, REQUEST_BYTES)?;
    let mut at = 0;
    loop {
        match fs.read(file, at, buffer.bytes_mut()).await? {
            0 => break,
            bytes => at += bytes as u64,
        }
    }
    if at == file_bytes { Ok(()) } else { Err(Failure::new(format_args!("{at} of {file_bytes} bytes"))) }
}
