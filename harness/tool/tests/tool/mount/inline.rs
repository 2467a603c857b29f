//! The thread that reads requests serves them, unless they have to wait; and those that wait keep no other waiting.

use std::fs::{self, File};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::mounted::{Volume, noise};
use crate::slow_export::Export;

const FILES: u64 = 100;
const WHILE: Duration = Duration::from_millis(300);

/// A number in a line of counters, which lacks requests that never came.
fn count(line: &str, what: &str) -> u64 {
    let rest = line.split(&format!("{what} ")).nth(1);
    rest.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_needs_no_disk_is_served_at_once_while_another_request_waits_for_a_disk() {
    let volume = Volume::new(64 << 20);
    let content = noise(1 << 20);
    let first = volume.mount(&[]);
    fs::write(first.path("cold"), &content).unwrap();
    (0..FILES).for_each(|number| fs::write(first.path(format!("file{number}")), b"content").unwrap());
    first.unmount_well();

    let export = Export::of(volume.image());
    let mounted = volume.mount_node(&export.name("127.0.0.1"), &["--deadline", "60", "--sync-every", "0"]);
    (0..FILES).for_each(|number| assert!(mounted.path(format!("file{number}")).exists()));
    assert!(!mounted.path("none").exists());
    mounted.signal(Signal::USR1);
    // Another thread handles the signal.
    thread::sleep(WHILE);
    export.stall();
    let cold = mounted.path("cold");
    let reading = thread::spawn(move || fs::read(cold));
    thread::sleep(WHILE);
    // The kernel doesn't know the answers to these requests.
    for number in 0..FILES {
        assert!(!mounted.path(format!("none{number}")).exists());
        File::open(mounted.path(format!("file{number}"))).unwrap();
    }
    assert!(!reading.is_finished());
    export.go_on();
    assert!(reading.join().unwrap().unwrap() == content);
    mounted.signal(Signal::USR1);
    let (status, said) = mounted.unmount();
    assert!(status.success(), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| line.contains("counters: ")).collect();
    let between = |what| count(lines[1], what) - count(lines[0], what);
    assert!(between("lookup") >= FILES && between("open") >= FILES, "{said}");
    assert!((1..FILES / 4).contains(&between("had to wait")), "{said}");
    volume.check();
}
