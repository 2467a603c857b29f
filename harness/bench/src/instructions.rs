//! Instructions that operations take, counted by valgrind: the same in every run of a build, whatever else the machine does.
//!
//! Each row is counted in a process of its own, this program under `callgrind`, which counts only within [`counted`]. Disks are
//! in memory, done at once, and time stands still; what a disk's copy takes is part of it.

use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use hammer2_core::fs::{Error as FsError, FileSystem, NewFile};
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::files::directory;
use crate::report::Amount;
use crate::volume::{USUAL_BYTES, Volume};

const VOLUME_BYTES: usize = 256 << 20;
/// Files of the rows that are about names.
const FILES: usize = 2000;
const SMALL_BYTES: usize = 1024;
const BLOCKS: usize = 256;
const FILE_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 4096;
const PIECES: usize = 500;
/// Rewrites, each with an fsync.
const SYNCS: usize = 50;
/// The line of callgrind's output that has the sum.
const SUM: &str = "summary: ";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    /// An empty file made
    Create,
    /// A file of 1 KiB made
    CreateSmall,
    /// A file removed
    Unlink,
    /// A name looked up, and the attributes of its file
    Lookup,
    /// 64 KiB of noise written behind each other, with one sync at the end
    Noise,
    /// 4 KiB of noise written here and there in 64 MiB, with one sync at the end
    RandomWrite,
    /// 4 KiB read here and there in 64 MiB
    RandomRead,
    /// 4 KiB of a small file written again, each with an fsync
    Rewrite,
}

/// A row of the table.
struct Row {
    what: Counted,
    nodes: usize,
    name: &'static str,
    /// What was counted once, and a tenth more.
    limit: u64,
}

const ROWS: [Row; 16] = {
    use Counted::{Create, CreateSmall, Lookup, Noise, RandomRead, RandomWrite, Rewrite, Unlink};
    const fn row(what: Counted, nodes: usize, name: &'static str, limit: u64) -> Row {
        Row { what, nodes, name, limit }
    }
    [
        row(Create, 1, "create", 20_000),
        row(Create, 3, "3 masters: create", 79_300),
        row(CreateSmall, 1, "create and write 1 KiB", 189_700),
        row(CreateSmall, 3, "3 masters: create and write 1 KiB", 292_000),
        row(Unlink, 1, "unlink", 27_700),
        row(Unlink, 3, "3 masters: unlink", 68_700),
        row(Lookup, 1, "lookup and attributes", 19_200),
        row(Lookup, 3, "3 masters: lookup and attributes", 23_600),
        row(Noise, 1, "write 64 KiB of noise", 237_500),
        row(Noise, 3, "3 masters: write 64 KiB of noise", 564_200),
        row(RandomWrite, 1, "4 KiB random write", 322_600),
        row(RandomWrite, 3, "3 masters: 4 KiB random write", 628_600),
        row(RandomRead, 1, "4 KiB random read", 161_100),
        row(RandomRead, 3, "3 masters: 4 KiB random read", 181_400),
        row(Rewrite, 1, "write 4 KiB again, fsync", 2_001_600),
        row(Rewrite, 3, "3 masters: write 4 KiB again, fsync", 6_277_400),
    ]
};

/// Counts these rows, or all when none are named.
pub fn count(wanted: &[Counted]) -> Result<Vec<Amount>> {
    let rows = ROWS.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.what));
    rows.map(|row| {
        let Row { what, nodes, name, limit } = *row;
        eprintln!("counting: {name}");
        let instructions = under_valgrind(what, nodes)? / what.operations() as u64;
        Ok(Amount { name, unit: "instructions", amount: instructions, limit, memory: None })
    })
    .collect()
}

