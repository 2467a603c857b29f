//! Arrays of blockrefs: the volume header's sets, inode bodies, indirect blocks (format 4.1).

use zerocopy::FromBytes;

use super::{Blockref, Corruption, Key, KeyRange};

/// Blockrefs in a blockset.
pub const SET_ENTRIES: usize = 4;

/// Four blockrefs.
pub type Blockset = [Blockref; SET_ENTRIES];

/// A view of an array whose entries lie in `span`. Entries are in ascending order of their keys; empty ones may be anywhere.
#[derive(Clone, Copy)]
pub struct BlockArray<'a> {
    entries: &'a [Blockref],
    span: KeyRange,
}

impl<'a> BlockArray<'a> {
    /// The array in `bytes`. A tail shorter than an entry is left out.
    pub fn new(bytes: &'a [u8], span: KeyRange) -> Self {
        let whole = bytes.len() - bytes.len() % size_of::<Blockref>();
        let entries = <[Blockref]>::ref_from_bytes(&bytes[..whole]).unwrap_or(&[]);
        Self { entries, span }
    }

    /// The array in `entries`.
    pub fn of(entries: &'a [Blockref], span: KeyRange) -> Self {
        Self { entries, span }
    }

    /// The keys its entries lie in.
    pub fn span(&self) -> KeyRange {
        self.span
    }

