//! Arranging more entries than fit into an array in indirect blocks (format 4.4).
//!
//! The reference inserts one entry after the other. Here all are known in advance: the fullest part of the key space is halved
//! until each part fits into an indirect block or the array is full, and the same is done in the indirect blocks.

use core::ops::Range;

use zerocopy::IntoBytes;

use super::ImageError;
use super::store::{Store, set_sums};
use crate::io::Buffer;
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::{BlockKind, Blockref, Compression, Key, KeyBits, Methods, Radix};
use crate::memory::{self, Vec};

/// Sizes of indirect blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndirectSizes {
    /// The size of those to which an inode points.
    pub outer: Radix,
    /// The size of those below them.
    pub inner: Radix,
}

impl IndirectSizes {
    /// The sizes of the reference's directories.
    pub const DIRECTORY: Self = Self { outer: Radix::MIN_INDIRECT, inner: Radix::INDIRECT };
    /// The sizes of the reference's files.
    pub const FILE: Self = Self { outer: Radix::INDIRECT, inner: Radix::INDIRECT };
    /// The smallest sizes, for deep trees of few entries.
    pub const DEEP: Self = Self { outer: Radix::MIN_INDIRECT, inner: Radix::MIN_INDIRECT };
}

/// A part of the key space with the entries in it.
struct Part {
    entries: Range<usize>,
    key: Key,
    keybits: u8,
}

impl Part {
    /// The narrowest span around the entries.
    fn around(all: &[Blockref], entries: Range<usize>) -> Self {
        let (first, last) = (all[entries.start].key().0, all[entries.end - 1].key().0);
        let widest = all[entries.clone()].iter().map(|entry| entry.keybits().0).max().unwrap_or(0);
        let keybits = widest.max((u64::BITS - (first ^ last).leading_zeros()) as u8);
        let below = 1u64.checked_shl(keybits.into()).map_or(u64::MAX, |span| span - 1);
        Self { entries, key: Key(first & !below), keybits }
    }

    /// The two halves; neither is empty, since the span is the narrowest.
    fn halves(&self, all: &[Blockref]) -> (Self, Self) {
        let middle = self.key.0 | 1 << (self.keybits - 1);
        let split = self.entries.start + all[self.entries.clone()].partition_point(|entry| entry.key().0 < middle);
        (Self::around(all, self.entries.start..split), Self::around(all, split..self.entries.end))
    }
}

/// Packs `entries`, which must be in order, into at most `capacity` entries: they themselves, or indirect blocks that lead to
/// them, protected by `methods`.
pub(super) fn pack(
    store: &mut Store,
    entries: &[Blockref],
    capacity: usize,
    methods: Methods,
    sizes: IndirectSizes,
) -> Result<Vec<Blockref>, ImageError> {
    let mut packed = Vec::new_in(store.heap);
    if entries.len() <= capacity {
        for entry in entries {
            memory::push(&mut packed, *entry)?;
        }
        return Ok(packed);
    }
    let below = sizes.outer.bytes() / BLOCKREF_BYTES;
    let mut parts = Vec::new_in(store.heap);
    memory::push(&mut parts, Part::around(entries, 0..entries.len()))?;
    while let Some(index) = part_to_halve(&parts, capacity, below) {
        let (low, high) = parts[index].halves(entries);
        parts[index] = high;
        parts.try_reserve(1).map_err(|_| memory::NoMemory)?;
        parts.insert(index, low);
    }
    let inner = IndirectSizes { outer: sizes.inner, inner: sizes.inner };
    for part in parts {
        let below_part = &entries[part.entries.clone()];
        let entry = match below_part {
            [single] => *single,
            _ => {
                let children = pack(store, below_part, below, methods, inner)?;
                indirect(store, &part, &children, methods, sizes.outer)?
            }
        };
        memory::push(&mut packed, entry)?;
    }
    Ok(packed)
}

/// The fullest part, if there is room for one more and the part doesn't fit into an indirect block. A part that is the whole key
/// space is always halved, as no span is that wide.
fn part_to_halve(parts: &[Part], capacity: usize, below: usize) -> Option<usize> {
    let (index, fullest) = parts.iter().enumerate().max_by_key(|(_, part)| part.entries.len())?;
    let too_wide = u32::from(fullest.keybits) >= u64::BITS;
    (too_wide || (parts.len() < capacity && fullest.entries.len() > below)).then_some(index)
}

fn indirect(
    store: &mut Store,
    part: &Part,
    children: &[Blockref],
    methods: Methods,
    radix: Radix,
) -> Result<Blockref, ImageError> {
    let mut block = Buffer::new(store.heap, radix.bytes())?;
    block.bytes_mut()[..size_of_val(children)].copy_from_slice(children.as_bytes());
    let methods = Methods::new(methods.check()?, Compression::None);
    let mut entry = Blockref::new(BlockKind::Indirect, part.key, KeyBits(part.keybits), methods);
    set_sums(&mut entry, children)?;
    store.put(entry, block.bytes())
}
