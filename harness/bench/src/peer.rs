//! RedoxFS, also on a disk in memory.

use std::error::Error;
use std::fmt::Display;
use std::hint::black_box;

use redoxfs::{DiskMemory, FileSystem, Node, TreePtr};

/// Its name and version, for reports.
pub const PEER: &str = "redoxfs 0.9.1";
const TIME: (u64, u32) = (1_700_000_000, 0);

/// A RedoxFS with one directory in its root. Each operation is a transaction of its own: many in one are no faster.
pub struct Redox {
    fs: FileSystem<DiskMemory>,
    directory: TreePtr<Node>,
}

/// A file of a [`Redox`].
pub type RedoxFile = TreePtr<Node>;

impl Redox {
    /// An empty directory, on a disk of this size.
    pub fn new(disk_bytes: u64) -> Result<Self, Box<dyn Error>> {
        let mut fs = FileSystem::create(DiskMemory::new(disk_bytes), None, TIME.0, TIME.1).map_err(failed)?;
        let made = fs.tx(|tx| tx.create_node(TreePtr::root(), "directory", Node::MODE_DIR | 0o755, TIME.0, TIME.1));
        let directory = made.map_err(failed)?.ptr();
        Ok(Self { fs, directory })
    }

    /// Makes a file with this content.
    pub fn create(&mut self, name: &str, content: &[u8]) -> Result<RedoxFile, Box<dyn Error>> {
        let directory = self.directory;
        let made = self.fs.tx(|tx| {
            let file = tx.create_node(directory, name, Node::MODE_FILE | 0o644, TIME.0, TIME.1)?.ptr();
            if !content.is_empty() {
                tx.write_node(file, 0, content, TIME.0, TIME.1)?;
            }
            Ok(file)
        });
        made.map_err(failed)
    }

    /// Makes empty files with these names.
    pub fn fill(&mut self, names: &[String]) -> Result<(), Box<dyn Error>> {
        names.iter().try_for_each(|name| self.create(name, &[]).map(drop))
    }

    /// Finds every name, each with its node, which holds the attributes.
    pub fn look_up_all(&mut self, names: &[String]) -> Result<(), Box<dyn Error>> {
        for name in names {
            black_box(self.fs.tx(|tx| tx.find_node(self.directory, name)).map_err(failed)?);
        }
        Ok(())
    }

    /// Removes a file.
    pub fn unlink(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        let directory = self.directory;
        self.fs.tx(|tx| tx.remove_node(directory, name, Node::MODE_FILE)).map(drop).map_err(failed)
    }

    /// Writes to a file.
    pub fn write(&mut self, file: RedoxFile, offset: u64, data: &[u8]) -> Result<(), Box<dyn Error>> {
        self.fs.tx(|tx| tx.write_node(file, offset, data, TIME.0, TIME.1)).map(drop).map_err(failed)
    }

    /// Reads from a file.
    pub fn read(&mut self, file: RedoxFile, offset: u64, out: &mut [u8]) -> Result<(), Box<dyn Error>> {
        self.fs.tx(|tx| tx.read_node(file, offset, out, TIME.0, TIME.1)).map(drop).map_err(failed)
    }
}

fn failed(error: impl Display) -> Box<dyn Error> {
    format!("redoxfs: {error}").into()
}
