//! Making room in full arrays of directory entries and inodes: their trees grow sideways, as B-trees do.
//!
//! An indirect block that is full gives the upper half of its span to a new block beside it. Only where there is no place beside
//! it, in the four entries of an inode or of the volume header, does the tree get deeper, and then everywhere. Spans are aligned,
//! so keys that come in ascending order, as the numbers of inodes do, leave full blocks behind. New leaves then lie directly
//! among the indirect blocks until there are enough of them for a block of their own, which gets as many levels below it as its
//! neighbours have.
//!
//! Format 4.4 has another rule, and lets a writer have its own: trees written by that rule are read, changed and split by this
//! one as they are.

use core::ops::Range;

use super::insert::{INDIRECT_BYTES, SMALL_INDIRECT_BYTES, no_memory};
use super::{Chain, ChainId, Container, Stop, Topology};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::{BlockKind, Blockref, Key, KeyBits, KeyRange, ModifyTid, Radix};

/// Fewer leaves than these between the indirect blocks of an array aren't worth a block of their own.
const LEAST_RUN: usize = 8;
/// Nor are fewer than these among four entries.
const LEAST_RUN_IN_SET: usize = 2;

/// Entries of an array that move into a new indirect block in it, and the span of that block.
struct Run {
    entries: Range<usize>,
    key: Key,
    keybits: KeyBits,
}

impl Topology {
    /// Makes room for an entry in a full array, or in a full one above it. This is one step, after which the caller looks for the
    /// entry's place again.
    pub(super) fn make_room(&mut self, mut full: Container, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        loop {
            let indirect = match full {
                Container::Chain(id) if self.chain(id).bref.is(BlockKind::Indirect) => Some(id),
                _ => None,
            };
            let Some(id) = indirect else { return self.make_room_in_set(full, new, tid) };
            let chain = self.chain(id);
            let above = chain.container;
            if chain.content.len() < INDIRECT_BYTES {
                return self.grow(id, new);
            }
            if let Some(run) = longest_run(chain.entries(), 0, chain.span(), LEAST_RUN) {
                return self.move_entries(full, full, run, new, tid);
            }
            if self.is_lower_than_neighbours(id) {
                return self.deepen(id, new, tid);
            }
            if self.has_room(above) {
                return self.halve(id, new, tid);
            }
            full = above;
        }
    }

    /// Makes room in the four entries of an inode or of the volume header, where nothing can be put beside a block: a new block
    /// takes everything in the fuller half of all keys, those of inodes or those of names. Leaves that were put beside indirect
    /// blocks get one of their own.
    fn make_room_in_set(&mut self, set: Container, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let entries = self.array(set).entries();
        let names = entries.partition_point(|entry| !entry.key().is_visible());
        let (half, span) = match names > entries.len() / 2 {
            true => (0..names, KeyRange::INODE_INDEX),
            false => (names..entries.len(), KeyRange::VISIBLE),
        };
        let run = longest_run(&entries[half.clone()], half.start, span, LEAST_RUN_IN_SET);
        let run = run.unwrap_or(Run { entries: half, key: span.first, keybits: KeyBits(63) });
        self.move_entries(set, set, run, new, tid)
    }

    /// True for a block of leaves when the next indirect block on one side has more levels below it, as far as that is known
    /// without reading.
    fn is_lower_than_neighbours(&self, id: ChainId) -> bool {
        let chain = self.chain(id);
        let has_levels = |entry: &Blockref| match ChainId::of(entry) {
            Some(other) => self.chain(other).entries().iter().any(is_indirect),
            None => {
                let bytes = entry.data_off().radix().ok().flatten().map_or(0, Radix::bytes);
                usize::from(entry.leaf_count()) > bytes / BLOCKREF_BYTES
            }
        };
        let Some(index) = self.position(chain.container, chain.bref.key()) else { return false };
        let (before, after) = self.array(chain.container).entries().split_at(index);
        let before = before.iter().rev().find(|entry| is_indirect(entry));
        let after = after.iter().skip(1).find(|entry| is_indirect(entry));
        !chain.entries().iter().any(is_indirect) && before.into_iter().chain(after).any(has_levels)
    }

