//! Looking names up in a large directory.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hammer2_core::fs::FileSystem;
use hammer2_core::media::Inum;
use hammer2_core::selftest::image::{Content, FileRecipe};
use hammer2_core::selftest::random::Random;

use crate::cpu_time;
use crate::image::RamVolume;
use crate::peer::RedoxDirectory;
use crate::report::Row;

const ENTRIES: usize = 20_000;
const DIRECTORY: &[u8] = b"directory";

/// All names of the directory, in random order.
fn names() -> Vec<String> {
    let mut names: Vec<_> = (0..ENTRIES).map(|number| format!("file.{number}")).collect();
    let mut random = Random::new(1);
    for index in (1..names.len()).rev() {
        names.swap(index, random.below(index as u64 + 1) as usize);
    }
    names
}

/// Lookups with attributes, against the same in RedoxFS.
pub fn lookups(runs: u32) -> Result<Row, Box<dyn Error>> {
    let names = names();
    let volume = RamVolume::new(|editor| {
        let directory = editor.directory(Inum::PFS_ROOT, DIRECTORY)?;
        let empty = FileRecipe::new(0, Content::Zeros);
        names.iter().try_for_each(|name| editor.file(directory, name.as_bytes(), &empty).map(drop))
    })?;
    let fs = volume.mount()?;
    let mut redox = RedoxDirectory::new(&names)?;
    let ours = || cpu_time::of(|| volume.run(look_up_all(&fs, &names)));
    let (ours, theirs) = cpu_time::medians(runs, ours, || cpu_time::of(|| redox.look_up_all(&names)))?;
    let rate = |time: Duration| ENTRIES as f64 / time.as_secs_f64();
    Ok(Row {
        name: "lookups, directory of 20,000 entries",
        against: "redoxfs 0.9.1",
        unit: "lookups/s",
        ours: rate(ours),
        theirs: rate(theirs),
        goal: 4.0,
    })
}

async fn look_up_all(fs: &FileSystem, names: &[String]) -> Result<(), Box<dyn Error>> {
    let directory = fs.lookup(Inum::PFS_ROOT, DIRECTORY).await?;
    for name in names {
        let inum = fs.lookup(directory, name.as_bytes()).await?;
        black_box(fs.attributes(inum).await?);
    }
    Ok(())
}
