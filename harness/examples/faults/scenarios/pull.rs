//! A disk that is taken out of the running machine, and put back.

use std::error::Error;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{is_there, pull, put_back, statistic};
use crate::rig::Images;
use crate::settings::Settings;

const NUMBER: usize = 1;

/// Its node leaves; when it is back, what has changed meanwhile is copied.
pub(super) fn pull_return(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "pull-return")
}

/// The same, for somebody who looks on.
pub(super) fn demonstration(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "demonstration")?;
    println!("boot: all three disks are in step; each is sound, and holds the same by itself");
    Ok(())
}

fn lose_and_return(settings: &Settings, name: &str) -> Result<(), Box<dyn Error>> {
    let mut rig = Images::create(settings, name, &[DISK_BYTES; 3])?.start(DEADLINE)?;
    rig.say("disk 1 of 3 is taken out of the running machine");
    pull(&mut rig.qmp, NUMBER)?;
    rig.machine.wait_for("is taken out")?;
    rig.wait_for_leaving(NUMBER)?;
    rig.machine.wait_for_epochs(3)?;
    ensure(!is_there(&mut rig.qmp, NUMBER)?, "the machine still has the disk")?;
    rig.say("QEMU has no such disk any more, and the cluster goes on without it; now it is put back");
    put_back(&mut rig.qmp, NUMBER)?;
    rig.wait_for_return(NUMBER)?;
    let written = statistic(&mut rig.qmp, NUMBER, "wr_bytes")?;
    ensure(written > 0, "nothing was written to the disk after it was put back")?;
    rig.say(&format!("QEMU has counted {written} bytes written to it since; that is enough"));
    rig.finish()
}
