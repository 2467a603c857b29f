//! Check codes: the algorithms, and the check field of a blockref (format 2.3 and 5.1).

use sha2::{Digest, Sha256};

use super::Corruption;
pub use super::check_functions::crc32c;
use super::check_functions::xxh64;
pub use super::check_method::CheckMethod;

/// Bytes of a blockref's check field.
pub const CHECK_BYTES: usize = 64;

const XXHASH64_SEED: u64 = 0x4d61_7474_446c_6c6e;

/// XXH64 with HAMMER2's seed.
pub fn xxhash64(bytes: &[u8]) -> u64 {
    xxh64(bytes, XXHASH64_SEED)
}

/// SHA-256 with its last quarter folded into the third.
pub fn sha192(bytes: &[u8]) -> [u8; 24] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    core::array::from_fn(|i| if i < 16 { digest[i] } else { digest[i] ^ digest[i + 8] })
}

/// The content of a check field: the bytes that count, then zeros.
pub type CheckField = [u8; CHECK_BYTES];

impl CheckMethod {
    /// The method with this code.
    pub fn from_code(code: u8) -> Result<Self, Corruption> {
        Ok(match code {
            0 => Self::None,
            1 => Self::Disabled,
            2 => Self::Iscsi32,
            3 => Self::XxHash64,
            4 => Self::Sha192,
            5 => Self::Freemap,
            _ => return Err(Corruption::UnknownCheck(code)),
        })
    }

    /// The check field for a block's stored bytes.
    pub fn compute(self, block: &[u8]) -> CheckField {
        let mut field = [0; CHECK_BYTES];
        match self {
            Self::None | Self::Disabled => {}
            Self::Iscsi32 | Self::Freemap => field[..4].copy_from_slice(&crc32c(block).to_le_bytes()),
            Self::XxHash64 => field[..8].copy_from_slice(&xxhash64(block).to_le_bytes()),
            Self::Sha192 => field[..24].copy_from_slice(&sha192(block)),
        }
        field
    }

    /// Compares a block's stored bytes with its check field.
    pub fn verify(self, block: &[u8], field: &CheckField) -> Result<(), Corruption> {
        let good = match self {
            Self::None | Self::Disabled => true,
            // This is kept apart from `compute` to avoid a 64-byte copy on the path of every read.
            Self::XxHash64 => field[..8] == xxhash64(block).to_le_bytes(),
            _ => field[..self.code_bytes()] == self.compute(block)[..self.code_bytes()],
        };
        if good { Ok(()) } else { Err(Corruption::Check(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> [u8; 24] {
        core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn vectors_of_the_spec() {
        static ZEROS: [u8; 65536] = [0; 65536];
        let counting: [u8; 1024] = core::array::from_fn(|i| i as u8);
        let vectors: [(&[u8], u32, u64, &str); 5] = [
            (b"", 0, 0x8456_6ac0_f5a0_cb84, "e3b0c44298fc1c149afbf4c8996fb924833bd8ff1cc92b19"),
            (b"123456789", 0xe306_9283, 0x3b4e_b9ba_9b94_7403, "15e2b0d3c33891ebb0f1ef609ec41942b0acd0328a1a747a"),
            (&ZEROS[..1024], 0xeeae_de7c, 0xa85f_7f89_31b8_cf1e, "5f70bf18a086007016e948b04aed3b82dde599ae08f49359"),
            (&ZEROS, 0x72c0_c4a4, 0x7d8c_dd3d_4cc9_73a6, "de2f256064a0af797747c2b97505dc0bec21d370d3e1529d"),
            (&counting, 0x2cdf_6e8f, 0x28c8_2089_95b3_8bec, "785b0751fc2c53dc14a4ce3d800e69efc44ee002970bea3d"),
        ];
        for (bytes, crc, xxh, sha) in vectors {
            assert_eq!(crc32c(bytes), crc);
            assert_eq!(xxhash64(bytes), xxh);
            assert_eq!(sha192(bytes), hex(sha));
        }
    }

    #[test]
    fn verify_accepts_what_compute_made_and_nothing_else() {
        let block = [7u8; 1024];
        for code in 0..=5 {
            let method = CheckMethod::from_code(code).unwrap();
            let mut field = method.compute(&block);
            assert_eq!(method.verify(&block, &field), Ok(()));
            field[method.code_bytes()] ^= 1;
            assert_eq!(method.verify(&block, &field), Ok(()), "stale bytes are not compared");
            if method.code_bytes() > 0 {
                field[method.code_bytes() - 1] ^= 1;
                assert_eq!(method.verify(&block, &field), Err(Corruption::Check(method)));
            }
        }
        assert_eq!(CheckMethod::from_code(6), Err(Corruption::UnknownCheck(6)));
    }
}
