//! The requests and bytes of a resynchronization: counted on all disks, from the order to the commit that ends it.

use std::error::Error;

use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::io::wrap::Counts;
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::cluster::MASTERS;
use crate::report::Amount;
use crate::volume::{USUAL_BYTES, Volume};

/// The files of a directory; all files of one directory are changed.
const FILES: u64 = 1_000;
const FILE_BYTES: usize = 1_024;
const CHANGED: &[u8] = b"directory.50";
const DIRECTORIES: u64 = 100;
const MANY_DIRECTORIES: u64 = 1_000;
const VOLUME_BYTES: u64 = 16 << 30;
/// The most requests of a resynchronization that finds nothing to do: the headers, and the way down to the root.
const UNCHANGED_REQUESTS: u64 = 24;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Requests and bytes.
#[derive(Clone, Copy)]
struct Work {
    requests: u64,
    bytes: u64,
}

impl From<Counts> for Work {
    fn from(counts: Counts) -> Self {
        Self { requests: counts.reads + counts.writes, bytes: counts.read_bytes + counts.written_bytes }
    }
}

async fn fill(fs: &FileSystem, directories: u64) -> Result<()> {
    let mut random = Random::new(1);
    let mut content = [0; FILE_BYTES];
    for directory in 0..directories {
        let new = NewFile::new(FileKind::Directory, 0o755);
        let directory = fs.create(Inum::PFS_ROOT, format!("directory.{directory}").as_bytes(), &new).await?;
        for number in 0..FILES {
            let name = format!("file.{number}");
            let file = fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
            random.fill(&mut content);
            fs.write(file, 0, &content).await?;
        }
    }
    Ok(())
}

/// Changes all files of a directory.
async fn change(fs: &FileSystem) -> Result<()> {
    let mut random = Random::new(2);
    let mut content = [0; FILE_BYTES];
    let directory = fs.lookup(Inum::PFS_ROOT, CHANGED).await?;
    for number in 0..FILES {
        let file = fs.lookup(directory, format!("file.{number}").as_bytes()).await?;
        random.fill(&mut content);
        fs.write(file, 0, &content).await?;
    }
    Ok(())
}

/// Brings the last disk in step, which was away during `done`.
async fn resync_after(volume: &Volume, done: impl AsyncFnOnce(&FileSystem) -> Result<()>) -> Result<Work> {
    let without = volume.mount_first(MASTERS - 1, USUAL_BYTES).await?;
    done(&without.fs).await?;
    drop(without.fs.unmount().await?);
    let mounted = volume.mount(USUAL_BYTES).await?;
    volume.take_counts();
    let behind: Vec<_> = mounted.fs.nodes_behind().collect();
    for node in behind {
        mounted.fs.resync(node).await?;
    }
    drop(mounted.fs.unmount().await?);
    Ok(volume.take_counts().into())
}

/// A full copy, one after a change, and one after no change, on a cluster of so many directories.
async fn on_cluster(directories: u64) -> Result<[Work; 3]> {
    let volume = Volume::sparse_masters(MASTERS, VOLUME_BYTES);
    volume.format().await?;
    let full = resync_after(&volume, async |fs| fill(fs, directories).await).await?;
    let changed = resync_after(&volume, async |fs| change(fs).await).await?;
    let unchanged = resync_after(&volume, async |_| Ok(())).await?;
    Ok([full, changed, unchanged])
}

/// After 1 % of 100,000 files changed, after the same change on a volume of 1,000,000, and after no change.
pub fn after_changes() -> Result<Vec<Amount>> {
    let volume = Volume::sparse(VOLUME_BYTES);
    let (small, large) = volume.run(async {
        Ok::<_, Box<dyn Error>>((on_cluster(DIRECTORIES).await?, on_cluster(MANY_DIRECTORIES).await?))
    })?;
    let ([full, changed, unchanged], [_, large_changed, large_unchanged]) = (small, large);
    let part = |amount: u64, percent: u64| amount * percent / 100;
    let row = |name, unit, amount, limit| Amount { name, unit, amount, limit, memory: None };
    let of_full = "resync, 1,000 of 100,000 files changed";
    let of_large = "the same, of 1,000,000";
    let of_none = "resync after no change, 100,000 files";
    let of_none_large = "resync after no change, 1,000,000 files";
    Ok(vec![
        row(of_full, "requests", changed.requests, part(full.requests, 3)),
        row(of_full, "bytes", changed.bytes, part(full.bytes, 3)),
        row(of_large, "requests", large_changed.requests, part(changed.requests, 110)),
        row(of_large, "bytes", large_changed.bytes, part(changed.bytes, 110)),
        row(of_none, "requests", unchanged.requests, UNCHANGED_REQUESTS),
        row(of_none_large, "requests", large_unchanged.requests, UNCHANGED_REQUESTS),
    ])
}
