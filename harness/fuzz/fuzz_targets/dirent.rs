//! Directory entries and their names.
#![no_main]

use hammer2_core::media::blockref::BLOCKREF_BYTES;
use hammer2_core::media::geometry::MAX_NAME_BYTES;
use hammer2_core::media::{Blockref, Dirent, directory_hash};
use libfuzzer_sys::fuzz_target;
use zerocopy::FromBytes;

fuzz_target!(|input: &[u8]| {
    let Some((bref, block)) = input.split_first_chunk::<BLOCKREF_BYTES>() else { return };
    let Ok(bref) = Blockref::ref_from_bytes(bref) else { return };
    let Ok(entry) = Dirent::read(bref) else { return };
    let in_block = bref.data_off().radix().expect("read has looked at it").is_some();
    let Ok(name) = entry.name(bref, in_block.then_some(block)) else { return };
    assert!((1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(&b'/') && !name.contains(&0));
    assert!(name != b"." && name != b"..");
    let hash = directory_hash(name);
    assert!(hash.first.is_visible() && hash.first <= hash.last);
    // The entry, written again, is read as the same.
    let written = entry.blockref(bref.key(), name, bref.methods);
    if name.len() <= written.check.len() {
        assert_eq!(Dirent::read(&written), Ok(entry));
        assert_eq!(entry.name(&written, None), Ok(name));
    }
});
