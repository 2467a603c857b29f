//! Freemap records and the places of freemap blocks.
#![no_main]

use hammer2_core::media::freemap::{
    self, ChunkState, FREEMAP_BLOCK_BYTES, FreemapRecord, LEAF_RECORDS, RECORD_CHUNKS, ROTATIONS,
};
use hammer2_core::media::geometry::LEAF_SPAN_BYTES;
use hammer2_core::media::{DataOff, Key, KeyBits, MediaOffset};
use libfuzzer_sys::fuzz_target;
use zerocopy::FromBytes;

fuzz_target!(|input: &[u8]| {
    let Some((head, rest)) = input.split_first_chunk::<25>() else { return };
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|index| head[at + index]));
    // Keys are multiples of their span, which is at least a leaf's.
    let (key, keybits) = (Key(word(0) & !(LEAF_SPAN_BYTES - 1)), KeyBits(head[24]));
    if let Ok(place) = freemap::place(key, keybits, word(8) % ROTATIONS) {
        assert_eq!(freemap::rotation(key, keybits, place), Ok(word(8) % ROTATIONS));
    }
    let _ = freemap::rotation(key, keybits, DataOff(word(16)));
    let (low, high) = freemap::managed_range(key, MediaOffset(word(8)), word(16));
    assert!(low <= high);
    let (record, chunk) = freemap::chunk_index(MediaOffset(word(8)));
    assert!(record < LEAF_RECORDS && chunk < RECORD_CHUNKS);

    if let Ok((record, _)) = FreemapRecord::read_from_prefix(rest) {
        let free = (0..RECORD_CHUNKS).filter(|chunk| record.chunk(*chunk) == ChunkState::Free).count();
        assert_eq!(record.free_chunks() as usize, free);
        let mut changed = record;
        changed.set_chunk(chunk, ChunkState::Staged);
        assert_eq!(changed.chunk(chunk), ChunkState::Staged);
        changed.set_chunk(chunk, record.chunk(chunk));
        assert_eq!(changed.free_chunks(), record.free_chunks());
    }
    assert_eq!(freemap::records(rest).is_ok(), rest.len() == FREEMAP_BLOCK_BYTES);
});
