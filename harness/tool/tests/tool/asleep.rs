//! Changes that wait for a disk when their process is stopped. Another machine may have the disk by the time it is woken, and
//! then none of them lands.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hammer2_core::media::heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_OFFSET, HEARTBEAT_PERIOD};
use hammer2_core::media::{Heartbeat, HostName, MountNonce, Timestamp};
use rustix::process::{Pid, Signal, kill_process};

use super::folder::{Folder, noise};
use super::slow_export::Export;

const IMAGE_BYTES: u64 = 256 << 20;
const CONTENT_BYTES: u64 = 64 << 20;
/// More writes than a heartbeat takes, and only a few of all.
const BEGUN: u64 = 20;

/// Long enough for many changes to queue up for a disk that doesn't answer.
const QUEUEING: Duration = Duration::from_secs(1);

/// Writes to the disk like another machine that takes it over.
fn take_over(image: &Path) {
    let heartbeat = Heartbeat {
        nonce: MountNonce(1),
        counter: 0,
        time: Timestamp { microseconds: 1 },
        host: HostName::new(b"another"),
        period: HEARTBEAT_PERIOD,
        is_released: false,
    };
    let mut sector = [0; HEARTBEAT_BYTES];
    heartbeat.write(&mut sector);
    File::options().write(true).open(image).unwrap().write_all_at(&sector, HEARTBEAT_OFFSET).unwrap();
}

#[test]
fn what_waited_for_a_disk_does_not_land_after_another_machine_has_taken_it() {
    let folder = Folder::new();
    folder.image("a.img", IMAGE_BYTES);
    folder.succeed(["newfs", "a.img"]);
    fs::write(folder.path("content"), noise(CONTENT_BYTES, 1)).unwrap();
    let image = folder.path("a.img");
    let export = Export::of(image.clone());
    let mut command = folder.command(["put", "content", &format!("{}@DATA:/content", export.name("127.0.0.1"))]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while export.writes() < BEGUN {
        assert!(started.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(1));
    }
    export.stall();
    sleep(QUEUEING);
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    // The server now carries out the requests that it had received.
    export.go_on();
    sleep(HEARTBEAT_PERIOD * 5 / 2);
    take_over(&image);
    let taken = fs::read(&image).unwrap();
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    let status = child.wait().unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let now = fs::read(&image).unwrap();
    let landed = taken.chunks(1 << 10).zip(now.chunks(1 << 10)).filter(|(before, after)| before != after).count();
    assert_eq!(landed, 0, "KiB that landed on the disk of another; {said}");
    assert!(!status.success() && said.contains("another mount took the volume over"), "{status}: {said}");
}
