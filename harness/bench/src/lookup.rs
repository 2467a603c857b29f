//! Looking names up in a large directory.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::fs::FileSystem;
use hammer2_core::media::Inum;
use hammer2_core::random::Random;
use hammer2_core::selftest::image::{Content, FileRecipe};

use crate::cpu_time;
use crate::image::RamVolume;
use crate::peer::{PEER, Redox};
use crate::report::Row;
use crate::volume::USUAL_BYTES;

const ENTRIES: usize = 20_000;
/// Enough memory for a mount to keep all inodes; the peer reads from a disk in memory, and keeps nothing.
const AMPLE_BYTES: usize = 256 << 20;
/// The peer's disk.
const PEER_BYTES: u64 = 512 << 20;
const DIRECTORY: &[u8] = b"directory";

/// All names of the directory, in another order each time.
struct Names {
    names: Vec<String>,
    random: Random,
}

impl Names {
    fn new() -> Self {
        Self { names: (0..ENTRIES).map(|number| format!("file.{number}")).collect(), random: Random::new(1) }
    }

    fn shuffled(&mut self) -> &[String] {
        for index in (1..self.names.len()).rev() {
            self.names.swap(index, self.random.below(index as u64 + 1) as usize);
        }
        &self.names
    }
}

/// Lookups with attributes, against the same in RedoxFS: with memory for everything, and with less.
pub fn lookups(runs: u32) -> Result<[Row; 2], Box<dyn Error>> {
    let mut names = Names::new();
    let volume = RamVolume::new(|editor| {
        let directory = editor.directory(Inum::PFS_ROOT, DIRECTORY)?;
        let empty = FileRecipe::new(0, Content::Zeros);
        names.shuffled().iter().try_for_each(|name| editor.file(directory, name.as_bytes(), &empty).map(drop))
    })?;
    let mut redox = Redox::new(PEER_BYTES)?;
    redox.fill(names.shuffled())?;
    let ample = compare(&volume, &mut redox, runs, AMPLE_BYTES)?;
    let usual = compare(&volume, &mut redox, runs, USUAL_BYTES)?;
    Ok([
        Row { name: "lookups, directory of 20,000 entries", goal: Some(4.0), ..ample },
        Row { name: "the same, inodes don't fit the cache", ..usual },
    ])
}

fn compare(volume: &RamVolume, redox: &mut Redox, runs: u32, memory_bytes: usize) -> Result<Row, Box<dyn Error>> {
    let mounted = volume.mount(memory_bytes)?;
    let (mut names, mut same_names) = (Names::new(), Names::new());
    let ours = || {
        let names = names.shuffled();
        cpu_time::of(|| volume.run(look_up_all(&mounted.fs, names)))
    };
    let theirs = || {
        let names = same_names.shuffled();
        cpu_time::of(|| redox.look_up_all(names))
    };
    let (ours, theirs) = cpu_time::medians(runs, ours, theirs)?;
    let rate = |time: Duration| ENTRIES as f64 / time.as_secs_f64();
    let memory = Some(mounted.memory());
    Ok(Row { name: "", against: PEER, unit: "lookups/s", ours: rate(ours), theirs: rate(theirs), goal: None, memory })
}

async fn look_up_all(fs: &FileSystem, names: &[String]) -> Result<(), Box<dyn Error>> {
    let directory = fs.lookup(Inum::PFS_ROOT, DIRECTORY).await?;
    for name in names {
        let inum = fs.lookup(directory, name.as_bytes()).await?;
        black_box(fs.attributes(inum).await?);
    }
    Ok(())
}
