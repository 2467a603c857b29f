//! Arrays in memory: entries in order at the start, empty ones behind them, so that a search never has to pass gaps. On media
//! they may be anywhere.

use crate::media::Blockref;

/// Moves the entries to the start and clears the field that holds handles, whatever media has there; returns how many there are.
pub(super) fn pack(array: &mut [Blockref]) -> usize {
    let mut live = 0;
    for index in 0..array.len() {
        if array[index].is_empty() {
            continue;
        }
        array[index].update_tid = 0.into();
        if index != live {
            array[live] = core::mem::take(&mut array[index]);
        }
        live += 1;
    }
    live
}

/// Inserts consecutive entries where they belong among the first `live`. There must be room behind them.
pub(super) fn insert(array: &mut [Blockref], live: usize, new: &[Blockref]) {
    let Some(first) = new.first() else { return };
    let place = array[..live].partition_point(|entry| entry.key() <= first.key());
    array.copy_within(place..live, place + new.len());
    array[place..place + new.len()].copy_from_slice(new);
}

/// Takes `range` out of the first `live` entries.
pub(super) fn remove(array: &mut [Blockref], live: usize, range: core::ops::Range<usize>) {
    array.copy_within(range.end..live, range.start);
    array[live - range.len()..live].fill(Blockref::EMPTY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{BlockKind, Key, KeyBits, Methods};

    fn entry(key: u64) -> Blockref {
        Blockref::new(BlockKind::Data, Key(key), KeyBits(0), Methods(0))
    }

    fn keys(array: &[Blockref]) -> [u64; 5] {
        core::array::from_fn(|index| array[index].key().0)
    }

    #[test]
    fn entries_stay_in_order_and_together() {
        let mut array = [Blockref::EMPTY, entry(3), Blockref::EMPTY, entry(7), Blockref::EMPTY];
        array[1].update_tid = 5.into();
        assert_eq!(pack(&mut array), 2);
        assert_eq!(array[0].update_tid.get(), 0);
        insert(&mut array, 2, &[entry(5)]);
        insert(&mut array, 3, &[entry(9)]);
        insert(&mut array, 4, &[entry(1)]);
        assert_eq!(keys(&array), [1, 3, 5, 7, 9]);
        remove(&mut array, 5, 1..3);
        assert_eq!(keys(&array), [1, 7, 9, 0, 0]);
        assert!(array[3].is_empty() && array[4].is_empty());
        insert(&mut array, 3, &[entry(3), entry(4)]);
        insert(&mut array, 5, &[]);
        assert_eq!(keys(&array), [1, 3, 4, 7, 9]);
    }
}
