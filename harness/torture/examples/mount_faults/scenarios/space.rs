//! Disks without room.

use std::error::Error;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hammer2_core::random::Random;
use hammer2_torture::versions::read_anew;

use super::errors::finish;
use super::{DISK_BYTES, Outcome, Times, ensure};
use crate::Settings;
use crate::disks::Faulty;
use crate::load::Load;
use crate::rig::Rig;

/// The smallest disk, in bytes.
const SMALL_BYTES: u64 = 192 << 20;

/// The smallest disk is full: changes that don't fit there are refused, and no node leaves. Then the space behind a disk is full:
/// its node leaves.
pub(super) fn disk_full(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    const NUMBER: usize = 1;
    let mut rig = Rig::create(settings, "disk-full", [DISK_BYTES, SMALL_BYTES, DISK_BYTES, DISK_BYTES])?;
    let faulty = Faulty::start(&rig.images.paths[NUMBER], &["pwrite"], "ENOSPC")?;
    rig.names[NUMBER] = faulty.server.name();
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.stop()?;
    let filled = rig.root().join("filled");
    let accepted = fill(&filled)?;
    ensure(accepted as u64 > SMALL_BYTES / 2, "refused long before the disk was full")?;
    ensure(rig.images.paths[NUMBER].metadata()?.blocks() * 512 > SMALL_BYTES / 10 * 7, "the image isn't full")?;
    ensure(read_anew(&filled)?.len() == accepted, "what was accepted isn't there")?;
    load.compare(&rig.root())?;
    fs::remove_file(&filled)?;
    load.start(&rig.root()).map_err(|error| format!("after removing: {error}"))?;
    ensure(!rig.has_said("left the cluster")?, "a node has left because the filesystem was full")?;

    load.slowest();
    faulty.fail()?;
    rig.wait_for_leaving(NUMBER)?;
    load.wait_for_changes(16)?;
    ensure(faulty.failures()? > 0, "the server has let no write fail")?;
    faulty.mend()?;
    let back = rig.wait_for_return(NUMBER)?;
    let times = Times { slowest: load.slowest(), back };
    finish(rig, load, &times)
}

/// Writes a file until nothing fits any more; returns how many bytes of it were accepted and are durable.
fn fill(path: &Path) -> Result<usize, Box<dyn Error>> {
    let mut file = File::create(path)?;
    let (mut noise, mut piece) = (Random::new(1), vec![0; 65536]);
    loop {
        noise.fill(&mut piece);
        match file.write_all(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => return Err(error.into()),
        }
    }
    file.sync_all().map_err(|error| format!("what was accepted isn't durable: {error}"))?;
    Ok(file.metadata()?.len() as usize)
}
