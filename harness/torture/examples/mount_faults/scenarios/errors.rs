//! Requests that fail.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use hammer2_torture::program::run;
use hammer2_torture::versions::{read_anew, write_durably};

use super::{DISK_BYTES, Outcome, Times, ensure};
use crate::Settings;
use crate::disks::{Faulty, Loop, Server};
use crate::load::Load;
use crate::rig::Rig;

/// How long programs are watched while they wait.
const WAITING: Duration = Duration::from_secs(2);
/// More than the mount may keep in memory.
const BALLAST_BYTES: usize = 48 << 20;

/// Reads of the node that is asked first fail: others answer, and it leaves when it can't read its own metadata.
pub(super) fn read_error(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    const NUMBER: usize = 0;
    let mut rig = Rig::create(settings, "read-error", [DISK_BYTES; 4])?;
    let faulty = Faulty::start(&rig.images.paths[NUMBER], &["pread"], "EIO")?;
    rig.names[NUMBER] = faulty.server.name();
    rig.mount(&["--memory", "16"])?;
    let ballast: Vec<u8> =
        (0..BALLAST_BYTES / 8).flat_map(|number| (number as u64 * 0x9e37_79b9).to_le_bytes()).collect();
    let path = rig.root().join("ballast");
    fs::write(&path, &ballast)?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    faulty.fail()?;
    ensure(read_anew(&path)? == ballast, "something wrong was read")?;
    rig.wait_for_leaving(NUMBER)?;
    load.wait_for_changes(16)?;
    ensure(faulty.failures()? > 0, "the server has let no read fail")?;
    faulty.mend()?;
    let back = rig.wait_for_return(NUMBER)?;
    let times = Times { slowest: load.slowest(), back };
    ensure(read_anew(&path)? == ballast, "something wrong was read")?;
    finish(rig, load, &times)
}

/// Writes to a loop device fail: the node leaves at once.
pub(super) fn write_error(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    const NUMBER: usize = 1;
    let mut rig = Rig::create(settings, "write-error", [DISK_BYTES; 4])?;
    let Some(device) = Loop::attach(&rig.images.paths[NUMBER]) else {
        return Ok(Outcome::Skipped("no loop devices"));
    };
    rig.names[NUMBER].clone_from(&device.0);
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    device.set_read_only(true)?;
    rig.wait_for_leaving(NUMBER)?;
    ensure(run("blockdev", &["--getro", &device.0])? == "1", "the device can be written")?;
    load.wait_for_changes(32)?;
    device.set_read_only(false)?;
    let back = rig.wait_for_return(NUMBER)?;
    let times = Times { slowest: load.slowest(), back };
    load.wait_for_changes(8)?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    drop(device);
    rig.check()?;
    Ok(Outcome::Passed(times.to_string()))
}

/// Flushes fail: the node leaves, although all its writes were done.
pub(super) fn flush_error(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    const NUMBER: usize = 2;
    let mut rig = Rig::create(settings, "flush-error", [DISK_BYTES; 4])?;
    let image = rig.images.paths[NUMBER].display().to_string();
    let (switch, count) = (rig.images.folder.join("fails"), rig.images.folder.join("count"));
    // No filter of nbdkit makes flushes fail, but a few lines of shell can, request by request.
    let flush = format!(
        "if [ -e {0} ]; then echo failed >>{1}; echo 'EIO no flush' >&2; exit 1; fi; sync --data {image}",
        switch.display(),
        count.display()
    );
    let parameters: Vec<OsString> = [
        "eval".to_owned(),
        format!("get_size=stat --format=%s {image}"),
        format!("pread=dd if={image} skip=$4 count=$3 iflag=skip_bytes,count_bytes,fullblock bs=64K status=none"),
        format!("pwrite=dd of={image} seek=$4 oflag=seek_bytes conv=notrunc bs=64K iflag=fullblock status=none"),
        "can_write=exit 0".to_owned(),
        "can_flush=exit 0".to_owned(),
        format!("flush={flush}"),
    ]
    .map(OsString::from)
    .into();
    let server = Server::nbdkit(&[], &parameters)?;
    rig.names[NUMBER] = server.name();
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    load.slowest();
    fs::write(&switch, "")?;
    rig.wait_for_leaving(NUMBER)?;
    load.wait_for_changes(16)?;
    ensure(count.exists(), "the server has let no flush fail")?;
    fs::remove_file(&switch)?;
    let back = rig.wait_for_return(NUMBER)?;
    let times = Times { slowest: load.slowest(), back };
    finish(rig, load, &times)
}

/// Two of three disks fail: nothing more is acknowledged until one of them is back. Programs get an error, or wait, by the
/// mount's policy; the mount stays.
pub(super) fn two_at_once(settings: &Settings) -> Result<Outcome, Box<dyn Error>> {
    let mut rig = Rig::create(settings, "two-at-once", [DISK_BYTES; 4])?;
    let mut broken = Vec::new();
    for number in [0, 2] {
        let faulty = Faulty::start(&rig.images.paths[number], &["pread", "pwrite"], "EIO")?;
        rig.names[number] = faulty.server.name();
        broken.push(faulty);
    }
    rig.mount(&[])?;
    let mut load = Load::new();
    load.start(&rig.root())?;
    broken.iter().try_for_each(Faulty::fail)?;
    load.wait_until_refused()?;
    let stopped_at = load.changes();
    ensure(write_durably(&rig.root().join("refused"), b"").is_err(), "changes are durable without a quorum")?;
    mend(&broken)?;
    let back = load.start_when_possible(&rig.root())?;
    load.wait_for_changes(16)?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;

    rig.mount(&["--without-quorum", "wait"])?;
    load.start(&rig.root())?;
    load.slowest();
    broken.iter().try_for_each(Faulty::fail)?;
    sleep(WAITING);
    let waiting_since = load.changes();
    sleep(WAITING);
    ensure(load.changes() == waiting_since, "changes are durable without a quorum")?;
    mend(&broken)?;
    load.wait_for_changes(16)?;
    let waited = load.slowest();
    ensure(waited >= WAITING, "nobody has waited")?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    // A node that is still away is brought in step by hand.
    rig.images.tool(&["cluster", "resync", &rig.target()])?;
    drop(broken);
    rig.check()?;
    Ok(Outcome::Passed(format!(
        "{stopped_at} changes before, all there; back {:.1} s after mending, or waited for {:.1} s",
        back.as_secs_f32(),
        waited.as_secs_f32()
    )))
}

fn mend(broken: &[Faulty]) -> Result<(), Box<dyn Error>> {
    for faulty in broken {
        ensure(faulty.failures()? > 0, "a server has let nothing fail")?;
        faulty.mend()?;
    }
    Ok(())
}

/// Ends the load and the mount, and checks the disks.
pub(super) fn finish(mut rig: Rig, mut load: Load, seen: &dyn Display) -> Result<Outcome, Box<dyn Error>> {
    load.wait_for_changes(8)?;
    load.stop()?;
    load.compare(&rig.root())?;
    rig.unmount()?;
    rig.check()?;
    Ok(Outcome::Passed(seen.to_string()))
}
