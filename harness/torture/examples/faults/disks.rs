//! The disks of a machine in QEMU, each through nodes of QEMU's block layer that can be changed while it runs.
//! From the bottom up: `file` or an NBD export, a throttle, sometimes a node that fails, and `disk`, which the machine has.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::qmp::Qmp;

/// Where a disk's content is kept.
#[derive(Clone)]
pub(crate) enum Backing {
    /// An image.
    File(PathBuf),
    /// The export of a server at a socket.
    Nbd(PathBuf),
}

/// How many seconds QEMU waits for a lost server.
const RECONNECT_SECONDS: u64 = 2;

/// QEMU's arguments for a disk.
pub(crate) fn arguments(number: usize, backing: &Backing) -> Vec<String> {
    let below = match backing {
        Backing::File(image) => file(number, image),
        Backing::Nbd(socket) => json!({
            "driver": "nbd", "server": { "type": "unix", "path": socket }, "node-name": format!("file{number}"),
            "reconnect-delay": RECONNECT_SECONDS,
        }),
    };
    vec![
        "-object".into(),
        format!("throttle-group,id=group{number}"),
        "-blockdev".into(),
        below.to_string(),
        "-blockdev".into(),
        throttle(number).to_string(),
        "-blockdev".into(),
        raw(number, "throttle").to_string(),
        "-device".into(),
        format!("virtio-blk-pci,{}", device(number)),
    ]
}

fn file(number: usize, image: &Path) -> Value {
    json!({ "driver": "file", "filename": image, "node-name": format!("file{number}"), "discard": "unmap" })
}

fn throttle(number: usize) -> Value {
    json!({
        "driver": "throttle", "throttle-group": format!("group{number}"), "file": format!("file{number}"),
        "node-name": format!("throttle{number}"), "discard": "unmap",
    })
}

fn raw(number: usize, below: &str) -> Value {
    json!({
        "driver": "raw", "file": format!("{below}{number}"), "node-name": format!("disk{number}"), "discard": "unmap",
    })
}

/// The device of a disk. Errors reach the machine, and QEMU doesn't stop it instead.
fn device(number: usize) -> String {
    format!("drive=disk{number},id=virtio{number},addr={:#x},rerror=report,werror=report", slot(number))
}

/// The slot of a disk on the bus. QEMU itself needs the first two.
fn slot(number: usize) -> usize {
    number + 2
}

/// Asks the machine to let a disk go.
pub(crate) fn pull(qmp: &mut Qmp, number: usize) -> Result<(), Box<dyn Error>> {
    qmp.command("device_del", json!({ "id": format!("virtio{number}") })).map(drop)
}

/// True while the machine has a disk.
pub(crate) fn is_there(qmp: &mut Qmp, number: usize) -> Result<bool, Box<dyn Error>> {
    let devices = qmp.command("qom-list", json!({ "path": "/machine/peripheral" }))?;
    let name = format!("virtio{number}");
    Ok(devices.as_array().into_iter().flatten().any(|device| device["name"] == *name))
}

/// Gives a disk that is not in the machine another image.
pub(crate) fn exchange(qmp: &mut Qmp, number: usize, image: &Path) -> Result<(), Box<dyn Error>> {
    let name = |below: &str| format!("{below}{number}");
    for below in ["disk", "throttle", "file"] {
        qmp.command("blockdev-del", json!({ "node-name": name(below) }))?;
    }
    for node in [file(number, image), throttle(number), raw(number, "throttle")] {
        qmp.command("blockdev-add", node)?;
    }
    Ok(())
}

/// Puts a disk back.
pub(crate) fn put_back(qmp: &mut Qmp, number: usize) -> Result<(), Box<dyn Error>> {
    let device = json!({
        "driver": "virtio-blk-pci", "drive": format!("disk{number}"), "id": format!("virtio{number}"),
        "addr": format!("{:#x}", slot(number)), "rerror": "report", "werror": "report",
    });
    qmp.command("device_add", device).map(drop)
}

/// The kinds of requests that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Flush,
}

impl Kind {
    fn iotype(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        }
    }

    fn counter(self) -> &'static str {
        match self {
            Self::Read => "failed_rd_operations",
            Self::Write => "failed_wr_operations",
            Self::Flush => "failed_flush_operations",
        }
    }
}

/// Makes these requests of a disk fail from now on; for flushes only the next, as QEMU flushes when it is told to [`mend`] the
/// disk.
pub(crate) fn fail(qmp: &mut Qmp, number: usize, kinds: &[Kind], errno: u32) -> Result<(), Box<dyn Error>> {
    let rules = kinds.iter().map(|kind| {
        let once = matches!(kind, Kind::Flush);
        json!({ "event": "none", "iotype": kind.iotype(), "errno": errno, "once": once })
    });
    let broken = json!({
        "driver": "blkdebug", "node-name": format!("broken{number}"), "image": format!("throttle{number}"),
        "discard": "unmap", "inject-error": rules.collect::<Vec<_>>(),
    });
    qmp.command("blockdev-add", broken)?;
    qmp.command("blockdev-reopen", json!({ "options": [raw(number, "broken")] })).map(drop)
}

/// Ends the failures.
pub(crate) fn mend(qmp: &mut Qmp, number: usize) -> Result<(), Box<dyn Error>> {
    qmp.command("blockdev-reopen", json!({ "options": [raw(number, "throttle")] }))?;
    qmp.command("blockdev-del", json!({ "node-name": format!("broken{number}") })).map(drop)
}

/// Limits a disk to so many requests a second; 0 means no limit.
pub(crate) fn limit(qmp: &mut Qmp, number: usize, requests_per_second: u32) -> Result<(), Box<dyn Error>> {
    let limits = json!({ "iops-total": requests_per_second });
    let path = format!("/objects/group{number}");
    qmp.command("qom-set", json!({ "path": path, "property": "limits", "value": limits })).map(drop)
}

/// One of QEMU's counters for a disk.
pub(crate) fn statistic(qmp: &mut Qmp, number: usize, name: &str) -> Result<u64, Box<dyn Error>> {
    let all = qmp.command("query-blockstats", json!({}))?;
    let device = format!("/virtio{number}/");
    let is_it = |disk: &&Value| disk["qdev"].as_str().is_some_and(|path| path.contains(&device));
    let disk = all.as_array().into_iter().flatten().find(is_it).ok_or("QEMU counts nothing for a disk")?;
    disk["stats"][name].as_u64().ok_or(format!("QEMU doesn't count {name}").into())
}

/// How many requests of a disk, of some kinds, have failed.
pub(crate) fn failures(qmp: &mut Qmp, number: usize, kinds: &[Kind]) -> Result<u64, Box<dyn Error>> {
    kinds.iter().map(|kind| statistic(qmp, number, kind.counter())).sum()
}
