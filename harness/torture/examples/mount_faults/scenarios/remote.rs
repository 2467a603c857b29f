//! Disks that go away, for a while or for good.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use super::errors::finish;
use super::{DISK_BYTES, Outcome, Times, ensure};
use crate::Settings;
use crate::disks::{EXPORT, Server, free_port};
use crate::load::Load;
use crate::rig::Rig;

const NUMBER: usize = 1;

/// The machine is there, but the disk isn't: its server has no such export any more. Later it has one again.
pub(super) fn pull_return(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    lose_and_return(settings, "pull-return", true)
}

/// The server of one node's disk is killed, and started again.
pub(super) fn nbd_loss(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    lose_and_return(settings, "nbd-loss", false)
}

fn lose_and_return(settings: &Settings, name: &str, server_stays: bool) -> Result<Outcome, Box<dyn Error>> {
    let mut rig = Rig::create(settings, name, [DISK_BYTES; 4])?;
    let image = rig.images.paths[NUMBER].clone();
    let server = Server::qemu_nbd(&image, free_port()?, EXPORT)?;
    rig.names[NUMBER] = server.name();
    let port = server.port();
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    drop(server);
    let other = rig.images.folder.join("other.img");
    File::create(&other)?.set_len(DISK_BYTES)?;
    let other = if server_stays { Some(Server::qemu_nbd(&other, port, "other")?) } else { None };
    rig.wait_for_leaving(NUMBER)?;
    let before = image.metadata()?.mtime_nsec();
    load.wait_for_changes(32)?;
    let name = rig.names[NUMBER].clone();
    ensure(rig.images.tool(&["info", &name]).is_err(), "the disk is still served")?;
    ensure(image.metadata()?.mtime_nsec() == before, "the disk is still written")?;
    drop(other);
    let _server = Server::qemu_nbd(&image, port, EXPORT)?;
    let back = rig.wait_for_return(NUMBER)?;
    ensure(image.metadata()?.mtime_nsec() != before, "nothing was written to the disk after it was back")?;
    let times = Times { slowest: load.slowest(), back };
    finish(rig, load, &times)
}

/// A disk is lost for good: a blank one takes its place, while the others go on.
pub(super) fn blank_replace(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    let mut rig = Rig::create(settings, "blank-replace", [DISK_BYTES; 4])?;
    let image = rig.images.paths[NUMBER].clone();
    let server = Server::qemu_nbd(&image, free_port()?, EXPORT)?;
    rig.names[NUMBER] = server.name();
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    drop(server);
    fs::remove_file(&image)?;
    rig.wait_for_leaving(NUMBER)?;
    load.wait_for_changes(16)?;
    let slowest = load.slowest().as_secs_f32();
    File::create(&image)?.set_len(DISK_BYTES)?;
    ensure(image.metadata()?.blocks() == 0, "the new disk isn't blank")?;
    // The mount keeps the old address claimed as long as it lives.
    let server = Server::qemu_nbd(&image, free_port()?, EXPORT)?;
    rig.names[NUMBER] = server.name();
    let mounted = rig.root().display().to_string();
    let start = Instant::now();
    rig.images.tool(&["cluster", "replace", &mounted, &NUMBER.to_string(), &rig.names[NUMBER]])?;
    let replaced = start.elapsed().as_secs_f32();
    rig.images.tool(&["cluster", "status", &mounted])?;
    load.wait_for_changes(16)?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    drop(server);
    ensure(image.metadata()?.blocks() > 0, "nothing was written to the new disk")?;
    rig.check()?;
    Ok(Outcome::Passed(format!("slowest change {slowest:.2} s; replaced in {replaced:.1} s")))
}
