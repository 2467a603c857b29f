//! Power cuts: all disks lose their unflushed writes at once.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::{DISK_BYTES, Outcome, ensure};
use crate::Settings;
use crate::disks::Server;
use crate::load::Load;
use crate::rig::Rig;

/// Every disk is behind a server that keeps writes in its memory until they are flushed. All servers are killed, and the mount
/// with them.
pub(super) fn power_cut(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    let mut rig = Rig::create(settings, "power-cut", [DISK_BYTES; 4])?;
    let images = rig.images.paths.clone();
    let mut load = Load::new();
    let mut lost = 0;
    for cut in 0..settings.cuts {
        let mut servers = serve(&images)?;
        rig.names = servers.iter().map(Server::name).collect();
        rig.mount(&[])?;
        load.start(&rig.root()).map_err(|error| format!("after cut {cut}: {error}"))?;
        // The cut comes at different places.
        sleep(Duration::from_millis(100 + cut as u64 * 397 % 600));
        servers.drain(..).for_each(drop);
        rig.kill_mount();
        lost += usize::from(load.stop().is_err());
    }
    let servers = serve(&images)?;
    rig.names = servers.iter().map(Server::name).collect();
    rig.mount(&[])?;
    load.start(&rig.root())?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    drop(servers);
    rig.names = images.iter().map(|image| image.display().to_string()).collect();
    rig.images.tool(&["cluster", "resync", &rig.target()])?;
    rig.check()?;
    ensure(lost == settings.cuts, "a cut was between two changes of everybody: nothing was cut")?;
    Ok(Outcome::Passed(format!("{} cuts, {} changes acknowledged and all there", settings.cuts, load.changes())))
}

/// Serves images with a cache that dies with the server.
fn serve(images: &[PathBuf]) -> Result<Vec<Server>, Box<dyn Error>> {
    let server = |image: &PathBuf| {
        let parameters: [OsString; 3] = ["file".into(), image.into(), "cache=writeback".into()];
        Server::nbdkit(&["cache"], &parameters)
    };
    images.iter().map(server).collect()
}
