//! Reading compressed file data (format 5.2).

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::Corruption;
use crate::memory::{self, Box, Heap, NoMemory};

/// How a data block is stored, or how new data of a file is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Uncompressed.
    None = 0,
    /// Uncompressed, but zero blocks are left out. No block has this method.
    AutoZero = 1,
    /// LZ4; zero blocks are left out.
    Lz4 = 2,
    /// ZLIB; zero blocks are left out.
    Zlib = 3,
}

impl Compression {
    /// The method with this code.
    pub fn from_code(code: u8) -> Result<Self, Corruption> {
        Ok(match code {
            0 => Self::None,
            1 => Self::AutoZero,
            2 => Self::Lz4,
            3 => Self::Zlib,
            _ => return Err(Corruption::UnknownCompression(code)),
        })
    }
}

impl core::fmt::Display for Compression {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::AutoZero => "autozero",
            Self::Lz4 => "lz4",
            Self::Zlib => "zlib",
        })
    }
}

/// Decompresses data blocks. Holds the ZLIB decoder's tables, so that decompressing allocates nothing.
pub struct Decompressor {
    zlib: Box<DecompressorOxide>,
}

impl Decompressor {
    /// Allocates the tables.
    pub fn new(heap: Heap) -> Result<Self, NoMemory> {
        Ok(Self { zlib: memory::boxed(heap, DecompressorOxide::new())? })
    }

    /// Fills `logical` with the content of a data block from its stored form, decompressing it by the given method; what remains
    /// is zeroed. A block that has more content than fits into `logical` is damaged.
    pub fn decompress(
        &mut self,
        compression: Compression,
        stored: &[u8],
        logical: &mut [u8],
    ) -> Result<(), Corruption> {
        let length = match compression {
            Compression::None => {
                let length = stored.len().min(logical.len());
                logical[..length].copy_from_slice(&stored[..length]);
                length
            }
            Compression::AutoZero => return Err(Corruption::UnknownCompression(compression as u8)),
            Compression::Lz4 => lz4(stored, logical)?,
            Compression::Zlib => self.zlib(stored, logical)?,
        };
        logical[length..].fill(0);
        Ok(())
    }

    fn zlib(&mut self, stored: &[u8], logical: &mut [u8]) -> Result<usize, Corruption> {
        self.zlib.init();
        let flags =
            TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_COMPUTE_ADLER32;
        match decompress(&mut self.zlib, stored, logical, 0, flags) {
            (TINFLStatus::Done, _, length) => Ok(length),
            _ => Err(Corruption::Zlib),
        }
    }
}

/// Decompresses an LZ4 data block: a length of four bytes, then that many bytes of an LZ4 block.
fn lz4(stored: &[u8], logical: &mut [u8]) -> Result<usize, Corruption> {
    let (length, rest) = stored.split_first_chunk::<4>().ok_or(Corruption::Lz4)?;
    let packed = rest.get(..u32::from_le_bytes(*length) as usize).ok_or(Corruption::Lz4)?;
    lz4_flex::block::decompress_into(packed, logical).map_err(|_| Corruption::Lz4)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use allocator_api2::alloc::Global;
    use std::vec;

    static HEAP: Global = Global;

    fn read(compression: Compression, stored: &[u8]) -> Result<std::vec::Vec<u8>, Corruption> {
        let mut logical = vec![0xee; 65536];
        Decompressor::new(&HEAP).unwrap().decompress(compression, stored, &mut logical).map(|()| logical)
    }

    #[test]
    fn lz4_round_trip_and_damage() {
        let text = b"all work and no play ".repeat(3000);
        let mut packed = vec![0; 80000];
        let length = lz4_flex::block::compress_into(&text, &mut packed[4..]).unwrap();
        packed[..4].copy_from_slice(&(length as u32).to_le_bytes());
        let block = &packed[..(length + 4).next_power_of_two()];
        let logical = read(Compression::Lz4, block).unwrap();
        assert_eq!(&logical[..text.len()], &text[..]);
        assert!(logical[text.len()..].iter().all(|byte| *byte == 0));

        assert_eq!(read(Compression::Lz4, &[]), Err(Corruption::Lz4));
        assert_eq!(read(Compression::Lz4, &[255; 1024]), Err(Corruption::Lz4));
        assert_eq!(read(Compression::Lz4, &packed[..length]), Err(Corruption::Lz4));
    }

    #[test]
    fn zlib_round_trip_and_damage() {
        let text = b"all work and no play ".repeat(3000);
        let mut packed = miniz_oxide::deflate::compress_to_vec_zlib(&text, 6);
        packed.resize(packed.len().next_power_of_two(), 0);
        let logical = read(Compression::Zlib, &packed).unwrap();
        assert_eq!(&logical[..text.len()], &text[..]);
        packed[40] ^= 1;
        assert_eq!(read(Compression::Zlib, &packed), Err(Corruption::Zlib));
        assert_eq!(read(Compression::Zlib, &[]), Err(Corruption::Zlib));
    }

    #[test]
    fn more_than_a_file_block_is_damage() {
        let large = vec![0u8; 70000];
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&large, 6);
        assert_eq!(read(Compression::Zlib, &packed), Err(Corruption::Zlib));
        assert_eq!(read(Compression::AutoZero, &[0; 1024]), Err(Corruption::UnknownCompression(1)));
    }
}
