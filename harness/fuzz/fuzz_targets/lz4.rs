//! LZ4 data blocks.
#![no_main]

use hammer2_core::media::Compression;
use hammer2_fuzz::decoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| decoding::check(Compression::Lz4, input));
