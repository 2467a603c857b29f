//! Bytes that change on a disk unnoticed.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hammer2_torture::images::LABEL;
use serde_json::Value;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::rig::Nodes;
use crate::settings::Settings;

/// Flips a bit in every file block of one disk: others answer for it, and the blocks are written anew.
pub(super) fn bit_flip(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut rig = Nodes::create(settings, "bit-flip", &[DISK_BYTES; 4])?.start(DEADLINE)?;
    rig.machine.order(b'h')?;
    rig.machine.wait_for("cluster: held")?;
    let image = rig.nodes.images.paths[0].clone();
    let name = image.display().to_string();
    rig.nodes.images.tool(&["fsck", "--strict", &name])?;
    let shown = rig.nodes.images.tool(&["show", "--json", &format!("{name}@{LABEL}")])?;
    let blocks: Vec<u64> = shown.lines().filter_map(data_block).collect();
    flip(&image, &blocks)?;
    ensure(rig.nodes.images.tool(&["fsck", "--strict", &name]).is_err(), "fsck doesn't see the flipped bits")?;
    // Any letter ends the pause; the next is an order.
    rig.machine.order(b'.')?;
    rig.machine.order(b's')?;
    let report = rig.machine.wait_for("cluster: scrub:")?;
    let repaired = number_before(&report, " repaired").ok_or("the scrub says nothing of repairs")?;
    ensure(repaired > 0, "nothing was repaired")?;
    rig.machine.wait_for_epochs(2)?;
    rig.finish()
}

/// Where the bytes of a file block begin, if the line of `hammer2 show` is about one.
fn data_block(line: &str) -> Option<u64> {
    /// The low bits of a place, which encode the block's size.
    const SIZE_BITS: u64 = 0x3f;
    let block: Value = serde_json::from_str(line).ok()?;
    let place = block["data_off"].as_u64()? & !SIZE_BITS;
    (block["kind"] == "data" && place != 0).then_some(place)
}

fn flip(image: &Path, places: &[u64]) -> Result<(), Box<dyn Error>> {
    let file = File::options().read(true).write(true).open(image)?;
    let mut byte = [0];
    for place in places {
        file.read_exact_at(&mut byte, place + 7)?;
        file.write_all_at(&[byte[0] ^ 0x10], place + 7)?;
    }
    ensure(!places.is_empty(), "there is no file block on the disk")
}

/// The number in front of some text.
fn number_before(line: &str, text: &str) -> Option<u64> {
    line.split(text).next()?.rsplit(' ').next()?.parse().ok()
}
