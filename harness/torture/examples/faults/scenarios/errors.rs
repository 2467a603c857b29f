//! Requests that fail.

use std::error::Error;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{Kind, fail, failures, mend};
use crate::rig::{Nodes, Rig};
use crate::settings::Settings;

const EIO: u32 = 5;

/// Reads of the node that is asked first fail: others answer, and it leaves when it can't read its own metadata.
pub(super) fn read_error(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "read-error", 0, Kind::Read)
}

/// Writes fail: the node leaves at once.
pub(super) fn write_error(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "write-error", 1, Kind::Write)
}

/// Flushes fail: the node leaves, although all its writes were done.
pub(super) fn flush_error(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "flush-error", 2, Kind::Flush)
}

fn lose_and_return(settings: &Settings, name: &str, number: usize, kind: Kind) -> Result<(), Box<dyn Error>> {
    let mut rig = Nodes::create(settings, name, &[DISK_BYTES; 4])?.start(DEADLINE)?;
    fail(&mut rig.qmp, number, &[kind], EIO)?;
    let line = rig.wait_for_leaving(number)?;
    ensure(line.contains("device error"), "the node has left for another reason")?;
    // Only a single flush fails, so the node is back very soon.
    if kind != Kind::Flush {
        rig.machine.wait_for_epochs(3)?;
    }
    has_failed(&mut rig, number, &[kind])?;
    // QEMU flushes a disk when it mends it: that must not be the flush that fails.
    mend(&mut rig.qmp, number)?;
    rig.wait_for_return(number)?;
    rig.finish()
}

fn has_failed(rig: &mut Rig<'_>, number: usize, kinds: &[Kind]) -> Result<(), Box<dyn Error>> {
    let count = failures(&mut rig.qmp, number, kinds)?;
    ensure(count > 0, "QEMU has let no request fail")
}

/// Two of three disks fail: nothing more is acknowledged until one is back.
pub(super) fn two_at_once(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut rig = Nodes::create(settings, "two-at-once", &[DISK_BYTES; 4])?.start(DEADLINE)?;
    for number in [0, 2] {
        fail(&mut rig.qmp, number, &[Kind::Read, Kind::Write], EIO)?;
    }
    rig.machine.wait_for("stopped: no quorum")?;
    rig.machine.wait_for("can't be mounted yet")?;
    for number in [0, 2] {
        has_failed(&mut rig, number, &[Kind::Read, Kind::Write])?;
        mend(&mut rig.qmp, number)?;
    }
    rig.machine.wait_for("masters in sync")?;
    rig.machine.wait_for_epochs(3)?;
    rig.finish()
}
