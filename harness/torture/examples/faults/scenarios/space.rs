//! Disks without room.

use std::error::Error;
use std::os::unix::fs::MetadataExt;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{Kind, fail, failures, mend};
use crate::rig::Nodes;
use crate::settings::Settings;

/// The smallest disk, in bytes.
const SMALL_BYTES: u64 = 192 << 20;

const ENOSPC: u32 = 28;

/// The smallest disk is full: changes that don't fit there are refused, and no node leaves. Then the space behind a disk is full:
/// its node leaves.
pub(super) fn disk_full(settings: &Settings) -> Result<(), Box<dyn Error>> {
    const NUMBER: usize = 1;
    let mut rig =
        Nodes::create(settings, "disk-full", &[DISK_BYTES, SMALL_BYTES, DISK_BYTES, DISK_BYTES])?.start(DEADLINE)?;
    rig.machine.order(b'f')?;
    rig.machine.wait_for("then: no space left")?;
    let taken = rig.nodes.images.paths[NUMBER].metadata()?.blocks() * 512;
    ensure(taken > SMALL_BYTES / 10 * 8, "the image isn't full")?;
    rig.machine.wait_for("there is room again")?;
    rig.machine.wait_for_epochs(2)?;
    ensure(!rig.machine.has_said("leaves the cluster"), "a node has left because the filesystem was full")?;

    fail(&mut rig.qmp, NUMBER, &[Kind::Write], ENOSPC)?;
    rig.wait_for_leaving(NUMBER)?;
    rig.machine.wait_for_epochs(2)?;
    ensure(failures(&mut rig.qmp, NUMBER, &[Kind::Write])? > 0, "QEMU has let no write fail")?;
    mend(&mut rig.qmp, NUMBER)?;
    rig.wait_for_return(NUMBER)?;
    rig.finish()
}
