//! Random steps that suit a model: most are possible, some aren't.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::{Bytes, Model, Step, join};

/// How many names are used: so few that steps often meet the same ones.
const NAMES: usize = 40;
/// How many of these are long.
const LONG_NAMES: usize = 4;

/// A block of a file.
const BLOCK: u64 = 64 << 10;

/// Throws steps.
pub struct Dice(SplitMix64);

impl Dice {
    /// The dice for a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// An index into `count` things, of which there is one at least.
    pub fn index(&mut self, count: usize) -> usize {
        (self.number() % count as u64) as usize
    }

    /// The next step; neither a snapshot nor bulkfree.
    pub fn step(&mut self, model: &Model) -> Step {
        let directories = model.directories();
        let path = self.path(&directories);
        match self.index(19) {
            0..4 => match self.index(8) {
                0..2 => Step::Mkdir(path),
                2 => Step::Symlink(path, "t".repeat(1 + self.index(700))),
                _ => Step::Create(path),
            },
            4..8 => {
                let offset = if self.index(2) == 0 { self.place() } else { self.size() };
                Step::Write(path, offset, self.size() as usize, self.bytes())
            }
            8 => Step::Append(path, self.size() as usize),
            9 if self.index(2) == 0 => Step::Truncate(path, self.size()),
            9 => Step::Punch(path, self.size(), self.size()),
            10 if directories.contains(&path) == (self.index(8) == 0) => Step::Unlink(path),
            10 => Step::Rmdir(path),
            11 => Step::Link(path, self.path(&directories)),
            12 => Step::Rename(path, self.path(&directories)),
            13 => Step::Exchange(path, self.path(&directories)),
            14 => {
                let compression = [0, 1, 2, 0x63][self.index(4)];
                let check = [0, 2, 3, 4][self.index(4)];
                Step::Methods(path, compression, check)
            }
            15 => Step::Fsync(path),
            16..18 => {
                let (offset, to_offset) = (self.place(), self.place());
                let len = if self.index(2) == 0 { 1 << 30 } else { self.size() };
                let to = self.path(&directories);
                Step::Clone(self.file(model, path), offset, self.file(model, to), to_offset, len)
            }
            _ => Step::Sync,
        }
    }

    fn path(&mut self, directories: &[String]) -> String {
        let directory = &directories[self.index(directories.len())];
        let name = match self.index(NAMES) {
            long if long < LONG_NAMES => "l".repeat(60 + 40 * long),
            short => format!("n{short}"),
        };
        join(directory, &name)
    }

    /// A file, more often than not; else whatever that path is.
    fn file(&mut self, model: &Model, path: String) -> String {
        let files: Vec<String> = model
            .paths()
            .into_iter()
            .filter(|path| model.content(path).is_some_and(|content| !content.is_empty()))
            .collect();
        if files.is_empty() || self.index(8) == 0 { path } else { files[self.index(files.len())].clone() }
    }

    /// An offset, mostly at the start of a block.
    fn place(&mut self) -> u64 {
        if self.index(4) == 0 { self.size() } else { self.index(6) as u64 * BLOCK }
    }

    fn size(&mut self) -> u64 {
        let limit = match self.index(6) {
            0 => 513,
            1 | 2 => 5_000,
            3 | 4 => 200_000,
            _ => 1_200_000,
        };
        self.index(limit) as u64
    }

    fn bytes(&mut self) -> Bytes {
        let seed = self.index(3) as u64;
        [Bytes::Noise, Bytes::Text, Bytes::Zeros, Bytes::Seeded(seed)][self.index(4)]
    }
}
