//! Check codes, hashes and compression, which need no disk.

use crate::media::check::{crc32c, sha192, xxhash64};
use crate::media::compression::Decompressor;
use crate::media::compressor::Compressor;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Compression, Key, directory_hash};
use crate::memory;
use crate::random::Random;
use crate::selftest::image::Content;
use crate::selftest::image::collisions::{MAX_NAMES, colliding_names};
use crate::selftest::{Case, Environment, Failure, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "codecs: check codes of known bytes", run: check_codes },
    Case { name: "codecs: directory hashes of known names", run: directory_hashes },
    Case { name: "codecs: constructed names collide", run: collisions },
    Case { name: "codecs: what is compressed comes back", run: compression_round_trip },
    Case { name: "codecs: damaged compressed blocks are refused or harmless", run: damaged_blocks },
];

fn check_codes(_: &dyn Environment) -> Result<(), Failure> {
    let counted: [u8; 1024] = core::array::from_fn(|index| index as u8);
    // The test vectors of format 12: input, CRC-32C, XXH64, first bytes of SHA192.
    let vectors: [(&[u8], u32, u64, u64); 4] = [
        (b"", 0, 0x8456_6ac0_f5a0_cb84, 0xe3b0_c442_98fc_1c14),
        (b"123456789", 0xe306_9283, 0x3b4e_b9ba_9b94_7403, 0x15e2_b0d3_c338_91eb),
        (&[0; 1024], 0xeeae_de7c, 0xa85f_7f89_31b8_cf1e, 0x5f70_bf18_a086_0070),
        (&counted, 0x2cdf_6e8f, 0x28c8_2089_95b3_8bec, 0x785b_0751_fc2c_53dc),
    ];
    for (bytes, crc, xxh, sha) in vectors {
        let length = bytes.len();
        ensure(crc32c(bytes) == crc, format_args!("CRC-32C of {length} bytes is {:#x}", crc32c(bytes)))?;
        ensure(xxhash64(bytes) == xxh, format_args!("XXH64 of {length} bytes is {:#x}", xxhash64(bytes)))?;
        let start = sha192(bytes).first_chunk().map(|start| u64::from_be_bytes(*start));
        ensure(start == Some(sha), format_args!("SHA192 of {length} bytes begins {start:x?}"))?;
    }
    Ok(())
}

fn directory_hashes(_: &dyn Environment) -> Result<(), Failure> {
    for (name, key) in [
        (&b"LOCAL"[..], 0xde25_e1c4_3fe1_8000),
        (b"DATA", 0xc78f_ff92_381d_8000),
        (b"hello-world_1.2.tar.gz", 0x9e46_c0e4_9a54_8000),
        (b"..hidden~", 0xc207_c797_a517_8000),
        (b"...", 0x8000_0000_bf98_8000),
        (&[b'a'; 255], 0xf0a0_23de_d37e_8000),
    ] {
        let found = directory_hash(name).first;
        ensure(found == Key(key), format_args!("{} hashes to {found}", name.escape_ascii()))?;
    }
    Ok(())
}

fn collisions(environment: &dyn Environment) -> Result<(), Failure> {
    let names = colliding_names(environment.heap(), b'x', MAX_NAMES)?;
    ensure(names.len() == MAX_NAMES, format_args!("only {} names", names.len()))?;
    let hash = directory_hash(&names[0]);
    for (index, name) in names.iter().enumerate() {
        ensure(directory_hash(name) == hash, format_args!("name {index} has another hash"))?;
    }
    let mut sorted = names;
    sorted.sort_unstable();
    ensure(sorted.windows(2).all(|pair| pair[0] != pair[1]), format_args!("a name twice"))
}

fn compression_round_trip(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    let (mut codec, mut decompressor) = (Compressor::new(heap)?, Decompressor::new(heap)?);
    let mut block = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    let mut back = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    for compression in [Compression::Lz4, Compression::Zlib] {
        for length in [1024, 2048, 16384, FILE_BLOCK_BYTES] {
            Content::Text(environment.seed()).fill(0, length as u64, &mut block);
            let Some((stored, radix)) = codec.compress(compression, 0, &block[..length])? else {
                return Err(Failure::new(format_args!("{length} bytes of text don't compress with {compression}")));
            };
            ensure(radix.bytes() <= length, format_args!("{length} bytes grew to {}", radix.bytes()))?;
            back.fill(0xee);
            decompressor.decompress(compression, stored, &mut back[..])?;
            ensure(back == block, format_args!("{compression} changes {length} bytes"))?;
        }
        Content::Noise(environment.seed()).fill(0, FILE_BLOCK_BYTES as u64, &mut block);
        let noise = codec.compress(compression, 0, &block[..])?;
        ensure(noise.is_none(), format_args!("{compression} pretends to compress noise"))?;
    }
    Ok(())
}

fn damaged_blocks(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    let (mut codec, mut decompressor) = (Compressor::new(heap)?, Decompressor::new(heap)?);
    let mut random = Random::new(environment.seed());
    let mut block = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    let mut damaged = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    let mut refused = 0;
    for round in 0..environment.rounds() {
        let compression = if round % 2 == 0 { Compression::Lz4 } else { Compression::Zlib };
        let length = 1024 << (round % 7);
        Content::Text(random.next_u64()).fill(0, length, &mut block);
        let Some((stored, _)) = codec.compress(compression, 0, &block[..length as usize])? else { continue };
        let stored_bytes = stored.len();
        damaged[..stored_bytes].copy_from_slice(stored);
        for _ in 0..=random.below(3) {
            damaged[random.below(stored_bytes as u64) as usize] = random.next_u64() as u8;
        }
        let cut = stored_bytes - random.below(stored_bytes as u64 / 4) as usize;
        refused += u64::from(decompressor.decompress(compression, &damaged[..cut], &mut block[..]).is_err());
    }
    environment.log(format_args!("{refused} of {} damaged blocks refused", environment.rounds()));
    ensure(refused > 0, format_args!("no damage was noticed"))
}
