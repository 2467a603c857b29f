//! Random acts for a client: mostly possible ones, on a tree that neither dies out nor grows without end.

use hammer2_core::random::Random;
use hammer2_model::{Bytes, Model, Step};

/// An act of a client.
pub(crate) enum Act {
    /// A change, or a sync.
    Change(Step),
    /// Read some of a file and compare it; if `cold`, past the host's cache.
    Read { path: String, offset: u64, len: usize, cold: bool },
    /// Compare a directory's names.
    List(String),
    /// Compare kind, size and links of a file.
    Stat(String),
}

/// The most files and directories of a client.
const MOST_PATHS: usize = 120;
const MOST_DIRECTORIES: usize = 16;
const MOST_FILE_BYTES: u64 = 1 << 20;
const NAMES: usize = 60;

/// Throws acts for one client, whose tree is below the directory `home`.
pub(crate) struct Dice {
    random: Random,
    home: String,
}

impl Dice {
    pub(crate) fn new(seed: u64, home: &str) -> Self {
        Self { random: Random::new(seed), home: home.to_owned() }
    }

    /// A pause before the next act, in microseconds.
    pub(crate) fn pause_us(&mut self, most: u64) -> u64 {
        self.random.below(most.max(1))
    }

    pub(crate) fn act(&mut self, model: &Model) -> Act {
        let paths: Vec<String> = model.paths().into_iter().filter(|path| *path != self.home).collect();
        let directories: Vec<String> = model.directories().into_iter().filter(|path| !path.is_empty()).collect();
        let files: Vec<&String> = paths.iter().filter(|path| model.content(path).is_some()).collect();
        let new = self.new_path(&directories);
        if files.len() < 8 {
            return Act::Change(Step::Create(new));
        }
        let file = files[self.random.index(files.len())].clone();
        let any = paths[self.random.index(paths.len())].clone();
        let size = model.content(&file).map_or(0, Vec::len) as u64;
        if paths.len() > MOST_PATHS {
            return Act::Change(Step::Unlink(file));
        }
        Act::Change(match self.random.index(100) {
            0..26 => Step::Write(file, self.offset(size), self.len(), Bytes::Seeded(self.random.next_u64())),
            26..34 => return self.read(file, size),
            34..42 => Step::Create(new),
            42..44 if directories.len() < MOST_DIRECTORIES => Step::Mkdir(new),
            42..48 => Step::Rename(any, new),
            48..50 => Step::Rename(file, files[self.random.index(files.len())].clone()),
            50..52 => Step::Exchange(file, any),
            52..54 => Step::Link(file, new),
            54 => Step::Symlink(new, format!("to/{}", "x".repeat(self.random.index(300)))),
            55..60 => Step::Unlink(any),
            60 => Step::Rmdir(directories[self.random.index(directories.len())].clone()),
            61..64 => Step::Truncate(file, self.offset(size)),
            64 => Step::Punch(file, self.offset(size), self.len() as u64 + 1),
            65..78 => Step::Fsync(file),
            78..83 => return Act::List(directories[self.random.index(directories.len())].clone()),
            83..88 => return Act::Stat(file),
            _ => return self.read(file, size),
        })
    }

    fn read(&mut self, path: String, size: u64) -> Act {
        Act::Read { offset: self.random.below(size + 1), len: self.len(), cold: self.random.percent(70), path }
    }

    fn new_path(&mut self, directories: &[String]) -> String {
        let directory = match directories {
            [] => &self.home,
            _ => &directories[self.random.index(directories.len())],
        };
        format!("{directory}/n{}", self.random.index(NAMES))
    }

    /// An offset in a file of this size, at its end, or a little behind.
    fn offset(&mut self, size: u64) -> u64 {
        let offset = match self.random.index(8) {
            0..2 => size,
            2 => 0,
            3 => size + self.random.below(100_000),
            _ => self.random.below(size + 1),
        };
        offset.min(MOST_FILE_BYTES)
    }

    fn len(&mut self) -> usize {
        let limit = [100, 4_000, 4_000, 40_000, 40_000, 150_000, 600_000][self.random.index(7)];
        1 + self.random.index(limit)
    }
}
