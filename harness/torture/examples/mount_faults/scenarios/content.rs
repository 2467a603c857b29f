//! Bytes that change on a disk unnoticed.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use super::{DISK_BYTES, Outcome, ensure};
use crate::Settings;
use crate::load::Load;
use crate::rig::Rig;

/// Flips a bit in every file block of the disk that is asked first: others answer for it, and a scrub writes the blocks anew.
pub(super) fn bit_flip(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    const NUMBER: usize = 0;
    let mut rig = Rig::create(settings, "bit-flip", [DISK_BYTES; 4])?;
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.wait_for_changes(16)?;
    load.stop()?;
    rig.unmount()?;
    let image = rig.images.paths[NUMBER].clone();
    let name = image.display().to_string();
    let shown = rig.images.tool(&["show", "--json", &Rig::alone(&name)])?;
    let blocks: Vec<u64> = shown.lines().filter_map(data_block).collect();
    let flipped = flip(&image, &blocks)?;
    ensure(rig.images.tool(&["fsck", "--strict", &name]).is_err(), "fsck doesn't see the flipped bits")?;

    rig.mount(&[])?;
    // The load compares everything before it writes.
    load.start(&rig.root())?;
    load.wait_for_changes(8)?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    let (count, left) = (flipped.len(), still(&image, &flipped)?);
    rig.images.tool(&["cluster", "scrub", &rig.target()])?;
    rig.check()?;
    Ok(Outcome::Passed(format!("{count} blocks flipped, none was read; {left} left to the scrub")))
}

/// Where the bytes of a file block begin, if the line of `hammer2 show` is about one.
fn data_block(line: &str) -> Option<u64> {
    /// The low bits of a place, which encode the block's size.
    const SIZE_BITS: u64 = 0x3f;
    let block: Value = serde_json::from_str(line).ok()?;
    let place = block["data_off"].as_u64()? & !SIZE_BITS;
    (block["kind"] == "data" && place != 0).then_some(place)
}

/// Flips a bit of each block; returns the places, and the bytes there now.
fn flip(image: &Path, blocks: &[u64]) -> Result<Vec<(u64, u8)>, Box<dyn Error>> {
    let file = File::options().read(true).write(true).open(image)?;
    let mut flipped = Vec::new();
    for block in blocks {
        let mut byte = [0];
        let place = block + 7;
        file.read_exact_at(&mut byte, place)?;
        byte[0] ^= 0x10;
        file.write_all_at(&byte, place)?;
        flipped.push((place, byte[0]));
    }
    ensure(!flipped.is_empty(), "there is no file block on the disk")?;
    Ok(flipped)
}

/// How many of these bytes are still flipped.
fn still(image: &Path, flipped: &[(u64, u8)]) -> Result<usize, Box<dyn Error>> {
    let file = File::open(image)?;
    let mut count = 0;
    for (place, wrong) in flipped {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *place)?;
        count += usize::from(byte[0] == *wrong);
    }
    Ok(count)
}
