//! Whether a block can be what a blockref says: whether its size exists, and a block may lie in its place (format 1.1).

use super::geometry::{CHUNK_BYTES, FILE_BLOCK_BYTES, LEAF_SPAN_BYTES, MAX_RADIX, MIN_RADIX, SEGMENT_BYTES};
use super::{Corruption, DataOff, MediaOffset, Radix};

impl Radix {
    /// The radix `value`, if blocks of that size exist.
    pub fn new(value: u8) -> Result<Self, Corruption> {
        if (MIN_RADIX..=MAX_RADIX).contains(&value) { Ok(Self(value)) } else { Err(Corruption::Radix(value)) }
    }
}

impl DataOff {
    /// The size; none when there is no block; an error when it isn't the size of a block.
    pub fn radix(self) -> Result<Option<Radix>, Corruption> {
        match self.radix_bits() {
            0 => Ok(None),
            radix => Radix::new(radix).map(Some),
        }
    }
}

/// Checks a block's place against the rules of format 1.1. Freemap blocks have other rules.
pub fn check_placement(block: DataOff, total_bytes: u64) -> Result<(), Corruption> {
    let Some(radix) = block.radix()? else { return Ok(()) };
    let (MediaOffset(offset), bytes) = (block.offset(), radix.bytes() as u64);
    if offset >= total_bytes || bytes > total_bytes - offset {
        return Err(Corruption::OutOfRange(block));
    }
    let last = offset + (bytes - 1);
    let crosses = |unit: u64| offset / unit != last / unit;
    let misplaced = offset % (1 << MIN_RADIX) != 0
        || crosses(FILE_BLOCK_BYTES as u64)
        || (bytes < CHUNK_BYTES && crosses(CHUNK_BYTES))
        || (bytes >= CHUNK_BYTES && offset % bytes != 0);
    if misplaced {
        return Err(Corruption::Alignment(block));
    }
    if offset % LEAF_SPAN_BYTES < SEGMENT_BYTES {
        return Err(Corruption::Reserved(block));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radix_of_blocks() {
        for (value, good) in [(0, false), (9, false), (10, true), (16, true), (17, false), (63, false)] {
            assert_eq!(Radix::new(value).is_ok(), good, "{value}");
        }
        assert_eq!(DataOff(0x0440_080a).radix().unwrap().unwrap().bytes(), 1024);
        assert_eq!(DataOff::NONE.radix(), Ok(None));
        assert_eq!(DataOff(0x1001).radix(), Err(Corruption::Radix(1)));
    }

    #[test]
    fn placement() {
        let total = 2 << 30;
        for (data_off, verdict) in [
            (0, Ok(())),
            (0x0440_080a, Ok(())),
            (0x0440_000f, Ok(())),
            (0x0440_4010, Err(Corruption::Alignment(DataOff(0x0440_4010)))),
            (0x0440_3c0b, Err(Corruption::Alignment(DataOff(0x0440_3c0b)))),
            (0x0440_020a, Err(Corruption::Alignment(DataOff(0x0440_020a)))),
            (0x4000_000a, Err(Corruption::Reserved(DataOff(0x4000_000a)))),
            (0x8000_000a, Err(Corruption::OutOfRange(DataOff(0x8000_000a)))),
            (0x0440_0009, Err(Corruption::Radix(9))),
            (0x0440_003f, Err(Corruption::Radix(63))),
        ] {
            assert_eq!(check_placement(DataOff(data_off), total), verdict, "{data_off:#x}");
        }
    }
}
