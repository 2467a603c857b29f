//! Two mounts reach the same disks by different names, like two machines: no lock of one host keeps them apart.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::mounted::{Mounted, Volume, noise, wait_until};
use crate::slow_export::Export;

const IMAGES: [&str; 3] = ["v.img", "b.img", "c.img"];
const IMAGE_BYTES: u64 = 64 << 20;

/// Three masters behind exports.
struct Disks {
    volume: Volume,
    exports: [Export; 3],
}

impl Disks {
    fn new() -> Self {
        let volume = Volume::new(IMAGE_BYTES);
        let path = |image: &str| volume.directory().with_file_name(image);
        for image in &IMAGES[1..] {
            File::create(path(image)).unwrap().set_len(IMAGE_BYTES).unwrap();
            volume.succeed(&["newfs", image]);
        }
        volume.succeed(&["cluster", "create", "-L", "CL", IMAGES[0], IMAGES[1], IMAGES[2]]);
        let exports = IMAGES.map(|image| Export::of(path(image)));
        fs::create_dir(path("other")).unwrap();
        Self { volume, exports }
    }

    /// The cluster, as a host names it that calls the server `host`.
    fn seen_by(&self, host: &str) -> String {
        let names: Vec<_> = self.exports.iter().map(|export| export.name(host)).collect();
        format!("{}@CL", names.join("+"))
    }
}

fn host_name() -> String {
    let output = Command::new("uname").arg("-n").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes a file durably.
fn write(mounted: &Mounted, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(mounted.path(name))?;
    file.write_all(content)?;
    file.sync_all()
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn disks_have_one_writer_and_who_slept_finds_out() {
    let disks = Disks::new();
    let (here, there) = (disks.seen_by("localhost"), disks.seen_by("127.0.0.1"));
    let content = noise(1 << 20);
    let mut first = disks.volume.mount_node(&here, &[]);
    write(&first, "file", &content).unwrap();
    // The mount may have begun long ago.
    sleep(Duration::from_secs(5));
    for arguments in [&["mount", "-f", &there, "other"][..], &["mkdir", &format!("{there}:/x")]] {
        let output = disks.volume.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        for expected in [&disks.exports[0].name("127.0.0.1"), &host_name(), "in use", "unmount it there first"] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
    write(&first, "file2", &content).unwrap();
    first.signal(Signal::STOP);
    sleep(Duration::from_secs(8));
    let second = disks.volume.mount_node_on(&there, "other", &[]);
    write(&second, "acknowledged", &content).unwrap();
    first.signal(Signal::CONT);
    let refused = (0..100).find_map(|number| {
        sleep(Duration::from_millis(100));
        write(&first, &format!("late{number}"), b"late").err()
    });
    assert_eq!(refused.expect("who slept must find out").raw_os_error(), Some(libc::EIO));
    assert_eq!(fs::write(first.path("again"), b"again").unwrap_err().raw_os_error(), Some(libc::EIO));
    for number in 0..20 {
        write(&second, &format!("more{number}"), &content).unwrap();
    }
    sleep(Duration::from_secs(2));
    first.detach();
    let (status, said) = first.end();
    let told: Vec<_> = said.lines().filter(|line| line.contains("another mount took")).collect();
    assert!(!status.success() && said.contains("lost"), "{said}");
    // Any of the disks may be named: a request from before the sleep may be over its deadline after it, and then its disk is away
    // before it is looked at.
    let is_disk = |line: &str| disks.exports.iter().any(|export| line.contains(&export.name("localhost")));
    assert!(told.iter().any(|line| is_disk(line) && line.contains(&host_name())), "{said}");
    // On a busy machine the disks may be found taken over one after the other, each by itself.
    assert!(told.len() <= IMAGES.len() + 1, "told once of each disk, and at the end: {said}");
    let (status, said) = second.unmount();
    assert!(status.success(), "{said}");
    let alone = IMAGES.map(|image| {
        disks.volume.succeed(&["fsck", image]);
        disks.volume.succeed(&["manifest", &format!("{image}@CL")])
    });
    assert!(alone.iter().all(|manifest| *manifest == alone[0]), "{alone:?}");
    for name in ["file", "file2", "acknowledged", "more19"] {
        assert!(disks.volume.run(&["cat", &format!("v.img@CL:/{name}")]).stdout == content, "{name}");
    }
    assert!(!alone[0].contains("late") && !alone[0].contains("again"), "{}", alone[0]);
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn who_unmounts_lets_the_next_mount_at_once() {
    let disks = Disks::new();
    let begun = std::time::Instant::now();
    for host in ["localhost", "127.0.0.1", "localhost"] {
        let mounted = disks.volume.mount_node(&disks.seen_by(host), &[]);
        write(&mounted, host, b"content").unwrap();
        let (status, said) = mounted.unmount();
        assert!(status.success() && said.is_empty(), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "a mount was watched that was released");
    wait_until("all is on the disks", || disks.volume.run(&["fsck", "v.img"]).status.success());
}
