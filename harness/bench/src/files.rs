//! Making and removing many small files.

use std::error::Error;
use std::time::Duration;

use hammer2_core::fs::{Error as FsError, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::cpu_time;
use crate::peer::{PEER, Redox};
use crate::report::Row;
use crate::volume::{USUAL_BYTES, Volume};

const FILES: usize = 20_000;
const FILE_BYTES: usize = 1024;
const VOLUME_BYTES: usize = 1 << 30;
const PEER_BYTES: u64 = 1 << 30;

/// Makes a directory in the root.
pub async fn directory(fs: &FileSystem) -> Result<Inum, FsError> {
    fs.create(Inum::PFS_ROOT, b"directory", &NewFile::new(FileKind::Directory, 0o755)).await
}

/// Makes files of 1 KiB in a directory and removes them, against the same in RedoxFS. Ours ends each with a sync.
pub fn create_and_unlink(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    let names: Vec<String> = (0..FILES).map(|number| format!("file.{number}")).collect();
    let mut content = [0; FILE_BYTES];
    Random::new(1).fill(&mut content);
    let volume = Volume::new(VOLUME_BYTES);
    let mut redox = Redox::new(PEER_BYTES)?;
    let mut memory = None;
    let ours = || -> Result<[Duration; 2], Box<dyn Error>> {
        volume.run(async {
            volume.format().await?;
            let mounted = volume.mount(USUAL_BYTES).await?;
            let fs = &mounted.fs;
            let directory = directory(fs).await?;
            let create = cpu_time::of_async(async {
                for name in &names {
                    let file = fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
                    fs.write(file, 0, &content).await?;
                }
                fs.sync().await
            })
            .await?;
            let unlink = cpu_time::of_async(async {
                for name in &names {
                    fs.unlink(directory, name.as_bytes()).await?;
                }
                fs.sync().await
            })
            .await?;
            memory = Some(mounted.memory());
            Ok([create, unlink])
        })
    };
    let theirs = || -> Result<[Duration; 2], Box<dyn Error>> {
        let create = cpu_time::of(|| names.iter().try_for_each(|name| redox.create(name, &content).map(drop)))?;
        let unlink = cpu_time::of(|| names.iter().try_for_each(|name| redox.unlink(name)))?;
        Ok([create, unlink])
    };
    let [create, unlink] = cpu_time::medians_of(runs, ours, theirs)?;
    let row = |name, (ours, theirs): (Duration, Duration)| {
        let rate = |time: Duration| FILES as f64 / time.as_secs_f64();
        Row { name, against: PEER, unit: "files/s", ours: rate(ours), theirs: rate(theirs), goal: Some(4.0), memory }
    };
    Ok([row("create 20,000 files of 1 KiB, sync", create), row("unlink them, sync", unlink)])
}
