//! Telling the devices what became free (format 6.7 defines the freeing, the rest is ours).
//!
//! Only what bulkfree freed is discarded, and only when the header that says so is durable: neither that header nor the two
//! before it refer to it, so whichever a mount falls back on is whole. A discard is a hint. A device that can't do it is asked
//! once and then left alone. But a device that doesn't answer must not do it later, when the place holds something new, so the
//! node waits for the answer.

use super::bulkfree::LEAF_CHUNKS;
use super::{Node, NodeError};
use crate::io::{DeviceError, Volume};
use crate::media::geometry::CHUNK_BYTES;
use crate::media::{Key, MediaOffset};

impl Node {
    /// Discards the chunks of a leaf that have a bit in `freed`; returns how many chunks the devices accepted. A device that
    /// doesn't answer may still do it, so nothing is written before it has answered.
    pub(super) async fn discard(&self, leaf: Key, freed: &[u64]) -> Result<u64, NodeError> {
        let mut discarded = 0;
        let mut chunk = 0;
        while let Some((first, count)) = next_run(freed, chunk) {
            chunk = first + count;
            let (place, bytes) = (MediaOffset(leaf.0 + first as u64 * CHUNK_BYTES), count as u64 * CHUNK_BYTES);
            let Some((_, Volume { disk, .. }, offset)) = self.volumes().locate(place, bytes) else { continue };
            match disk.discard(offset, bytes).await {
                Ok(()) => discarded += count as u64,
                Err(error @ DeviceError::Timeout) => return Err(self.device_failed(disk, error)),
                Err(_) => break,
            }
        }
        Ok(discarded)
    }
}

/// The first run of set bits from `start` on, and its length.
fn next_run(bits: &[u64], start: usize) -> Option<(usize, usize)> {
    let is_set = |chunk: &usize| bits.get(chunk / 64).is_some_and(|word| word >> (chunk % 64) & 1 != 0);
    let first = (start..LEAF_CHUNKS).find(is_set)?;
    Some((first, (first..LEAF_CHUNKS).take_while(is_set).count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        let mut bits = [0u64; LEAF_CHUNKS / 64];
        assert_eq!(next_run(&bits, 0), None);
        for chunk in [0, 1, 63, 64, 65, LEAF_CHUNKS - 1] {
            bits[chunk / 64] |= 1 << (chunk % 64);
        }
        let mut found: heapless::Vec<(usize, usize), 4> = heapless::Vec::new();
        let mut at = 0;
        while let Some(run) = next_run(&bits, at) {
            found.push(run).unwrap();
            at = run.0 + run.1;
        }
        assert_eq!(found, [(0, 2), (63, 3), (LEAF_CHUNKS - 1, 1)]);
    }
}
