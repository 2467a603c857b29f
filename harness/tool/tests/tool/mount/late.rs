//! A disk that doesn't answer for a while: nothing accepted is lost, and the end of the mount waits for it.

use std::fs::{self, File};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::mounted::{Mounted, Volume, noise, wait_until};
use crate::slow_export::Export;

/// Longer than a request may take.
const LATE: Duration = Duration::from_secs(4);

/// A volume behind an export, and a mount that gives it a second to answer.
fn mounted(sync_every: &str) -> (Volume, Export, Mounted) {
    let volume = Volume::new(64 << 20);
    let export = Export::of(volume.image());
    let options = ["--deadline", "1", "--sync-every", sync_every];
    let mounted = volume.mount_node(&export.name("127.0.0.1"), &options);
    (volume, export, mounted)
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn syncs_go_on_when_a_disk_answers_again() {
    let (volume, export, mut mounted) = mounted("1");
    let content = noise(1 << 20);
    for round in 0..3 {
        fs::write(mounted.path(format!("file{round}")), &content).unwrap();
        export.stall();
        sleep(LATE);
        export.go_on();
        // No program asks for a sync, but one comes all the same.
        let name = format!("after{round}");
        wait_until("changes go on", || fs::write(mounted.path(&name), b"after").is_ok());
        sleep(Duration::from_secs(4));
    }
    mounted.kill();
    for round in 0..3 {
        assert!(volume.run(&["cat", &format!("v.img:/file{round}")]).stdout == content, "round {round}");
        assert_eq!(volume.succeed(&["cat", &format!("v.img:/after{round}")]), "after");
    }
    volume.is_whole_after_crash("v.img");
}

/// A mount that isn't sure any more that a disk is its own keeps waiting writes until it is.
#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_disk_that_hangs_for_much_longer_than_a_lease_loses_nothing() {
    let volume = Volume::new(64 << 20);
    let export = Export::of(volume.image());
    let mut mounted = volume.mount_node(&export.name("127.0.0.1"), &["--sync-every", "1"]);
    let content = noise(4 << 20);
    fs::write(mounted.path("file"), &content).unwrap();
    export.stall();
    sleep(Duration::from_secs(20));
    export.go_on();
    wait_until("all is durable", || File::open(mounted.path("file")).and_then(|file| file.sync_all()).is_ok());
    mounted.kill();
    assert!(volume.run(&["cat", "v.img:/file"]).stdout == content);
    volume.is_whole_after_crash("v.img");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_end_waits_for_a_disk_that_is_late() {
    for ended_by in [None, Some(Signal::TERM)] {
        let (volume, export, mut mounted) = mounted("0");
        let content = noise(1 << 20);
        fs::write(mounted.path("file"), &content).unwrap();
        export.stall();
        match ended_by {
            Some(signal) => mounted.signal(signal),
            None => mounted.detach(),
        }
        sleep(LATE);
        export.go_on();
        let (status, said) = mounted.end();
        assert!(status.success(), "{status}: {said}");
        let waited = said.lines().filter(|line| line.contains("the unmount waits")).collect::<Vec<_>>();
        assert!(waited.len() == 1 && waited[0].contains(&export.name("127.0.0.1")), "{said}");
        assert!(volume.run(&["cat", "v.img:/file"]).stdout == content);
        volume.check();
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_second_signal_ends_the_waiting() {
    let (volume, export, mut mounted) = mounted("0");
    fs::write(mounted.path("kept"), b"kept").unwrap();
    File::open(mounted.path("kept")).unwrap().sync_all().unwrap();
    fs::write(mounted.path("file"), b"content").unwrap();
    export.stall();
    mounted.signal(Signal::TERM);
    sleep(LATE);
    mounted.signal(Signal::TERM);
    let (status, said) = mounted.end();
    assert!(!status.success() && said.contains("the unmount waits") && said.contains("given up"), "{status}: {said}");
    export.go_on();
    assert_eq!(volume.succeed(&["cat", "v.img:/kept"]), "kept");
}
