//! Reading ahead: as long as a file is read in order, blocks are requested before they are waited for.

use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Key, KeyRange};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// How a file was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadAhead {
    /// Where the last read ended.
    read_end: u64,
    /// Where the requested blocks end.
    requested_end: u64,
}

impl ReadAhead {
    /// The blocks to request for a read of `bytes` bytes at `offset` of a file of `size` bytes, if any: the blocks it covers if
    /// there are several, and those in `window_bytes` from its start if it continues where the last read ended. Blocks are
    /// requested in groups, a new one when half of the last was read.
    pub(super) fn plan(&mut self, offset: u64, bytes: u64, size: u64, window_bytes: u64) -> Option<KeyRange> {
        let (first, end) = (offset - offset % BLOCK, offset.saturating_add(bytes).min(size));
        let in_order = offset == self.read_end;
        self.read_end = end;
        if !in_order {
            self.requested_end = first;
        }
        let several = end > first + BLOCK;
        let half_way = end.saturating_add(window_bytes / 2) > self.requested_end;
        let wanted = several || (in_order && half_way);
        if !wanted || self.requested_end >= size {
            return None;
        }
        let from = self.requested_end.max(first);
        let to = if in_order { end.max(first.saturating_add(window_bytes)) } else { end }.min(size);
        if to <= from {
            return None;
        }
        self.requested_end = to.next_multiple_of(BLOCK);
        Some(KeyRange { first: Key(from), last: Key(to - 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 8 * BLOCK;
    const SIZE: u64 = 100 * BLOCK;

    fn range(first: u64, end: u64) -> Option<KeyRange> {
        Some(KeyRange { first: Key(first * BLOCK), last: Key(end * BLOCK - 1) })
    }

    #[test]
    fn reading_in_order_requests_groups() {
        let mut ahead = ReadAhead::default();
        let mut requested = 0;
        for block in 0..100 {
            if let Some(wanted) = ahead.plan(block * BLOCK, BLOCK, SIZE, WINDOW) {
                assert_eq!(wanted.first.0, requested, "nothing twice, nothing left out");
                requested = wanted.last.0 + 1;
            }
            assert!(requested >= (block + 1) * BLOCK);
        }
        assert_eq!(requested, SIZE);
        assert_eq!(ReadAhead::default().plan(0, BLOCK, SIZE, WINDOW), range(0, 8));
    }

    #[test]
    fn reading_here_and_there_requests_nothing_more() {
        let mut ahead = ReadAhead::default();
        ahead.plan(0, 4096, SIZE, WINDOW);
        assert_eq!(ahead.plan(50 * BLOCK, 4096, SIZE, WINDOW), None);
        assert_eq!(ahead.plan(20 * BLOCK, BLOCK, SIZE, WINDOW), None);
        assert_eq!(ahead.plan(30 * BLOCK, 3 * BLOCK, SIZE, WINDOW), range(30, 33), "only what it goes over");
        assert_eq!(ahead.plan(33 * BLOCK, BLOCK, SIZE, WINDOW), range(33, 41), "and here it goes on");
    }
}
