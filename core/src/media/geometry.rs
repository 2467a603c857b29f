//! Sizes, alignments and reserved places of the address space (format 1.1 and 1.2).

/// The smallest block is 2^10 bytes.
pub const MIN_RADIX: u8 = 10;
/// The largest block is 2^16 bytes.
pub const MAX_RADIX: u8 = 16;
/// The size of a logical file block, and of a device buffer, which no block crosses.
pub const FILE_BLOCK_BYTES: usize = 1 << MAX_RADIX;
/// Bits of a key below a logical file block.
pub const FILE_BLOCK_BITS: u8 = MAX_RADIX;
/// The freemap's granule; a smaller block lies inside a chunk.
pub const CHUNK_BYTES: u64 = 16 << 10;
/// The space that one freemap record describes, and the size of a reserved segment.
pub const SEGMENT_BYTES: u64 = 4 << 20;
/// The space that one freemap leaf describes; each such part of the address space starts with a reserved segment.
pub const LEAF_SPAN_BYTES: u64 = 1 << 30;
/// Distance between the volume header's copies.
pub const HEADER_SPACING_BYTES: u64 = 2 << 30;
/// Volume sizes are multiples of this.
pub const VOLUME_ALIGN_BYTES: u64 = 8 << 20;
/// Every volume of a set but the last is a multiple of this.
pub const INNER_VOLUME_ALIGN_BYTES: u64 = 1 << 30;
/// The size of a reserved slot, and of a volume header.
pub const SLOT_BYTES: u64 = 64 << 10;
/// Copies of the volume header.
pub const HEADER_COPIES: usize = 4;
/// The number of second copies of headers, in reserved slots of the first segment (format 1.2, and protocol 4.4).
pub const HEADER_TWINS: usize = 2;
const FIRST_TWIN_SLOT: u64 = 41;
/// The most volumes of one filesystem.
pub const MAX_VOLUMES: usize = 64;
/// The largest filesystem.
pub const MAX_TOTAL_BYTES: u64 = i64::MAX as u64;
/// The most bytes of a name.
pub const MAX_NAME_BYTES: usize = 255;

/// The offset of copy `index` of the volume header on its volume.
pub const fn header_offset(index: usize) -> u64 {
    index as u64 * HEADER_SPACING_BYTES
}

/// The offset of the second copy of a header: that of copy `index` is number `index % HEADER_TWINS`.
pub const fn twin_offset(twin: usize) -> u64 {
    (FIRST_TWIN_SLOT + twin as u64) * SLOT_BYTES
}

/// The number of header copies on a volume of `volume_bytes` bytes.
pub const fn header_copies(volume_bytes: u64) -> usize {
    let mut copies = 0;
    while copies < HEADER_COPIES && header_offset(copies) < volume_bytes {
        copies += 1;
    }
    copies
}

/// The capacity of a volume set for data and metadata, as newfs computes it (format 6.6); none when nothing is left.
pub fn allocator_size(total_bytes: u64, boot_bytes: u64, aux_bytes: u64) -> Option<u64> {
    let reserved = total_bytes.div_ceil(LEAF_SPAN_BYTES).checked_mul(SEGMENT_BYTES)?;
    total_bytes.checked_sub(reserved)?.checked_sub(boot_bytes)?.checked_sub(aux_bytes)
}

/// The part of the space between two sizes of a filesystem that can be allocated: all but reserved segments.
pub fn capacity_gain(from_bytes: u64, to_bytes: u64) -> u64 {
    let reserved = to_bytes.div_ceil(LEAF_SPAN_BYTES).saturating_sub(from_bytes.div_ceil(LEAF_SPAN_BYTES));
    to_bytes.saturating_sub(from_bytes).saturating_sub(reserved.saturating_mul(SEGMENT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_fit() {
        for (bytes, copies) in
            [(8 << 20, 1), (2 << 30, 1), ((2 << 30) + (8 << 20), 2), (6 << 30, 3), (8 << 30, 4), (1 << 40, 4)]
        {
            assert_eq!(header_copies(bytes), copies, "{bytes:#x}");
        }
    }

    #[test]
    fn capacity_of_the_dissected_image() {
        assert_eq!(allocator_size(1 << 30, 32 << 20, 32 << 20), Some(0x3bc0_0000));
        assert_eq!(allocator_size(8 << 20, 8 << 20, 8 << 20), None);
    }

    #[test]
    fn growing_gains_what_a_new_filesystem_would_have() {
        for from in [1u64 << 30, 800 << 20, (1 << 30) + (8 << 20)] {
            for to in [from + (8 << 20), 2 << 30, (5 << 30) + (16 << 20)] {
                let capacity = |total| allocator_size(total, 32 << 20, 32 << 20).unwrap();
                assert_eq!(capacity(from) + capacity_gain(from, to), capacity(to), "{from:#x} to {to:#x}");
            }
        }
        assert_eq!(capacity_gain(2 << 30, 1 << 30), 0);
    }
}
