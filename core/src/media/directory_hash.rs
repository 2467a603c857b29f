//! The hash that turns a name into a key (format 3.5).

use super::check::crc32c;
use super::{Key, KeyRange};

/// Marks the keys that a name may have: its hash and the 32767 above it, for names of equal hash.
const COLLISION_MASK: u64 = 0x7fff;

/// The keys under which an entry called `name` may be; the first is the hash itself.
///
/// The low 15 bits of the hash are 0, so the range never wraps. Several names may share it, and an entry may be anywhere in it.
pub fn directory_hash(name: &[u8]) -> KeyRange {
    let fields = name.split(|byte| matches!(byte, b'.' | b'-' | b'_' | b'~')).filter(|field| !field.is_empty());
    let high = fields.fold(0u32, |sum, field| sum.wrapping_add(crc32c(field))) | 0x8000_0000;
    let whole = crc32c(name);
    let low = whole ^ (whole << 16);
    let first = (u64::from(high) << 32) | u64::from(low & 0xffff_0000) | 0x8000;
    KeyRange { first: Key(first), last: Key(first | COLLISION_MASK) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_spec() {
        let long = [b'a'; 255];
        let vectors: [(&[u8], u64); 11] = [
            (b"BOOT", 0xd9b3_6ce1_3552_8000),
            (b"LOCAL", 0xde25_e1c4_3fe1_8000),
            (b"ROOT", 0xb0d7_dddc_6d0b_8000),
            (b"DATA", 0xc78f_ff92_381d_8000),
            (b"a", 0xc1d0_4330_82e0_8000),
            (b"README.md", 0xe0ef_94bf_d0c5_8000),
            (b"hello-world_1.2.tar.gz", 0x9e46_c0e4_9a54_8000),
            (b"..hidden~", 0xc207_c797_a517_8000),
            (b"...", 0x8000_0000_bf98_8000),
            (b"\xc3\xa9\xe4\xb8\xad.txt", 0xae8a_ed04_a5e0_8000),
            (&long, 0xf0a0_23de_d37e_8000),
        ];
        for (name, key) in vectors {
            let range = directory_hash(name);
            assert_eq!(range.first, Key(key), "{}", name.escape_ascii());
            assert_eq!(range.last, Key(key + 0x7fff));
        }
    }
}
