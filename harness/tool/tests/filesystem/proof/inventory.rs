//! Everything that a filesystem reports of its content.

use std::collections::BTreeMap;

use hammer2_core::fs::{Error, FileSystem, ROOT_PATH};
use hammer2_core::memory::{Heap, NoMemory};
use hammer2_core::selftest::survey::{Fact, survey};

/// The most file blocks to read: more than any sound image here has.
const MOST_BLOCKS: u64 = 3000;

/// The file at every path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inventory {
    pub(crate) facts: BTreeMap<Vec<u8>, Result<Fact, Error>>,
}

impl Inventory {
    /// Reads everything.
    pub(crate) async fn of(heap: Heap, fs: &FileSystem) -> Result<Self, NoMemory> {
        let mut facts = BTreeMap::new();
        let mut note = |found: &hammer2_core::fs::Found<'_>, fact| {
            facts.insert(found.path.to_vec(), fact);
        };
        survey(heap, fs, MOST_BLOCKS, &mut note).await?;
        Ok(Self { facts })
    }
}

/// The path of the directory that a path is in; none for the root.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some(&path[..slash]),
        None if path == ROOT_PATH => None,
        None => Some(ROOT_PATH),
    }
}
