//! Making compressed file data (format 5.2).
//!
//! The tables are allocated once. ZLIB's come from the global allocator, as its library offers no other way.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

use super::geometry::FILE_BLOCK_BYTES;
use super::{Compression, Radix};
use crate::memory::{self, Box, Heap, NoMemory};

/// Bytes of the length before an LZ4 block.
const LZ4_PREFIX: usize = 4;
/// The number of bytes that an LZ4 block must save besides half the block.
const LZ4_SLACK: usize = 8;

/// The encoder needs room for the worst case before it begins.
const STORED_BYTES: usize = LZ4_PREFIX + get_maximum_output_size(FILE_BLOCK_BYTES);

/// ZLIB's levels (format 5.2).
const ZLIB_LEAST_LEVEL: u8 = 6;
const ZLIB_MOST_LEVEL: u8 = 9;
/// Asks for a stream with header and checksum.
const ZLIB_HEADER: i32 = 1;

/// Compressors with their tables.
pub struct Compressor {
    lz4: Box<CompressTable>,
    zlib: Option<(u8, Box<CompressorOxide>)>,
    stored: Box<[u8; STORED_BYTES]>,
    heap: Heap,
}

impl Compressor {
    /// Allocates the tables; ZLIB's are allocated at first use.
    pub fn new(heap: Heap) -> Result<Self, NoMemory> {
        let stored = memory::boxed(heap, [0; STORED_BYTES])?;
        Ok(Self { lz4: memory::boxed(heap, CompressTable::large())?, zlib: None, stored, heap })
    }

    /// Compresses a block for storing, with ZLIB at `level` (0 is the default); none when that doesn't save enough.
    pub fn compress(&mut self, how: Compression, level: u8, block: &[u8]) -> Result<Option<(&[u8], Radix)>, NoMemory> {
        let limit = block.len() / 2;
        let used = match how {
            Compression::None | Compression::AutoZero => return Ok(None),
            Compression::Lz4 => {
                let Some(limit) = limit.checked_sub(LZ4_SLACK) else { return Ok(None) };
                // The library makes a small table large on the stack, and reserves 16 KiB for that in any case, unless the
                // compiler sees that it never happens.
                if let CompressTable::Small(_) = *self.lz4 {
                    return Ok(None);
                }
                let output = &mut self.stored[LZ4_PREFIX..];
                match compress_into_with_table(block, output, &mut self.lz4) {
                    Ok(length) if length <= limit => {
                        self.stored[..LZ4_PREFIX].copy_from_slice(&(length as u32).to_le_bytes());
                        length + LZ4_PREFIX
                    }
                    _ => return Ok(None),
                }
            }
            Compression::Zlib => match self.zlib(level, block, limit)? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        let Some(radix) = Radix::holding(used) else { return Ok(None) };
        self.stored[used..radix.bytes()].fill(0);
        Ok(Some((&self.stored[..radix.bytes()], radix)))
    }

    /// The library makes its tables on the stack, where they take 64 KiB. This function isn't inlined, so that compressing by LZ4
    /// doesn't reserve that.
    #[inline(never)]
    fn zlib(&mut self, level: u8, block: &[u8], limit: usize) -> Result<Option<usize>, NoMemory> {
        let level = level.clamp(ZLIB_LEAST_LEVEL, ZLIB_MOST_LEVEL);
        if self.zlib.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
            let flags = create_comp_flags_from_zip_params(level.into(), ZLIB_HEADER, 0);
            self.zlib = Some((level, memory::boxed(self.heap, CompressorOxide::new(flags))?));
        }
        let Some((_, zlib)) = &mut self.zlib else { return Ok(None) };
        zlib.reset();
        let (status, _, length) = compress(zlib, block, &mut self.stored[..limit], TDEFLFlush::Finish);
        Ok((status == TDEFLStatus::Done).then_some(length))
    }
}
