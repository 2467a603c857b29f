//! Decompressing blocks that may hold anything.

use hammer2_core::media::Compression;
use hammer2_core::media::compression::Decompressor;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;

use crate::run;

/// Decompresses a stored block into a file block. The result must depend on the input alone: neither on the buffer's old content
/// nor on earlier blocks.
pub fn check(compression: Compression, stored: &[u8]) {
    let mut outcomes = [0x00, 0xff].map(|stale| {
        run::run(async {
            let mut decompressor = Decompressor::new(run::heap()).expect("a decompressor fits the budget");
            let mut logical = vec![stale; FILE_BLOCK_BYTES];
            let _ = decompressor.decompress(compression, &[stale; 100], &mut logical);
            logical.fill(stale);
            decompressor.decompress(compression, stored, &mut logical).map(|()| logical)
        })
    });
    let [first, second] = &mut outcomes;
    assert_eq!(first, second);
}
