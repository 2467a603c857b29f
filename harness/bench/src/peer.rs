//! RedoxFS, on a disk in memory too.

use std::error::Error;
use std::fmt::Display;
use std::hint::black_box;

use redoxfs::{DiskMemory, FileSystem, Node, TreePtr};

const DISK_BYTES: u64 = 512 << 20;
const TIME: (u64, u32) = (1_700_000_000, 0);

/// A RedoxFS with one directory in its root.
pub struct RedoxDirectory {
    fs: FileSystem<DiskMemory>,
    directory: TreePtr<Node>,
}

impl RedoxDirectory {
    /// A directory of empty files with these names.
    pub fn new(names: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut fs = FileSystem::create(DiskMemory::new(DISK_BYTES), None, TIME.0, TIME.1).map_err(failed)?;
        let made = fs.tx(|tx| tx.create_node(TreePtr::root(), "directory", Node::MODE_DIR | 0o755, TIME.0, TIME.1));
        let directory = made.map_err(failed)?.ptr();
        for name in names {
            fs.tx(|tx| tx.create_node(directory, name, Node::MODE_FILE | 0o644, TIME.0, TIME.1)).map_err(failed)?;
        }
        Ok(Self { fs, directory })
    }

    /// Finds every name, each with its node, which holds the attributes.
    pub fn look_up_all(&mut self, names: &[String]) -> Result<(), Box<dyn Error>> {
        for name in names {
            black_box(self.fs.tx(|tx| tx.find_node(self.directory, name)).map_err(failed)?);
        }
        Ok(())
    }
}

fn failed(error: impl Display) -> Box<dyn Error> {
    format!("redoxfs: {error}").into()
}
