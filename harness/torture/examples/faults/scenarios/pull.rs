//! A disk that is taken out of the running machine, and put back.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{exchange, is_there, pull, put_back, statistic};
use crate::rig::Nodes;
use crate::settings::Settings;

const NUMBER: usize = 1;

/// Its node leaves; when it is back, what has changed meanwhile is copied.
pub(super) fn pull_return(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "pull-return", 4)
}

/// The same, as a demonstration.
pub(super) fn demonstration(settings: &Settings) -> Result<(), Box<dyn Error>> {
    lose_and_return(settings, "demonstration", 3)?;
    println!("boot: all three disks are in step; each is sound, and holds the same by itself");
    Ok(())
}

/// A disk is taken out, and a blank one put into its slot: everything is copied to that, and it takes the other's place.
pub(super) fn blank_replace(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut nodes = Nodes::create(settings, "blank-replace", &[DISK_BYTES; 4])?;
    let blank = nodes.images.folder.join("blank.img");
    File::create(&blank)?.set_len(DISK_BYTES)?;
    let mut rig = nodes.start(DEADLINE)?;
    pull(&mut rig.qmp, NUMBER)?;
    rig.wait_for_leaving(NUMBER)?;
    rig.machine.wait_for_epochs(2)?;
    ensure(!is_there(&mut rig.qmp, NUMBER)?, "the machine still has the disk")?;
    exchange(&mut rig.qmp, NUMBER, &blank)?;
    put_back(&mut rig.qmp, NUMBER)?;
    rig.machine.wait_for("a disk is put into slot")?;
    rig.machine.order(b'r')?;
    rig.machine.wait_for("has taken the place of")?;
    rig.machine.wait_for_epochs(2)?;
    ensure(blank.metadata()?.blocks() > 0, "nothing was written to the blank disk")?;
    nodes = rig.end()?;
    nodes.images.paths[NUMBER] = blank;
    nodes.images.check()
}

fn lose_and_return(settings: &Settings, name: &str, disks: usize) -> Result<(), Box<dyn Error>> {
    let mut rig = Nodes::create(settings, name, &vec![DISK_BYTES; disks])?.start(DEADLINE)?;
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
