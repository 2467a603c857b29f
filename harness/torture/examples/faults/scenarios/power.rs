//! Power cuts: all disks of the cluster lose their unflushed writes at once.
//!
//! The disks are parts of one image, whose writes QEMU logs: one log has the order of all writes on all disks. A flush of one
//! disk counts for all of them; so a cut is milder than it could be, but always a possible one.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use allocator_api2::alloc::Global;
use hammer2_core::io::MemoryDisk;
use hammer2_core::random::Random;
use hammer2_core::selftest::power_cut::{MARKER_BYTES, epoch_of};
use hammer2_host::device::{load_image, save_image};
use hammer2_host::replay::Replay;
use hammer2_host::replay::write_log::{self, Event};
use serde_json::json;

use super::ensure;
use crate::machine::Machine;
use crate::rig::Nodes;
use crate::settings::Settings;

const NODES: usize = 4;
/// The size of each disk.
const PART_BYTES: u64 = 256 << 20;
const PIECE_BYTES: usize = 64 << 10;
/// After how many cuts each disk is checked by itself.
const LOOK_EVERY: usize = 20;
const DEADLINE: u32 = 20_000;

pub(super) fn power_cut(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let nodes = Nodes::create(settings, "power-cut", &[PART_BYTES; NODES])?;
    let whole = nodes.images.folder.join("whole.img");
    let log = nodes.images.folder.join("log");
    File::create(&log)?;
    join(&nodes, &whole)?;
    let before = load_image(&Global, &File::open(&whole)?)?;

    let mut machine = boot(&nodes, &format!("mode=cluster seed={}", settings.seed), &whole, Some(&log))?;
    machine.wait_for_epochs(2)?;
    // The machine is killed, so that the log ends in the middle of something.
    drop(machine);
    let log = fs::read(&log)?;
    cut_everywhere(&nodes, &write_log::parse(&log)?, before, &whole)
}

fn cut_everywhere(
    nodes: &Nodes<'_>,
    events: &[Event<'_>],
    before: MemoryDisk,
    whole: &Path,
) -> Result<(), Box<dyn Error>> {
    let settings = nodes.settings;
    let mut random = Random::new(settings.seed);
    let mut places: Vec<usize> = (0..settings.cuts).map(|_| random.index(events.len()) + 1).collect();
    places.sort_unstable();
    let mut replay = Replay::new(before);
    let (mut cut, mut acknowledged) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if let Event::Write { data, .. } = event {
            // The marker of the next epoch is written once this one is acknowledged.
            let marker = data.chunks(MARKER_BYTES).filter_map(epoch_of).max();
            acknowledged = acknowledged.max(marker.unwrap_or(1) - 1);
        }
        replay.take(*event)?;
        while places.get(cut) == Some(&(index + 1)) {
            let at = |error| format!("cut {cut}, behind entry {index} of {}: {error}", events.len());
            save_image(&replay.cut(&mut random)?, &File::create(whole)?)?;
            let command_line = format!("mode=cluster-check seed={} acknowledged={acknowledged}", settings.seed);
            boot(nodes, &command_line, whole, None)?.passed().map_err(at)?;
            if cut % LOOK_EVERY == 0 {
                split(nodes, whole)?;
                nodes.images.check().map_err(at)?;
            }
            cut += 1;
        }
    }
    ensure(acknowledged > 8, "hardly anything was done before the cut")
}

/// Boots the kernel on the parts of an image.
fn boot(nodes: &Nodes<'_>, command_line: &str, whole: &Path, log: Option<&Path>) -> Result<Machine, Box<dyn Error>> {
    let mut devices = Vec::new();
    let mut block = |node: serde_json::Value| devices.extend(["-blockdev".to_owned(), node.to_string()]);
    block(json!({ "driver": "file", "filename": whole, "node-name": "whole" }));
    let mut below = "whole";
    if let Some(log) = log {
        block(json!({ "driver": "file", "filename": log, "node-name": "log" }));
        block(json!({ "driver": "blklogwrites", "file": "whole", "log": "log", "node-name": "logged" }));
        below = "logged";
    }
    for number in 0..NODES {
        let offset = number as u64 * PART_BYTES;
        block(json!({
            "driver": "raw", "file": below, "offset": offset, "size": PART_BYTES, "node-name": format!("disk{number}"),
        }));
    }
    for number in 0..NODES {
        devices.extend(["-device".to_owned(), format!("virtio-blk-pci,drive=disk{number},share-rw=on")]);
    }
    Machine::start(nodes.settings, &nodes.images.folder, &format!("{command_line} deadline={DEADLINE}"), &devices)
}

/// Makes one image of the disks.
fn join(nodes: &Nodes<'_>, whole: &Path) -> Result<(), Box<dyn Error>> {
    let target = File::create(whole)?;
    target.set_len(PART_BYTES * NODES as u64)?;
    for (number, image) in nodes.images.paths.iter().enumerate() {
        copy(&File::open(image)?, 0, &target, number as u64 * PART_BYTES)?;
    }
    Ok(())
}

/// Makes disks of the parts of an image.
fn split(nodes: &Nodes<'_>, whole: &Path) -> Result<(), Box<dyn Error>> {
    let source = File::open(whole)?;
    for (number, image) in nodes.images.paths.iter().enumerate() {
        let target = File::create(image)?;
        target.set_len(PART_BYTES)?;
        copy(&source, number as u64 * PART_BYTES, &target, 0)?;
    }
    Ok(())
}

/// Copies a part; zeros stay holes.
fn copy(source: &File, from: u64, target: &File, to: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    for offset in (0..PART_BYTES).step_by(PIECE_BYTES) {
        source.read_exact_at(&mut piece, from + offset)?;
        if piece.iter().any(|byte| *byte != 0) {
            target.write_all_at(&piece, to + offset)?;
        }
    }
    Ok(())
}
