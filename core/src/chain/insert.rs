//! Inserting entries, and making indirect blocks where an array is full (format 4.4; for the freemap, format 6.1).

use super::{Chain, ChainError, ChainId, Container, Stop, Topology};
use crate::io::{BlockCache, ReadError};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, FileKind, Key, KeyBits, KeyRange, Methods, ModifyTid, freemap,
};
use crate::memory::{NoMemory, Vec};

const SMALL_INDIRECT_BYTES: usize = 4096;
const INDIRECT_BYTES: usize = 16384;

/// What happened to an entry to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is in.
    New,
    /// The key is taken.
    Exists,
}

/// How the span of a new indirect block is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Data,
    Directory,
    Freemap,
}

impl Policy {
    fn of(bref: &Blockref) -> Self {
        match bref.kind() {
            Ok(BlockKind::Data) => Self::Data,
            Ok(BlockKind::FreemapLeaf | BlockKind::FreemapNode) => Self::Freemap,
            _ => Self::Directory,
        }
    }
}

impl Topology {
    /// Inserts an entry below `root`, with its block's content when that is in memory only. Nothing is changed unless it
    /// succeeds, but for indirect blocks that were made for it.
    pub fn insert(
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
            if self.array(container).entries().len() < self.capacity(container) {
                self.arena.reserve().map_err(|error| no_memory(bref, error))?;
                let mut entry = *bref;
                if let Some(content) = content.take() {
                    let id = self.arena.insert(Chain::new(*bref, container, content));
                    id.mark(&mut entry);
                }
                self.insert_entry(container, entry);
                self.touch(container, tid);
                return Ok(Inserted::New);
            }
            self.split(container, bref, tid)?;
        }
    }

    /// Makes room in a full array: moves some of its entries into a new indirect block.
    fn split(&mut self, container: Container, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let policy = Policy::of(new);
        let bytes = self.indirect_bytes(container, policy);
        let capacity = bytes / BLOCKREF_BYTES;
        let entries = self.array(container).entries();
        let (key, keybits) = match policy {
            Policy::Data => data_span(entries, capacity),
            Policy::Directory => directory_span(entries, new.key(), capacity, self.array(container).span()),
            Policy::Freemap => freemap_span(entries),
        };
        let kind = if policy == Policy::Freemap { BlockKind::FreemapNode } else { BlockKind::Indirect };
        let mut bref = Blockref::new(kind, key, keybits, self.indirect_methods(container, policy));
        bref.set_modify_tid(self.manner.copied_stamp.unwrap_or(tid));
        let span = bref.span().unwrap_or(KeyRange::only(key));
        let content = self.blank(bytes).map_err(|error| no_memory(new, error))?;
        self.arena.reserve().map_err(|error| no_memory(new, error))?;
        let id = self.arena.insert(Chain::new(bref, container, content));
        let entries = self.array(container).entries();
        let start = entries.partition_point(|entry| entry.key() < span.first);
        let end = entries.partition_point(|entry| entry.key() <= span.last);
        for index in start..end {
            let entry = self.array(container).entries()[index];
            if let Some(child) = ChainId::of(&entry) {
                self.chain_mut(child).container = Container::Chain(id);
            }
            self.chain_mut(id).insert_entry(entry);
        }
        self.remove_entries(container, start..end);
        id.mark(&mut bref);
        self.insert_entry(container, bref);
        Ok(())
    }

    fn indirect_bytes(&self, container: Container, policy: Policy) -> usize {
        let least = match (policy, container) {
            (Policy::Freemap, _) => return freemap::FREEMAP_BLOCK_BYTES,
            (_, Container::Chain(id)) if self.chain(id).bref.kind() == Ok(BlockKind::Inode) => {
                let directory = self.inode(id).meta.kind() == Ok(FileKind::Directory);
                if directory { SMALL_INDIRECT_BYTES } else { INDIRECT_BYTES }
            }
            _ => INDIRECT_BYTES,
        };
        least.max(self.capacity(container) * BLOCKREF_BYTES)
    }

    fn indirect_methods(&self, container: Container, policy: Policy) -> Methods {
        match container {
            _ if policy == Policy::Freemap => Methods::new(CheckMethod::Freemap, Compression::None),
            Container::Chain(id) => Methods(self.chain(id).bref.methods.0 & 0xf0),
            _ => Methods::new(CheckMethod::XxHash64, Compression::None),
        }
    }
}

fn no_memory(bref: &Blockref, _: NoMemory) -> Stop {
    Stop::Failed(ChainError::new(bref, ReadError::NoMemory))
}

/// The lowest region of the smallest entries: files are packed from their start.
fn data_span(entries: &[Blockref], capacity: usize) -> (Key, KeyBits) {
    let smallest = entries.iter().map(Blockref::keybits).min().unwrap_or_default();
    let first = entries.iter().find(|entry| entry.keybits() == smallest).map_or(Key(0), Blockref::key);
    aligned(first, (smallest.0 + capacity.trailing_zeros() as u8).min(63))
}

/// The fuller half of the range the entries take; never all of what the container spans.
fn directory_span(entries: &[Blockref], new: Key, capacity: usize, container: KeyRange) -> (Key, KeyBits) {
    let (mut bits, mut low, mut high) = (0u8, 0usize, 0usize);
    // When the range grows, all counted so far fall into one of its halves.
    let fold = |bits: u8, low: &mut usize, high: &mut usize| {
        if new.0 >> (bits - 1) & 1 == 1 {
            *high += core::mem::take(low);
        } else {
            *low += core::mem::take(high);
        }
    };
    for entry in entries {
        let mut wider = bits.max(entry.keybits().0);
        while wider < 64 && new.0 >> wider != entry.key().0 >> wider {
            wider += 1;
        }
        if wider != bits {
            bits = wider;
            fold(bits, &mut low, &mut high);
        }
        if bits > 0 && entry.key().0 >> (bits - 1) & 1 == 1 {
            high += 1;
        } else {
            low += 1;
        }
    }
    let mut half = bits.saturating_sub(1);
    let container_half = (container.last.0 - container.first.0) / 2;
    while 1usize.checked_shl(half.into()).is_some_and(|width| width < capacity) && 1 << half < container_half {
        half += 1;
        fold(half + 1, &mut low, &mut high);
    }
    let chosen = if high > low { new.0 | 1 << half } else { new.0 & !(1 << half) };
    aligned(Key(chosen), half)
}

/// The next level above the lowest of the smallest entries.
fn freemap_span(entries: &[Blockref]) -> (Key, KeyBits) {
    let smallest = entries.iter().map(Blockref::keybits).min().unwrap_or(freemap::LEAF_KEYBITS);
    let first = entries.iter().find(|entry| entry.keybits() == smallest).map_or(Key(0), Blockref::key);
    aligned(first, freemap::above(smallest).0)
}

fn aligned(key: Key, bits: u8) -> (Key, KeyBits) {
    (Key(key.0 >> bits << bits), KeyBits(bits))
}
