//! Disks that don't answer, and disks that take their time.

use std::error::Error;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{limit, statistic};
use crate::rig::Nodes;
use crate::settings::Settings;

/// A disk that all but stops: its node leaves at the deadline, and nobody waits for it any more.
pub(super) fn hang(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut rig = Nodes::create(settings, "hang", &[DISK_BYTES; 4])?.start(DEADLINE)?;
    let before = statistic(&mut rig.qmp, 1, "wr_operations")?;
    limit(&mut rig.qmp, 1, 1)?;
    rig.wait_for_leaving(1)?;
    let written = statistic(&mut rig.qmp, 1, "wr_operations")? - before;
    ensure(written < 20, "the disk hasn't hung")?;
    rig.machine.wait_for_epochs(3)?;
    limit(&mut rig.qmp, 1, 0)?;
    rig.wait_for_return(1)?;
    rig.finish()
}

/// A disk that answers within the deadline, but late: the cluster is slower, and whole.
pub(super) fn slow(settings: &Settings) -> Result<(), Box<dyn Error>> {
    const REQUESTS_PER_SECOND: u32 = 60;
    let mut rig = Nodes::create(settings, "slow", &[DISK_BYTES; 4])?.start(20_000)?;
    limit(&mut rig.qmp, 1, REQUESTS_PER_SECOND)?;
    rig.machine.wait_for_epochs(1)?;
    let start = std::time::Instant::now();
    let before = statistic(&mut rig.qmp, 1, "wr_operations")? + statistic(&mut rig.qmp, 1, "rd_operations")?;
    rig.machine.wait_for_epochs(2)?;
    let after = statistic(&mut rig.qmp, 1, "wr_operations")? + statistic(&mut rig.qmp, 1, "rd_operations")?;
    let most = start.elapsed().as_secs_f64() * f64::from(2 * REQUESTS_PER_SECOND) + 10.0;
    ensure(((after - before) as f64) < most, "the disk wasn't slow")?;
    ensure(!rig.machine.has_said("leaves the cluster"), "a node that is only slow has left")?;
    limit(&mut rig.qmp, 1, 0)?;
    rig.machine.wait_for_epochs(2)?;
    rig.finish()
}
