//! Disks that don't answer, and disks that take their time.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use super::errors::finish;
use super::{DEADLINE, DISK_BYTES, Outcome, Times, ensure};
use crate::Settings;
use crate::disks::{EXPORT, Server, free_port};
use crate::load::Load;
use crate::rig::Rig;

const NUMBER: usize = 1;

/// A server that is stopped: its node leaves at the deadline, and nobody waits for it any more.
pub(super) fn hang(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    let mut rig = Rig::create(settings, "hang", [DISK_BYTES; 4])?;
    let server = Server::qemu_nbd(&rig.images.paths[NUMBER], free_port()?, EXPORT)?;
    rig.names[NUMBER] = server.name();
    rig.mount(&DEADLINE)?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    server.signal(Signal::STOP)?;
    let image = rig.images.paths[NUMBER].clone();
    let changed = || image.metadata().map(|facts| (facts.mtime(), facts.mtime_nsec()));
    rig.wait_for_leaving(NUMBER)?;
    let before = changed()?;
    load.wait_for_changes(32)?;
    let slowest = load.slowest();
    load.wait_for_changes(32)?;
    let afterwards = load.slowest().as_secs_f32();
    ensure(server.is_stopped()? && changed()? == before, "the server isn't stopped")?;
    server.signal(Signal::CONT)?;
    let back = rig.wait_for_return(NUMBER)?;
    let times = Times { slowest, back };
    finish(rig, load, &format!("{times}; {afterwards:.2} s once the node had left"))
}

/// A server that answers within the deadline, but late: the cluster is slower, and whole.
pub(super) fn slow(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    /// The rate of each direction, in bits a second.
    const RATE: u64 = 8_000_000;
    let mut rig = Rig::create(settings, "slow", [DISK_BYTES; 4])?;
    let (rate, log) = (rig.images.folder.join("rate"), rig.images.folder.join("log"));
    fs::write(&rate, "1G")?;
    let parameters: Vec<OsString> = vec![
        "file".into(),
        (&rig.images.paths[NUMBER]).into(),
        format!("rate-file={}", rate.display()).into(),
        format!("logfile={}", log.display()).into(),
    ];
    let server = Server::nbdkit(&["log", "rate"], &parameters)?;
    rig.names[NUMBER] = server.name();
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    load.wait_for_changes(16)?;
    let usual = load.slowest();
    fs::write(&rate, RATE.to_string())?;
    load.wait_for_changes(16)?;
    let slowest = load.slowest();
    ensure(slowest > usual, "the disk wasn't slow")?;
    ensure(!rig.has_said("left the cluster")?, "a node that is only slow has left")?;
    fs::write(&rate, "1G")?;
    load.wait_for_changes(8)?;
    load.stop()?;
    load.compare(&rig.root())?;
    ensure(!rig.has_said("left the cluster")?, "a node that is only slow has left")?;
    rig.unmount()?;
    drop(server);
    rig.check()?;
    let (slowest, usual) = (slowest.as_secs_f32(), usual.as_secs_f32());
    Ok(Outcome::Passed(format!("slowest change {slowest:.2} s, {usual:.2} s before; nobody left")))
}