    /// All entries, empty ones included, unchecked.
    pub fn entries(&self) -> &'a [Blockref] {
        self.entries
    }

    /// The first entry at or after `start` whose span reaches `key` or beyond, with its index. Every entry passed is checked for
    /// order and containment; entries before `start` must have been checked.
    pub fn first_reaching(&self, start: usize, key: Key) -> Result<Option<(usize, &'a Blockref)>, Corruption> {
        let mut previous: Option<KeyRange> = None;
        for (index, entry) in self.entries.iter().enumerate().skip(start) {
            if entry.is_empty() {
                continue;
            }
            let span = self.check_entry(previous, entry)?;
            if span.last >= key {
                return Ok(Some((index, entry)));
            }
            previous = Some(span);
        }
        Ok(None)
    }

    /// Checks every entry; returns how many there are, without empty ones after the last.
    pub fn check(&self) -> Result<usize, Corruption> {
        let mut previous = None;
        let mut count = 0;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_empty()) {
            entry.kind()?;
            previous = Some(self.check_entry(previous, entry)?);
            count = index + 1;
        }
        Ok(count)
    }

    /// The array up to its first `count` entries.
    pub fn truncated(self, count: usize) -> Self {
        Self { entries: self.entries.get(..count).unwrap_or(self.entries), ..self }
    }

    /// Like [`first_reaching`](Self::first_reaching) from the start, for an array known to be sound.
    ///
    /// Every entry looked at is a cache line that mostly isn't in the processor's cache. Keys are hashes or ascending numbers, so
    /// an entry is near the place it would have if all were spread evenly: the search begins there, takes growing steps, and
    /// halves the range once it has gone too far.
    pub fn first_reaching_sound(&self, key: Key) -> Option<(usize, &'a Blockref)> {
        let (mut low, mut high) = (0, self.entries.len());
        let (mut middle, mut step) = (self.even_place(key), 1);
        while low < high {
            if !(low..high).contains(&middle) {
                middle = low + (high - low) / 2;
            }
            let probe = (middle..high).find(|index| !self.entries[*index].is_empty());
            match probe {
                Some(index) if self.entries[index].last_key() < key => {
                    low = index + 1;
                    middle = low + step;
                }
                _ => {
                    high = middle;
                    middle = high.saturating_sub(step);
                }
            }
            step *= 2;
        }
        let found = (low..self.entries.len()).find(|index| !self.entries[*index].is_empty());
        found.map(|index| (index, &self.entries[index]))
    }

    /// The index that `key` would have if the entries were spread evenly over the span.
    fn even_place(&self, key: Key) -> usize {
        // Spans are powers of two wide; any other width only makes the guess worse.
        let width_bits = u64::BITS - (self.span.last.0 - self.span.first.0).leading_zeros();
        let within = u128::from(key.0.saturating_sub(self.span.first.0));
        ((within * self.entries.len() as u128) >> width_bits) as usize
    }

    /// Checks one entry against its container and the entry before it; returns its span.
    pub fn check_entry(&self, previous: Option<KeyRange>, entry: &Blockref) -> Result<KeyRange, Corruption> {
        let span = entry.span()?;
        if !self.span.contains(span) {
            return Err(Corruption::Containment(entry.key()));
        }
        if previous.is_some_and(|before| span.first <= before.last) {
            return Err(Corruption::Order(entry.key()));
        }
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{BlockKind, KeyBits, Methods};

    fn array(keys: &[(u64, u8)]) -> [Blockref; 4] {
        core::array::from_fn(|i| match keys.get(i) {
            Some(&(u64::MAX, _)) | None => Blockref::EMPTY,
            Some(&(key, bits)) => Blockref::new(BlockKind::Data, Key(key), KeyBits(bits), Methods(0)),
        })
    }

    #[test]
    fn first_reaching_skips_gaps_and_checks_what_it_passes() {
        type Case = (&'static [(u64, u8)], u64, Result<Option<usize>, Corruption>);
        const HOLE: (u64, u8) = (u64::MAX, 0);
        let cases: [Case; 8] = [
            (&[], 0, Ok(None)),
            (&[HOLE, (16, 4), HOLE, (64, 4)], 0, Ok(Some(1))),
            (&[HOLE, (16, 4), HOLE, (64, 4)], 31, Ok(Some(1))),
            (&[HOLE, (16, 4), HOLE, (64, 4)], 32, Ok(Some(3))),
            (&[HOLE, (16, 4), HOLE, (64, 4)], 80, Ok(None)),
            (&[(64, 4), (16, 4)], 100, Err(Corruption::Order(Key(16)))),
            (&[(64, 4), (72, 3)], 100, Err(Corruption::Order(Key(72)))),
            (&[(256, 4)], 0, Err(Corruption::Containment(Key(256)))),
        ];
        for (keys, key, wanted) in cases {
            let entries = array(keys);
            let view = BlockArray::of(&entries, KeyRange { first: Key(0), last: Key(255) });
            assert_eq!(
                view.first_reaching(0, Key(key)).map(|found| found.map(|(index, _)| index)),
                wanted,
                "{keys:?} {key}"
            );
        }
    }

    #[test]
    fn a_sound_array_is_searched_with_the_same_result() {
        const SPAN: KeyRange = KeyRange { first: Key(1 << 20), last: Key((1 << 21) - 1) };
        // Keys at the front, at the back, spread, and with gaps; each entry spans four keys.
        let shapes: [fn(usize) -> Option<u64>; 4] = [
            |index| Some(4 * index as u64),
            |index| Some((1 << 20) - 4 * (100 - index as u64)),
            |index| Some(10_000 * index as u64 / 4 * 4),
            |index| (index % 7 < 3 && index > 20).then_some(4 * (index * index) as u64),
        ];
        for shape in shapes {
            let entries: [Blockref; 100] = core::array::from_fn(|index| {
                shape(index).map_or(Blockref::EMPTY, |offset| {
                    Blockref::new(BlockKind::Data, Key(SPAN.first.0 + offset), KeyBits(2), Methods(0))
                })
            });
            let array = BlockArray::of(&entries, SPAN);
            assert!(array.check().is_ok());
            for key in (SPAN.first.0 - 10..SPAN.last.0 + 10).step_by(97).map(Key) {
                let index = |found: Option<(usize, &Blockref)>| found.map(|(index, _)| index);
                let wanted = array.first_reaching(0, key).map(index);
                assert_eq!(Ok(index(array.first_reaching_sound(key))), wanted, "{key}");
            }
        }
    }

    #[test]
    fn odd_lengths_are_no_panic() {
        for len in [0, 1, 127, 128, 130, 1000] {
            assert_eq!(BlockArray::new(&[0; 1000][..len], KeyRange::ALL).entries().len(), len / 128);
        }
    }
}