    /// Gives a small indirect block the usual size.
    fn grow(&mut self, id: ChainId, new: &Blockref) -> Result<(), Stop> {
        let content = self.blank(INDIRECT_BYTES).map_err(|error| no_memory(new, error))?;
        self.arena.enlarge(id, content);
        Ok(())
    }

    /// Moves the leaves of an indirect block into new blocks in it, one for each half of its span that has any.
    fn deepen(&mut self, id: ChainId, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let chain = self.chain(id);
        let (lower, upper, keybits) = halves(&chain.bref);
        let (low, count) = (chain.entries().partition_point(|entry| entry.key() < upper), chain.entries().len());
        let full = Container::Chain(id);
        // The upper half goes first, so that the entries still to be moved stay where they were.
        for (key, entries) in [(upper, low..count), (lower, 0..low)] {
            if !entries.is_empty() {
                self.move_entries(full, full, Run { entries, key, keybits }, new, tid)?;
            }
        }
        Ok(())
    }

    /// Reduces a full indirect block to one half of its span. The entries of the other half go to the block's container, which
    /// has room for one entry: in a new block beside it, or a single entry as it is. If there are none, later entries of that
    /// half go to the container.
    fn halve(&mut self, id: ChainId, new: &Blockref, tid: ModifyTid) -> Result<(), Stop> {
        let chain = self.chain(id);
        let above = chain.container;
        let (lower, upper, keybits) = halves(&chain.bref);
        let (low, count) = (chain.entries().partition_point(|entry| entry.key() < upper), chain.entries().len());
        // The block keeps its lower half unless that holds hardly anything.
        let (kept, entries, key) = if low > 1 { (lower, low..count, upper) } else { (upper, 0..low, lower) };
        match entries.len() {
            0 => self.narrow(id, kept, keybits),
            1 => {
                self.narrow(id, kept, keybits);
                self.lift(id, entries.start, above);
            }
            _ => {
                self.move_entries(Container::Chain(id), above, Run { entries, key, keybits }, new, tid)?;
                self.narrow(id, kept, keybits);
            }
        }
        Ok(())
    }

    /// Reduces the span of a modified indirect block. All its entries must lie in the new span.
    fn narrow(&mut self, id: ChainId, key: Key, keybits: KeyBits) {
        let Chain { bref, container, .. } = self.chain(id);
        let (container, index) = (*container, self.position(*container, bref.key()));
        self.chain_mut(id).bref.set_span(key, keybits);
        if let Some(index) = index {
            self.entries_mut(container)[index].set_span(key, keybits);
        }
    }

    /// Moves an entry to the container of its block.
    fn lift(&mut self, id: ChainId, index: usize, above: Container) {
        let chain = self.chain_mut(id);
        let (entry, stamp) = (chain.entries()[index], chain.bref.modify_tid());
        chain.remove_entries(index..index + 1);
        if let Some(child) = ChainId::of(&entry) {
            self.chain_mut(child).container = above;
        }
        self.touch(above, stamp);
        self.insert_entry(above, entry);
    }

    /// Moves entries of an array into a new indirect block in `container`, which must have room for it unless the entries come
    /// from there.
    fn move_entries(
        &mut self,
        from: Container,
        container: Container,
        run: Run,
        new: &Blockref,
        tid: ModifyTid,
    ) -> Result<(), Stop> {
        let most = self.capacity(from) * BLOCKREF_BYTES;
        let sizes = [SMALL_INDIRECT_BYTES, INDIRECT_BYTES, most];
        let bytes = sizes.into_iter().find(|bytes| run.entries.len() < bytes / BLOCKREF_BYTES).unwrap_or(most);
        let mut bref = Blockref::new(BlockKind::Indirect, run.key, run.keybits, self.indirect_methods(from));
        bref.set_modify_tid(self.manner.copied_stamp.unwrap_or(tid));
        self.make_indirect(from, container, run.entries, bref, bytes, new)
    }
}

