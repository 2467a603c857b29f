//! The bytes that a device is given to write: counted, and the same in every run.

use std::error::Error;

use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::files::directory;
use crate::report::Amount;
use crate::volume::{USUAL_BYTES, Volume};

const KIB: u64 = 1 << 10;
const CHANGE_BYTES: usize = 4096;
const SMALL_FILE: u64 = 8 << 10;
const LARGE_FILE: u64 = 1 << 30;
const MANY_FILES: usize = 1_000_000;
const CREATED: usize = 10_000;
const VOLUME_BYTES: usize = 6 << 30;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

async fn file(fs: &FileSystem, bytes: u64) -> Result<Inum> {
    let file = fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await?;
    let mut piece = vec![0; (1 << 20).min(bytes as usize)];
    Random::new(1).fill(&mut piece);
    for offset in (0..bytes).step_by(piece.len()) {
        fs.write(file, offset, &piece).await?;
    }
    Ok(file)
}

/// The bytes of a sync after a change of 4 KiB in the middle of a file, which was synced before.
async fn change(volume: &Volume, fs: &FileSystem, file: Inum, file_bytes: u64) -> Result<u64> {
    fs.sync().await?;
    let mut piece = [0; CHANGE_BYTES];
    Random::new(2).fill(&mut piece);
    volume.take_counts();
    fs.write(file, file_bytes / 2, &piece).await?;
    fs.sync().await?;
    Ok(volume.take_counts().written_bytes)
}

/// All cases, each on a fresh filesystem.
pub fn all() -> Result<[Amount; 4]> {
    let volume = Volume::new(VOLUME_BYTES);
    let row = |name, amount, limit, memory| Amount { name, unit: "bytes", amount, limit, memory: Some(memory) };
    volume.run(async {
        let mut changes = Vec::new();
        for (bytes, limit, name) in
            [(SMALL_FILE, 210, "fsync of 4 KiB, file of 8 KiB"), (LARGE_FILE, 300, "fsync of 4 KiB, file of 1 GiB")]
        {
            volume.format().await?;
            let mounted = volume.mount(USUAL_BYTES).await?;
            let file = file(&mounted.fs, bytes).await?;
            let written = change(&volume, &mounted.fs, file, bytes).await?;
            changes.push(row(name, written, limit * KIB, mounted.memory()));
        }
        volume.format().await?;
        let mounted = volume.mount(USUAL_BYTES).await?;
        let fs = &mounted.fs;
        let file = file(fs, SMALL_FILE).await?;
        let directory = directory(fs).await?;
        fs.sync().await?;
        volume.take_counts();
        let mut created = None;
        for number in 0..MANY_FILES {
            let name = format!("file.{number}");
            fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
            if number + 1 == CREATED {
                fs.sync().await?;
                let per_file = volume.take_counts().written_bytes / CREATED as u64;
                created = Some(row("create, for each of 10,000 and a sync", per_file, 3500, mounted.memory()));
            }
        }
        let written = change(&volume, fs, file, SMALL_FILE).await?;
        let many = row("fsync of 4 KiB, volume of 1,000,000 files", written, 230 * KIB, mounted.memory());
        let [small, large] = <[Amount; 2]>::try_from(changes).map_err(|_| "two files")?;
        Ok([small, large, many, created.ok_or("no files")?])
    })
}
