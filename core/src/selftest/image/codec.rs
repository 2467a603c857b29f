//! Compressing data blocks (spec 5.2), for images only: the ZLIB encoder takes its memory from the global allocator.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use miniz_oxide::DataFormat;
use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress};

use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Compression, Radix};
use crate::memory::{self, Box, Heap, NoMemory};

/// Bytes of the length before an LZ4 block.
const LZ4_PREFIX: usize = 4;
/// What an LZ4 block must save besides half the block.
const LZ4_SLACK: usize = 8;

/// The encoder wants room for the worst case before it begins.
const STORED_BYTES: usize = LZ4_PREFIX + get_maximum_output_size(FILE_BLOCK_BYTES);

/// Compressors with their tables.
pub struct Codec {
    lz4: CompressTable,
    zlib: Option<Box<CompressorOxide>>,
    stored: Box<[u8; STORED_BYTES]>,
    heap: Heap,
}

impl Codec {
    /// Takes the memory, ZLIB's when it is first used.
    pub fn new(heap: Heap) -> Result<Self, NoMemory> {
        let stored = memory::boxed(heap, [0; STORED_BYTES])?;
        Ok(Self { lz4: CompressTable::large(), zlib: None, stored, heap })
    }

    /// The block as it is stored when compressed as wished; none when that doesn't save enough.
    pub fn compress(&mut self, how: Compression, block: &[u8]) -> Result<Option<(&[u8], Radix)>, NoMemory> {
        let limit = block.len() / 2;
        self.stored.fill(0);
        let used = match how {
            Compression::None | Compression::AutoZero => return Ok(None),
            Compression::Lz4 => {
                let Some(limit) = limit.checked_sub(LZ4_SLACK) else { return Ok(None) };
                let output = &mut self.stored[LZ4_PREFIX..];
                match compress_into_with_table(block, output, &mut self.lz4) {
                    Ok(length) if length <= limit => {
                        self.stored[..LZ4_PREFIX].copy_from_slice(&(length as u32).to_le_bytes());
                        length + LZ4_PREFIX
                    }
                    _ => return Ok(None),
                }
            }
            Compression::Zlib => match self.zlib(block, limit)? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        let Some(radix) = Radix::holding(used) else { return Ok(None) };
        self.stored[used..].fill(0);
        Ok(Some((&self.stored[..radix.bytes()], radix)))
    }

    fn zlib(&mut self, block: &[u8], limit: usize) -> Result<Option<usize>, NoMemory> {
        let zlib = match &mut self.zlib {
            Some(zlib) => zlib,
            none => none.insert(memory::boxed(
                self.heap,
                CompressorOxide::with_format_and_level(DataFormat::Zlib, CompressionLevel::DefaultLevel),
            )?),
        };
        zlib.reset();
        let (status, _, length) = compress(zlib, block, &mut self.stored[..limit], TDEFLFlush::Finish);
        Ok((status == TDEFLStatus::Done).then_some(length))
    }
}
