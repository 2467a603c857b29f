//! The content of files: bytes that are computed from their place, so that comparing them needs no memory of them.

use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::random::Random;

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Words, which compress well; they depend on the seed.
    Text(u64),
    /// Bytes that don't compress.
    Noise(u64),
    /// Blocks of words and of noise alternately.
    Mixed(u64),
    /// Zeros that were written.
    Zeros,
    /// Words in the blocks whose numbers are powers of two, and in the first and the last; holes between.
    Islands(u64),
}

const WORDS: [&[u8]; 8] =
    [b"chain ", b"cluster ", b"focus ", b"quorum ", b"mirror ", b"freemap ", b"topology ", b"tid "];

impl Content {
    /// True when block `index` of a file of `size` bytes was never written.
    pub fn is_hole(self, index: u64, size: u64) -> bool {
        let last = size.saturating_sub(1) / FILE_BLOCK_BYTES as u64;
        matches!(self, Self::Islands(_)) && index != 0 && index != last && !index.is_power_of_two()
    }

    /// The numbers of the blocks of a file of `size` bytes that aren't holes.
    pub fn written_blocks(self, size: u64) -> impl Iterator<Item = u64> {
        let blocks = size.div_ceil(FILE_BLOCK_BYTES as u64);
        let mut next = Some(0);
        core::iter::from_fn(move || {
            let index = next.filter(|index| *index < blocks)?;
            next = match self {
                Self::Islands(_) if index == 0 => Some(1),
                Self::Islands(_) if index + 1 == blocks => None,
                Self::Islands(_) => Some((index + 1).next_power_of_two().min(blocks - 1)),
                _ => Some(index + 1),
            };
            Some(index)
        })
    }

    /// The bytes of block `index` of a file of `size` bytes, zeros behind its end.
    pub fn fill(self, index: u64, size: u64, block: &mut [u8; FILE_BLOCK_BYTES]) {
        block.fill(0);
        if self.is_hole(index, size) {
            return;
        }
        let left = size.saturating_sub(index * FILE_BLOCK_BYTES as u64).min(FILE_BLOCK_BYTES as u64) as usize;
        let bytes = &mut block[..left];
        match self {
            Self::Zeros => {}
            Self::Text(seed) | Self::Islands(seed) => words(seed ^ index << 32, bytes),
            Self::Noise(seed) => Random::new(seed ^ index << 32).fill(bytes),
            Self::Mixed(seed) if index.is_multiple_of(2) => words(seed ^ index << 32, bytes),
            Self::Mixed(seed) => Random::new(seed ^ index << 32).fill(bytes),
        }
    }
}

/// Words, each repeated: enough for every compression to save more than half.
fn words(seed: u64, bytes: &mut [u8]) {
    let mut random = Random::new(seed);
    let mut at = 0;
    while at < bytes.len() {
        let word = WORDS[random.below(WORDS.len() as u64) as usize];
        let repeated = word.iter().cycle().take(word.len() * (4 + random.below(12) as usize));
        for (byte, from) in bytes[at..].iter_mut().zip(repeated) {
            *byte = *from;
            at += 1;
        }
    }
}
