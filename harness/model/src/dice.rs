//! Random steps that suit a model: most are possible, some aren't.

use hammer2_core::random::Random;

use super::{Bytes, Model, Step, join};

/// How many names are used: so few that steps often meet the same ones.
const NAMES: usize = 40;
/// How many of these are long.
const LONG_NAMES: usize = 4;

/// Throws steps.
pub struct Dice {
    /// The random numbers behind the throws.
    pub random: Random,
}

impl Dice {
    /// The dice for a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }

    /// The next step; neither a snapshot nor bulkfree.
    pub fn step(&mut self, model: &Model) -> Step {
        let directories = model.directories();
        let path = self.path(&directories);
        match self.random.index(17) {
            0..4 => match self.random.index(8) {
                0..2 => Step::Mkdir(path),
                2 => Step::Symlink(path, "t".repeat(1 + self.random.index(700))),
                _ => Step::Create(path),
            },
            4..8 => Step::Write(path, self.size(), self.size() as usize, self.bytes()),
            8 => Step::Append(path, self.size() as usize),
            9 if self.random.index(2) == 0 => Step::Truncate(path, self.size()),
            9 => Step::Punch(path, self.size(), self.size()),
            10 if directories.contains(&path) == (self.random.index(8) == 0) => Step::Unlink(path),
            10 => Step::Rmdir(path),
            11 => Step::Link(path, self.path(&directories)),
            12 => Step::Rename(path, self.path(&directories)),
            13 => Step::Exchange(path, self.path(&directories)),
            14 => {
                let compression = [0, 1, 2, 0x63][self.random.index(4)];
                let check = [0, 2, 3, 4][self.random.index(4)];
                Step::Methods(path, compression, check)
            }
            15 => Step::Fsync(path),
            _ => Step::Sync,
        }
    }

    fn path(&mut self, directories: &[String]) -> String {
        let directory = &directories[self.random.index(directories.len())];
        let name = match self.random.index(NAMES) {
            long if long < LONG_NAMES => "l".repeat(60 + 40 * long),
            short => format!("n{short}"),
        };
        join(directory, &name)
    }

    fn size(&mut self) -> u64 {
        let limit = match self.random.index(6) {
            0 => 513,
            1 | 2 => 5_000,
            3 | 4 => 200_000,
            _ => 1_200_000,
        };
        self.random.index(limit) as u64
    }

    fn bytes(&mut self) -> Bytes {
        [Bytes::Noise, Bytes::Text, Bytes::Zeros][self.random.index(3)]
    }
}
