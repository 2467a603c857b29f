//! Names with equal hashes, found by algebra instead of by search.
//!
//! The upper half of a name's hash is a sum over its fields, so the separators between them don't matter. The lower half is
//! linear in the name's bits: changing a separator flips some bits of it, and a set of changes whose flips cancel out leaves the
//! hash as it is.

use crate::media::directory_hash;
use crate::memory::{self, Heap, NoMemory, Vec};

/// The number of bits of the lower half that count.
const HASH_BITS: usize = 16;
/// The number of separators that can be changed; those beyond the number of bits yield names.
const SEPARATORS: usize = 26;
const NAME_BYTES: usize = 2 * SEPARATORS + 1;

/// The number of names with equal hash that 26 separators give.
pub const MAX_NAMES: usize = 1 << (SEPARATORS - HASH_BITS);

/// A name of the family.
pub type Name = [u8; NAME_BYTES];

/// The name with dashes as separators where `dashes` has a bit, and dots elsewhere.
fn name(letter: u8, dashes: u32) -> Name {
    core::array::from_fn(|at| match at % 2 {
        0 => letter,
        _ if dashes >> (at / 2) & 1 != 0 => b'-',
        _ => b'.',
    })
}

fn low_half(name: &Name) -> u16 {
    (directory_hash(name).first.0 >> HASH_BITS) as u16
}

/// `count` names with equal hash, at most [`MAX_NAMES`]; other letters give other hashes.
pub fn colliding_names(heap: Heap, letter: u8, count: usize) -> Result<Vec<Name>, NoMemory> {
    let plain = low_half(&name(letter, 0));
    // Gaussian elimination: for each leading bit a flip that has it, and the separators that make it.
    let mut basis: [Option<(u16, u32)>; HASH_BITS] = [None; HASH_BITS];
    let mut neutral: heapless::Vec<u32, SEPARATORS> = heapless::Vec::new();
    for separator in 0..SEPARATORS {
        let mut made_by = 1u32 << separator;
        let mut flip = low_half(&name(letter, made_by)) ^ plain;
        while let Some(top) = flip.checked_ilog2() {
            match basis[top as usize] {
                Some((other, others)) => {
                    flip ^= other;
                    made_by ^= others;
                }
                None => {
                    basis[top as usize] = Some((flip, made_by));
                    break;
                }
            }
        }
        if flip == 0 {
            // There is room for all separators.
            let _ = neutral.push(made_by);
        }
    }
    let mut names = Vec::new_in(heap);
    for combination in 0..count.min(1 << neutral.len()) {
        let chosen = neutral.iter().enumerate().filter(|(bit, _)| combination >> bit & 1 != 0);
        memory::push(&mut names, name(letter, chosen.fold(0, |dashes, (_, set)| dashes ^ set)))?;
    }
    Ok(names)
}