/// Runs this program again, with nothing counted but what is to be.
fn under_valgrind(what: Counted, nodes: usize) -> Result<u64> {
    let sums = std::env::temp_dir().join(format!("hammer2-bench-{}.callgrind", std::process::id()));
    let shown = what.to_possible_value().ok_or("it has a name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*instructions::counted*"])
        .arg(format!("--callgrind-out-file={}", sums.display()))
        .arg(std::env::current_exe()?)
        .args(["instructions", "--here", &nodes.to_string(), shown.get_name()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind can't be run: {error}; install it (apt-get install valgrind)"))?;
    let said = fs::read_to_string(&sums);
    let _ = fs::remove_file(&sums);
    if !output.status.success() {
        return Err(format!("under valgrind: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let said = said?;
    let sum = said.lines().find_map(|line| line.strip_prefix(SUM)).ok_or("callgrind has written no sum")?;
    Ok(sum.trim().parse()?)
}

/// Does what is counted, once, in this process.
pub fn here(what: Counted, nodes: usize) -> Result<()> {
    let volume = Volume::still_masters(nodes, VOLUME_BYTES);
    let mounted = volume.run(async {
        volume.format().await?;
        volume.mount(USUAL_BYTES).await
    })?;
    let fs = &mounted.fs;
    let names: Vec<String> = (0..FILES).map(|number| format!("file.{number}")).collect();
    let mut noise = vec![0; BLOCKS * FILE_BLOCK_BYTES];
    Random::new(1).fill(&mut noise);
    let work = Work { fs, names: &names, noise: &noise };
    let prepared = volume.run(work.prepare(what))?;
    let mut done = Ok(());
    counted(&mut || done = volume.run(work.perform(what, &prepared)));
    Ok(done?)
}

/// Only what happens in here is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

impl Counted {
    fn operations(self) -> usize {
        match self {
            Self::Create | Self::CreateSmall | Self::Unlink | Self::Lookup => FILES,
            Self::Noise => BLOCKS,
            Self::RandomWrite | Self::RandomRead => PIECES,
            Self::Rewrite => SYNCS,
        }
    }
}

/// What is done with a mount.
struct Work<'w> {
    fs: &'w FileSystem,
    names: &'w [String],
    noise: &'w [u8],
}

/// What was made for it: a directory or a file, and places in that.
struct Prepared {
    inum: Inum,
    offsets: Vec<u64>,
}

impl Work<'_> {
    /// Does what isn't counted.
    async fn prepare(&self, what: Counted) -> std::result::Result<Prepared, FsError> {
        let regular = NewFile::new(FileKind::Regular, 0o644);
        let mut random = Random::new(2);
        let offsets = (0..PIECES).map(|_| random.below(FILE_BYTES / PIECE_BYTES as u64) * PIECE_BYTES as u64).collect();
        let inum = match what {
            Counted::Create | Counted::CreateSmall => directory(self.fs).await?,
            Counted::Unlink | Counted::Lookup => {
                let directory = directory(self.fs).await?;
                self.create(directory, SMALL_BYTES).await?;
                directory
            }
            Counted::Noise => self.fs.create(Inum::PFS_ROOT, b"file", &regular).await?,
            Counted::RandomWrite | Counted::RandomRead => {
                let file = self.fs.create(Inum::PFS_ROOT, b"file", &regular).await?;
                for start in (0..FILE_BYTES).step_by(self.noise.len()) {
                    self.fs.write(file, start, self.noise).await?;
                }
                file
            }
            Counted::Rewrite => {
                let file = self.fs.create(Inum::PFS_ROOT, b"file", &regular).await?;
                self.fs.write(file, 0, &self.noise[..FILE_BLOCK_BYTES]).await?;
                file
            }
        };
        self.fs.sync().await?;
        Ok(Prepared { inum, offsets })
    }

    async fn create(&self, directory: Inum, bytes: usize) -> std::result::Result<(), FsError> {
        for name in self.names {
            let file = self.fs.create(directory, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
            self.fs.write(file, 0, &self.noise[..bytes]).await?;
        }
        Ok(())
    }

    /// Does what is counted.
    async fn perform(&self, what: Counted, prepared: &Prepared) -> std::result::Result<(), FsError> {
        let Self { fs, names, noise } = *self;
        let Prepared { inum, offsets } = prepared;
        match what {
            Counted::Create => self.create(*inum, 0).await,
            Counted::CreateSmall => self.create(*inum, SMALL_BYTES).await,
            Counted::Unlink => {
                for name in names {
                    fs.unlink(*inum, name.as_bytes()).await?;
                }
                Ok(())
            }
            Counted::Lookup => {
                for name in names {
                    let file = fs.lookup(*inum, name.as_bytes()).await?;
                    fs.attributes(file).await?;
                }
                Ok(())
            }
            Counted::Noise => {
                for (number, block) in noise.chunks(FILE_BLOCK_BYTES).enumerate() {
                    fs.write(*inum, (number * FILE_BLOCK_BYTES) as u64, block).await?;
                }
                fs.sync().await
            }
            Counted::RandomWrite => {
                for offset in offsets {
                    fs.write(*inum, *offset, &noise[..PIECE_BYTES]).await?;
                }
                fs.sync().await
            }
            Counted::RandomRead => {
                let mut piece = [0; PIECE_BYTES];
                for offset in offsets {
                    fs.read(*inum, *offset, &mut piece).await?;
                }
                Ok(())
            }
            Counted::Rewrite => {
                for number in 0..SYNCS {
                    fs.write(*inum, 0, &noise[number * PIECE_BYTES..][..PIECE_BYTES]).await?;
                    fs.fsync(*inum).await?;
                }
                Ok(())
            }
        }
    }
}
