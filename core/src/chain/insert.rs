//! Inserting entries, and making indirect blocks where an array is full (format 4.4; for the freemap, format 6.1). Trees of names
//! and of inodes [grow sideways](super::split).

use core::ops::Range;

use super::{Chain, ChainError, ChainId, Container, Stop, Topology};
use crate::io::{BlockCache, ReadError};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Key, KeyBits, KeyRange, Methods, ModifyTid, Radix, freemap,
};
use crate::memory::{NoMemory, Vec};

/// The smallest indirect block.
pub(super) const SMALL_INDIRECT_BYTES: usize = Radix::MIN_INDIRECT.bytes();
/// The usual one.
pub(super) const INDIRECT_BYTES: usize = Radix::INDIRECT.bytes();

/// What happened to an entry to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It is in; if it has a block, that is this modified chain.
    New(Option<ChainId>),
    /// The key is taken.
    Exists,
}

impl Topology {
    /// Inserts an entry below `root`, with its block's content if that is in memory only. Unless it succeeds, it changes nothing
    /// except that it may have made indirect blocks for the entry.
    pub(crate) fn insert(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        bref: &Blockref,
        content: &mut Option<Vec<u8>>,
        tid: ModifyTid,
    ) -> Result<Inserted, Stop> {
        loop {
            let (container, taken) = self.descend(blocks, root, bref.key())?;
            if taken.is_some() {
                return Ok(Inserted::Exists);
            }
            self.check_room()?;
            if self.has_room(container) {
                self.arena.reserve().map_err(|error| no_memory(bref, error))?;
                let mut entry = *bref;
                let chain = content.take().map(|content| self.arena.insert(Chain::new(*bref, container, content)));
                if let Some(id) = chain {
                    id.mark(&mut entry);
                }
                self.insert_entry(container, entry);
                self.touch(container, tid);
                return Ok(Inserted::New(chain));
            }
            match bref.kind() {
                Ok(BlockKind::Data) => self.split_file(container, bref, tid)?,
                Ok(BlockKind::FreemapLeaf | BlockKind::FreemapNode) => self.split_freemap(container, bref, tid)?,
                _ => self.make_room(container, bref, tid)?,
            }
        }
    }

    /// Makes room in a full array of a file's blocks by giving an indirect block to the lowest region of the smallest entries.
    /// Files are packed from their start.
    fn split_file(&mut self, container: Container, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let bytes = INDIRECT_BYTES.max(self.capacity(container) * BLOCKREF_BYTES);
        let (smallest, first) = smallest_of(self.array(container).entries());
        let keybits = KeyBits((smallest.0 + (bytes / BLOCKREF_BYTES).trailing_zeros() as u8).min(63));
        let bref = Blockref::new(BlockKind::Indirect, first, keybits, self.indirect_methods(container));
        self.make_level(container, bref, bytes, new, tid)
    }

    /// Makes room in a full array of the freemap by making a node of the next level above the lowest of the smallest entries.
    fn split_freemap(&mut self, container: Container, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let (smallest, first) = smallest_of(self.array(container).entries());
        let methods = Methods::new(CheckMethod::Freemap, Compression::None);
        let bref = Blockref::new(BlockKind::FreemapNode, first, freemap::above(smallest), methods);
        self.make_level(container, bref, freemap::FREEMAP_BLOCK_BYTES, new, tid)
    }

    /// Moves the entries of an array that are in the span around a key into a new block there.
    fn make_level(
        &mut self,
        container: Container,
        mut bref: Blockref,
        bytes: usize,
        new: &Blockref,
        tid: ModifyTid,
    ) -> Result<(), Stop> {
        let span = KeyRange::around(bref.key(), bref.keybits()).unwrap_or(KeyRange::only(bref.key()));
        bref.set_span(span.first, bref.keybits());
        bref.set_modify_tid(self.manner.copied_stamp.unwrap_or(tid));
        let entries = self.array(container).entries();
        let start = entries.partition_point(|entry| entry.key() < span.first);
        let end = entries.partition_point(|entry| entry.key() <= span.last);
        self.make_indirect(container, container, start..end, bref, bytes, new)
    }

    /// Moves entries of an array into a new block of `bytes` bytes, which is put into `container`. The container must have room
    /// for it, or the entries come from there. Without memory for it, nothing is done.
    pub(super) fn make_indirect(
        &mut self,
        from: Container,
        container: Container,
        entries: Range<usize>,
        mut bref: Blockref,
        bytes: usize,
        new: &Blockref,
    ) -> Result<(), Stop> {
        let content = self.blank(bytes).map_err(|error| no_memory(new, error))?;
        self.arena.reserve().map_err(|error| no_memory(new, error))?;
        let mut chain = Chain::new(bref, container, content);
        chain.insert_entries(&self.array(from).entries()[entries.clone()]);
        let id = self.arena.insert(chain);
        for index in 0..entries.len() {
            if let Some(child) = ChainId::of(&self.chain(id).entries()[index]) {
                self.chain_mut(child).container = Container::Chain(id);
            }
        }
        self.remove_entries(from, entries);
        id.mark(&mut bref);
        self.insert_entry(container, bref);
        Ok(())
    }

    /// How the blocks of a tree are checked, according to its root.
    pub(super) fn indirect_methods(&self, container: Container) -> Methods {
        match container {
            Container::Chain(id) => Methods(self.chain(id).bref.methods.0 & 0xf0),
            _ => Methods::new(CheckMethod::XxHash64, Compression::None),
        }
    }
}

/// How wide the smallest entries are, and where the first of them is.
fn smallest_of(entries: &[Blockref]) -> (KeyBits, Key) {
    let smallest = entries.iter().map(Blockref::keybits).min().unwrap_or_default();
    (smallest, entries.iter().find(|entry| entry.keybits() == smallest).map_or(Key(0), Blockref::key))
}

pub(super) fn no_memory(bref: &Blockref, _: NoMemory) -> Stop {
    Stop::Failed(ChainError::new(bref, ReadError::NoMemory))
}
