//! Finding out whether the keys of a range are free.

use super::{Container, Cursor, Holder, Source, Stop, Topology, Trust, find};
use crate::io::BlockCache;
use crate::media::{BlockKind, KeyRange};

impl Topology {
    /// The array in which an entry with the first key of `range` belongs, if no key of the range is taken below the modified
    /// inode `root`. The way to that array is modified, as for an insertion.
    pub(crate) fn vacant(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        range: KeyRange,
    ) -> Result<Option<Container>, Stop> {
        let (container, next) = self.descend_to_next(blocks, root, range.first)?;
        let array = self.array(container);
        match next {
            None if container == root || array.span().last >= range.last => Ok(Some(container)),
            Some((_, first)) if first > range.last => Ok(Some(container)),
            Some((index, _)) if !array.entries()[index].is(BlockKind::Indirect) => Ok(None),
            // The range continues in other arrays.
            _ => Ok(self.is_empty_in(blocks, root, range)?.then_some(container)),
        }
    }

    /// True if no key of `range` is taken below `root`, in whatever arrays.
    fn is_empty_in(&self, blocks: &BlockCache, root: Container, range: KeyRange) -> Result<bool, Stop> {
        let Container::Chain(id) = root else { return Ok(true) };
        let chain = self.chain(id);
        let holder = Holder { block: chain.bref.name(), array: chain.array(), trust: Trust::Modified };
        let source = Source { blocks, topology: Some(self) };
        Ok(find(source, holder, &mut Cursor::new(range))?.is_none())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;

    use super::super::tests::{empty_cache, modified_directory};
    use super::*;
    use crate::media::{Blockref, Key, KeyBits, Methods, ModifyTid};
    use crate::random::Random;

    #[test]
    fn a_range_is_vacant_when_none_of_its_keys_is_taken_however_the_tree_is_split() {
        for seed in 0..20 {
            let (mut random, blocks) = (Random::new(seed), empty_cache());
            let (mut topology, root) = modified_directory();
            let mut model = BTreeSet::new();
            // Few bits, so that ranges hold keys, reach over the ends of arrays, and have whole arrays within them.
            let bits = 8 + seed % 8;
            for index in 0..1500 {
                let key = Key::VISIBLE | random.below(1 << bits);
                let range = KeyRange::around(Key(key), KeyBits(random.below(bits) as u8)).unwrap();
                let is_vacant = topology.vacant(&blocks, root, range).unwrap();
                let wanted = model.range(range.first.0..=range.last.0).next().is_none();
                assert_eq!(is_vacant.is_some(), wanted, "{seed}: {range:?} among {model:?}");
                let (belongs, taken) = topology.descend(&blocks, root, range.first).unwrap();
                assert!(is_vacant.is_none_or(|container| container == belongs && taken.is_none()));
                let bref = Blockref::new(BlockKind::Dirent, Key(key), KeyBits(0), Methods(0));
                topology.insert(&blocks, root, &bref, &mut None, ModifyTid(index + 2)).unwrap();
                model.insert(key);
            }
        }
    }
}
