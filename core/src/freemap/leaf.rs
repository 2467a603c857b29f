//! The leaves of the freemap in a topology: reading them, and changing those that are modified.

use crate::chain::{ChainError, ChainId, Container, Stop, Topology};
use crate::io::BlockCache;
use crate::media::freemap::{self, FreemapRecord, LEAF_RECORDS, records};
use crate::media::geometry::LEAF_SPAN_BYTES;
use crate::media::{BlockKind, Key};

/// The first key of a leaf.
pub(super) fn leaf_key(leaf: u64) -> Key {
    Key(leaf * LEAF_SPAN_BYTES)
}

/// The records of a modified leaf.
pub(super) fn records_mut(topology: &mut Topology, leaf: ChainId) -> &mut [FreemapRecord; LEAF_RECORDS] {
    freemap::records_mut(&mut topology.chain_mut(leaf).content).expect("a leaf's chain holds 256 records")
}

/// The leaf, if it and all blocks above it are modified.
pub(super) fn modified_leaf(topology: &Topology, key: Key) -> Option<ChainId> {
    let mut container = Container::FreemapSet;
    loop {
        let entry = topology.array(container).entries()[topology.position(container, key)?];
        let id = ChainId::of(&entry)?;
        if entry.is(BlockKind::FreemapLeaf) {
            return Some(id);
        }
        container = Container::Chain(id);
    }
}

/// Calls `look` with the records of a leaf, modified or as on media; none if it doesn't exist yet. The leaf isn't modified.
pub(super) fn look<T>(
    topology: &mut Topology,
    blocks: &BlockCache,
    leaf: u64,
    work: impl FnOnce(&[FreemapRecord; LEAF_RECORDS]) -> T,
) -> Result<Option<T>, Stop> {
    let (container, index) = topology.descend(blocks, Container::FreemapSet, leaf_key(leaf))?;
    let Some(index) = index else { return Ok(None) };
    let entry = topology.array(container).entries()[index];
    let corrupt = |corruption| Stop::Failed(ChainError::corrupt(&entry, corruption));
    if let Some(id) = ChainId::of(&entry) {
        return records(&topology.chain(id).content).map(work).map(Some).map_err(corrupt);
    }
    if let Some(written) = blocks.written(&entry) {
        return records(&written).map(work).map(Some).map_err(corrupt);
    }
    let block = blocks.get(&entry).ok_or(Stop::Missing(entry))?;
    records(&block.bytes()).map(work).map(Some).map_err(corrupt)
}
