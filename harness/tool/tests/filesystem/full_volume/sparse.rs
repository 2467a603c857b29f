//! Files with a few cells far apart, and their expected content: a map of written cells, so that a file may have any length.

use std::collections::BTreeMap;

use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

pub(crate) const CELL_BYTES: u64 = 4096;
/// Files are at most 2 to this power bytes long.
const OFFSET_BITS: u64 = 40;

/// The content of a cell, by the number that fills it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cell {
    Full(u64),
    /// A write to it was refused: it holds either the one or the other.
    Either(u64, u64),
}

#[derive(Default)]
struct Sparse {
    size: u64,
    /// Cells that aren't holes, by their number.
    cells: BTreeMap<u64, Cell>,
}

/// A user's sparse files, in a directory.
pub(crate) struct SparseFiles {
    pub(crate) directory: String,
    files: BTreeMap<u64, Sparse>,
    next_value: u64,
}

/// The result of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    Done,
    Refused,
}

impl SparseFiles {
    pub(crate) fn new(directory: String) -> Self {
        Self { directory, files: BTreeMap::new(), next_value: 0 }
    }

    async fn find(&self, fs: &FileSystem, file: u64) -> Inum {
        let path = format!("{}/{file}", self.directory);
        fs.resolve(path.as_bytes()).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Makes the directory; refused where there is no room even for that.
    pub(crate) async fn begin(&self, fs: &FileSystem) -> Became {
        let new = NewFile::new(FileKind::Directory, 0o755);
        became(fs.create(Inum::PFS_ROOT, self.directory.as_bytes(), &new).await.map(drop))
    }

    /// Does something at random.
    pub(crate) async fn change(&mut self, fs: &FileSystem, random: &mut Random) -> Became {
        let file = random.below(40);
        if !self.files.contains_key(&file) {
            return self.create(fs, file).await;
        }
        match random.below(100) {
            0..80 => self.write(fs, file, random).await,
            80..92 => self.truncate(fs, file, random).await,
            _ => self.remove(fs, file).await,
        }
    }

    async fn create(&mut self, fs: &FileSystem, file: u64) -> Became {
        let directory = fs.resolve(self.directory.as_bytes()).await.expect("the directory");
        let new = NewFile::new(FileKind::Regular, 0o644);
        let made = became(fs.create(directory, file.to_string().as_bytes(), &new).await.map(drop));
        if made == Became::Done {
            self.files.insert(file, Sparse::default());
        }
        made
    }

    async fn write(&mut self, fs: &FileSystem, file: u64, random: &mut Random) -> Became {
        let inum = self.find(fs, file).await;
        let bits = 12 + random.below(OFFSET_BITS - 12);
        let first = random.below(1 << bits) / CELL_BYTES;
        let count = random.pick(&[1, 1, 4, 16, 40]);
        self.next_value += 1;
        let value = self.next_value;
        let bytes: Vec<u8> = (0..count).flat_map(|_| cell_bytes(value)).collect();
        let written = became(fs.write(inum, first * CELL_BYTES, &bytes).await);
        let sparse = self.files.get_mut(&file).expect("a file of ours");
        for cell in first..first + count {
            let before = match sparse.cells.get(&cell) {
                None => 0,
                Some(Cell::Full(value)) => *value,
                Some(Cell::Either(..)) if written == Became::Refused => {
                    // It is read now, so that there are never more than two possibilities.
                    let mut bytes = [0; CELL_BYTES as usize];
                    fs.read(inum, cell * CELL_BYTES, &mut bytes).await.expect("a read");
                    sparse.cells.insert(cell, Cell::Full(value_of(&bytes)));
                    continue;
                }
                Some(Cell::Either(..)) => 0,
            };
            let now = if written == Became::Done { Cell::Full(value) } else { Cell::Either(before, value) };
            sparse.cells.insert(cell, now);
        }
        sparse.size = match written {
            Became::Done => sparse.size.max((first + count) * CELL_BYTES),
            Became::Refused => {
                let size = fs.attributes(inum).await.expect("attributes").size;
                let most = sparse.size.max((first + count) * CELL_BYTES);
                assert!((sparse.size..=most).contains(&size), "{}/{file}: {size} bytes", self.directory);
                size
            }
        };
        written
    }

    async fn truncate(&mut self, fs: &FileSystem, file: u64, random: &mut Random) -> Became {
        let inum = self.find(fs, file).await;
        let bits = 12 + random.below(OFFSET_BITS - 12);
        let size = random.below(1 << bits) / CELL_BYTES * CELL_BYTES;
        let done = became(fs.truncate(inum, size).await);
        let sparse = self.files.get_mut(&file).expect("a file of ours");
        if done == Became::Done {
            sparse.size = size;
            sparse.cells.retain(|cell, _| cell * CELL_BYTES < size);
        }
        done
    }

    async fn remove(&mut self, fs: &FileSystem, file: u64) -> Became {
        let directory = fs.resolve(self.directory.as_bytes()).await.expect("the directory");
        let removed = became(fs.unlink(directory, file.to_string().as_bytes()).await);
        if removed == Became::Done {
            self.files.remove(&file);
        }
        removed
    }

    /// Removes everything.
    pub(crate) async fn remove_all(&mut self, fs: &FileSystem) {
        for file in self.files.keys().copied().collect::<Vec<u64>>() {
            assert!(self.remove(fs, file).await == Became::Done, "no room to remove");
        }
        fs.remove_directory(Inum::PFS_ROOT, self.directory.as_bytes()).await.expect("an empty directory");
    }

    /// Compares all files.
    pub(crate) async fn check(&self, fs: &FileSystem) {
        for (file, sparse) in &self.files {
            let name = format!("{}/{file}", self.directory);
            let inum = self.find(fs, *file).await;
            assert_eq!(fs.attributes(inum).await.expect("attributes").size, sparse.size, "{name}");
            for (cell, wanted) in &sparse.cells {
                let mut bytes = [0; CELL_BYTES as usize];
                let count = fs.read(inum, cell * CELL_BYTES, &mut bytes).await;
                let count = count.unwrap_or_else(|error| panic!("{name}, cell {cell}: {error}"));
                bytes[count..].fill(0);
                let found = value_of(&bytes);
                let is_right = match wanted {
                    Cell::Full(value) => found == *value && bytes[..] == cell_bytes(found)[..],
                    Cell::Either(one, other) => found == *one || found == *other,
                };
                assert!(is_right, "{name}, cell {cell}: {found:#x} instead of {wanted:?}");
            }
        }
    }
}

fn became(done: Result<(), Error>) -> Became {
    match done {
        Ok(()) => Became::Done,
        Err(Error::NoSpace) => Became::Refused,
        Err(error) => panic!("{error}"),
    }
}

/// A cell that can't be compressed.
fn cell_bytes(value: u64) -> Vec<u8> {
    let mut bytes = vec![0; CELL_BYTES as usize];
    if value > 0 {
        Random::new(value).fill(&mut bytes[8..]);
        bytes[..8].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn value_of(cell: &[u8]) -> u64 {
    u64::from_le_bytes(cell[..8].try_into().expect("eight bytes"))
}