fn is_indirect(entry: &Blockref) -> bool {
    entry.is(BlockKind::Indirect)
}

/// The first keys of the two halves of an indirect block's span, and how many bits each half has.
fn halves(bref: &Blockref) -> (Key, Key, KeyBits) {
    // A span of one key holds one entry and is never full; no indirect block spans all keys.
    let keybits = KeyBits(bref.keybits().0.clamp(1, 64) - 1);
    (bref.key(), Key(bref.key().0 | 1 << keybits.0), keybits)
}

/// Finds the longest run of `least` or more leaves, with no indirect block among them, that one block can span without spanning
/// anything else. Its span is as large as possible, so that later neighbours find a place there too. `entries` are those of an
/// array from `start` on, within `span`.
fn longest_run(entries: &[Blockref], start: usize, span: KeyRange, least: usize) -> Option<Run> {
    let (mut run, mut begin) = (0..0, 0);
    for (index, is_end) in entries.iter().map(is_indirect).chain([true]).enumerate() {
        if is_end {
            if index - begin > run.len() {
                run = begin..index;
            }
            begin = index + 1;
        }
    }
    if run.len() < least || run.len() == entries.len() {
        return None;
    }
    let last_of = |entry: &Blockref| entry.span().map_or(entry.key(), |span| span.last);
    let before = run.start.checked_sub(1).and_then(|index| last_of(&entries[index]).0.checked_add(1));
    let free = KeyRange {
        first: before.map_or(span.first, Key),
        last: entries.get(run.end).map_or(span.last, |entry| Key(entry.key().0.saturating_sub(1))),
    };
    let fits = |key: Key, keybits: KeyBits| KeyRange::around(key, keybits).is_some_and(|wanted| free.contains(wanted));
    let (first, last) = (entries[run.start].key(), last_of(&entries[run.end - 1]));
    let mut keybits = KeyBits((u64::BITS - (first.0 ^ last.0).leading_zeros()) as u8);
    // Halves the run, keeping the fuller half, until one block can span it.
    while !fits(entries[run.start].key(), keybits) {
        keybits = KeyBits(keybits.0.checked_sub(1)?);
        let is_lower = |entry: &Blockref| entry.key().0 >> keybits.0 & 1 == 0;
        let middle = run.start + entries[run.clone()].partition_point(is_lower);
        run = if middle - run.start >= run.end - middle { run.start..middle } else { middle..run.end };
    }
    if run.len() < least {
        return None;
    }
    let key = entries[run.start].key();
    while fits(key, KeyBits(keybits.0 + 1)) {
        keybits = KeyBits(keybits.0 + 1);
    }
    let key = KeyRange::around(key, keybits)?.first;
    Some(Run { entries: start + run.start..start + run.end, key, keybits })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;

    use super::super::tests::empty_cache;
    use super::super::{Inserted, MAX_DEPTH};
    use super::*;
    use crate::io::BlockCache;
    use crate::io::testing::HEAP;
    use crate::media::{Methods, MirrorTid};
    use crate::random::Random;

    const ROOT: Container = Container::SuperRootSet;
    const KEYS: usize = 4000;

    /// The order in which keys come.
    #[derive(Clone, Copy, Debug)]
    enum Pattern {
        /// Like hashes of names.
        Scattered,
        /// Like numbers of inodes.
        Counted,
        /// Numbers from 0 on, so that blocks are full where their spans end.
        Exact,
        /// Numbers of inodes, most of which were removed.
        Sparse,
        /// An attacker knows the hash and makes keys collide.
        Crowded,
        /// Numbers of inodes in the lower half, hashes of names in the upper.
        Both,
    }

    impl Pattern {
        fn key(self, index: u64, random: &mut Random) -> Key {
            Key(match self {
                Self::Scattered => random.next_u64() | Key::VISIBLE,
                Self::Counted => 0x400 + index,
                Self::Exact => index,
                Self::Sparse => 0x400 + 37 * index + random.below(30),
                Self::Crowded => Key::VISIBLE | random.below(8) << random.below(60) | random.below(50),
                Self::Both if random.below(2) == 0 => random.next_u64() | Key::VISIBLE,
                Self::Both => 0x400 + index,
            })
        }
    }

    struct Tree {
        blocks: BlockCache,
        topology: Topology,
        model: BTreeSet<u64>,
        tid: u64,
    }

    /// What a look at a whole tree has found.
    #[derive(Default)]
    struct Seen {
        keys: std::vec::Vec<u64>,
        depth: usize,
        lowest: usize,
    }

    impl Tree {
        fn new() -> Self {
            let set = [Blockref::EMPTY; 4];
            let topology = Topology::new(HEAP, set, set, MirrorTid(1), usize::MAX);
            Self { blocks: empty_cache(), topology, model: BTreeSet::new(), tid: 1 }
        }

        fn insert(&mut self, key: Key) {
            self.tid += 1;
            let (tid, bref) = (ModifyTid(self.tid), Blockref::new(BlockKind::Dirent, key, KeyBits(0), Methods(0)));
            let inserted = self.topology.insert(&self.blocks, ROOT, &bref, &mut None, tid).unwrap();
            assert_eq!(inserted == Inserted::New(None), self.model.insert(key.0), "{key:?}");
        }

        /// Makes room for a key by an odd rule that the format allows.
        fn split_as_others(&mut self, key: Key, random: &mut Random) {
            loop {
                let (container, _) = self.topology.descend(&self.blocks, ROOT, key).unwrap();
                let (array, capacity) = (self.topology.array(container), self.topology.capacity(container));
                let entries = array.entries();
                if entries.len() < capacity {
                    return;
                }
                let near = entries[random.index(entries.len())].key();
                let keybits = KeyBits(random.below(64) as u8);
                let span = KeyRange::around(near, keybits).unwrap();
                let is_in = |entry: &&Blockref| span.contains(entry.span().unwrap());
                let start = entries.partition_point(|entry| entry.key() < span.first);
                let count = entries.iter().filter(is_in).count();
                if count < entries.len() / 4 || count < 2 || !array.span().contains(span) || span == array.span() {
                    continue;
                }
                let mut below = Blockref::new(BlockKind::Indirect, span.first, keybits, Methods(0));
                below.set_modify_tid(ModifyTid(1));
                let bytes = random.pick(&[4096, 16384, 65536]).max(capacity * BLOCKREF_BYTES);
                let entries = start..start + count;
                self.topology.make_indirect(container, container, entries, below, bytes, &below).unwrap();
            }
        }

        fn remove(&mut self, key: Key) {
            self.tid += 1;
            let removed = self.topology.remove(&self.blocks, ROOT, key, ModifyTid(self.tid), &mut |_| {}).unwrap();
            assert_eq!(removed.is_some(), self.model.remove(&key.0), "{key:?}");
        }

        /// Checks all invariants of the tree, and that its keys are those of the model.
        fn look(&self) -> Seen {
            let mut seen = Seen::default();
            self.look_at(ROOT, 0, &mut seen);
            assert!(seen.keys.iter().eq(&self.model), "the keys are those of the model");
            seen
        }

        fn look_at(&self, container: Container, depth: usize, seen: &mut Seen) {
            assert!(depth < MAX_DEPTH);
            seen.depth = seen.depth.max(depth);
            let array = self.topology.array(container);
            assert!(array.check().is_ok());
            seen.lowest += usize::from(depth > 0 && !array.entries().iter().any(is_indirect));
            for entry in array.entries() {
                match ChainId::of(entry) {
                    Some(id) => {
                        let chain = self.topology.chain(id);
                        assert_eq!((chain.container, chain.bref.span()), (container, entry.span()));
                        assert!(chain.bref.modify_tid().0 > 0);
                        self.look_at(Container::Chain(id), depth + 1, seen);
                    }
                    None => seen.keys.push(entry.key().0),
                }
            }
        }
    }

    #[test]
    fn trees_are_what_a_set_is_however_keys_come_and_go() {
        let patterns = [Pattern::Scattered, Pattern::Counted, Pattern::Sparse, Pattern::Crowded, Pattern::Both];
        for (seed, pattern) in (0..24).flat_map(|seed| patterns.map(|pattern| (seed, pattern))) {
            let (mut tree, mut random) = (Tree::new(), Random::new(seed));
            // Every other seed begins with a tree built by another rule.
            let of_others = if seed % 2 == 1 { KEYS as u64 / 2 } else { 0 };
            for index in 0..KEYS as u64 {
                let key = pattern.key(index, &mut random);
                if index < of_others {
                    tree.split_as_others(key, &mut random);
                }
                tree.insert(key);
                if seed >= 2 && random.below(3) == 0 {
                    let near = tree.model.range(random.next_u64() >> random.below(64)..).next().copied();
                    near.into_iter().for_each(|key| tree.remove(Key(key)));
                }
                if index % 500 == 0 {
                    tree.look();
                }
            }
            tree.look();
            while let Some(last) = tree.model.last().copied() {
                let near = tree.model.range(random.below(last)..).next().copied().unwrap_or(last);
                tree.remove(Key(near));
                if tree.model.len() % 500 == 0 {
                    tree.look();
                }
            }
            assert!(tree.topology.array(ROOT).entries().is_empty(), "{seed} {pattern:?}: blocks are left of nothing");
        }
    }

    #[test]
    fn a_block_that_is_alone_in_its_half_is_lifted_with_what_is_below_it() {
        let mut tree = Tree::new();
        let span = |key: u64, keybits| {
            let mut bref = Blockref::new(BlockKind::Indirect, Key(key), KeyBits(keybits), Methods(0));
            bref.set_modify_tid(ModifyTid(1));
            bref
        };
        tree.insert(Key(0));
        tree.topology.make_indirect(ROOT, ROOT, 0..1, span(0, 20), INDIRECT_BYTES, &span(0, 20)).unwrap();
        let full = Container::Chain(ChainId::of(&tree.topology.array(ROOT).entries()[0]).unwrap());
        for index in 0..INDIRECT_BYTES / BLOCKREF_BYTES {
            let key = if index == 0 { 0 } else { 1 << 19 | (index as u64) << 4 };
            tree.insert(Key(key | 1));
            let below = if index == 0 { 0..2 } else { index..index + 1 };
            let bref = span(key, 4);
            tree.topology.make_indirect(full, full, below, bref, SMALL_INDIRECT_BYTES, &bref).unwrap();
        }
        assert_eq!(tree.topology.array(ROOT).entries().len(), 1);
        tree.insert(Key(1 << 19 | 1 << 18));
        assert_eq!(tree.topology.array(ROOT).entries().len(), 2);
        tree.look();
    }

    #[test]
    fn trees_are_flat_and_their_blocks_are_well_filled() {
        for (pattern, least) in
            [(Pattern::Scattered, 60), (Pattern::Counted, 110), (Pattern::Exact, 110), (Pattern::Both, 60)]
        {
            let (mut tree, mut random) = (Tree::new(), Random::new(1));
            for index in 0..200_000 {
                tree.insert(pattern.key(index, &mut random));
            }
            let Seen { keys, depth, lowest } = tree.look();
            assert!(depth <= 3 && keys.len() / lowest >= least, "{pattern:?}: {depth} levels, {lowest} at the bottom");
        }
    }
}
