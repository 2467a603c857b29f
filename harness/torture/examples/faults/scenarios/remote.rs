//! A disk on another machine, which goes away.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{DEADLINE, DISK_BYTES, ensure};
use crate::disks::{Backing, Kind, failures};
use crate::rig::Nodes;
use crate::settings::Settings;

/// A server that exports an image.
struct Server(Child);

impl Server {
    fn start(image: &Path, socket: &Path) -> Result<Self, Box<dyn Error>> {
        let _ = std::fs::remove_file(socket);
        let child = Command::new("qemu-nbd")
            .args(["--format=raw", "--discard=unmap", "--persistent", "--socket"])
            .args([socket, image])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("can't start qemu-nbd: {error}"))?;
        let server = Self(child);
        let start = Instant::now();
        while !socket.exists() {
            ensure(start.elapsed() < Duration::from_secs(10), "qemu-nbd doesn't serve")?;
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is killed, so that the export is lost.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server of one node's disk is killed, and started again.
pub(super) fn nbd_loss(settings: &Settings) -> Result<(), Box<dyn Error>> {
    const NUMBER: usize = 1;
    let nodes = Nodes::create(settings, "nbd-loss", &[DISK_BYTES; 4])?;
    let (image, socket) = (nodes.images.paths[NUMBER].clone(), nodes.images.folder.join("nbd"));
    let server = Server::start(&image, &socket)?;
    let mut backings: Vec<Backing> = nodes.images.paths.iter().cloned().map(Backing::File).collect();
    backings[NUMBER] = Backing::Nbd(socket.clone());
    let mut rig = nodes.start_on(DEADLINE, &backings)?;
    drop(server);
    rig.wait_for_leaving(NUMBER)?;
    rig.machine.wait_for_epochs(2)?;
    let count = failures(&mut rig.qmp, NUMBER, &[Kind::Read, Kind::Write, Kind::Flush])?;
    ensure(count > 0, "QEMU hasn't noticed that the server is gone")?;
    let server = Server::start(&image, &socket)?;
    rig.wait_for_return(NUMBER)?;
    let nodes = rig.end()?;
    drop(server);
    nodes.images.check()
}
