//! Messages of a mount in the background: in the system's log or a file, with the names of disks.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{noise, wait_until};

/// A syslog of our own, where the system has none.
struct Syslog {
    said: Arc<Mutex<String>>,
}

const SYSLOG: &str = "/dev/log";

impl Syslog {
    fn start() -> Option<Self> {
        let listener = UnixDatagram::bind(SYSLOG).ok()?;
        listener.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let said = Arc::<Mutex<String>>::default();
        let weak = Arc::downgrade(&said);
        thread::spawn(move || {
            let mut line = [0; 65536];
            while let Some(said) = weak.upgrade() {
                if let Ok(count) = listener.recv(&mut line) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&String::from_utf8_lossy(&line[..count]));
                    said.push('\n');
                }
            }
        });
        Some(Self { said })
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = fs::remove_file(SYSLOG);
    }
}

/// A mount in the background, unmounted at the end.
struct Background<'m> {
    masters: &'m Masters,
    nodes: &'static str,
}

impl<'m> Background<'m> {
    fn of(masters: &'m Masters, nodes: &'static str, options: &[&str]) -> Self {
        masters.volume.succeed(&[&["mount", nodes, "mnt"][..], options].concat());
        Self { masters, nodes }
    }

    /// A disk runs full, so its node leaves; with room again it comes back.
    fn loses_and_regains_a_disk(&self, said: &dyn Fn() -> String) {
        let disk = self.masters.path(IMAGES[2]);
        let called = format!("{} (node 2)", disk.display());
        let file = File::create(self.masters.path("mnt/file")).unwrap();
        file.write_all_at(&noise(20 << 20), 0).unwrap();
        file.sync_all().unwrap();
        wait_until("it is told that the disk left", || said().contains(&format!("{called} left the cluster: ")));
        self.masters.resize_disk(2 * IMAGE_BYTES);
        wait_until("it is told that it is back", || said().contains(&format!("{called} is in sync again: ")));
    }

    fn end(self) {
        let (masters, nodes) = (self.masters, self.nodes);
        drop(self);
        wait_until("the images are free", || masters.volume.run(&["cluster", "status", nodes]).status.success());
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.masters.path("mnt")).status();
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_systems_log_is_told_what_becomes_of_a_disk() {
    if Path::new(SYSLOG).exists() {
        // The test can't read the system's own log, whose lines are the same as in a file.
        return;
    }
    let masters = Masters::new(8 << 20);
    let output = masters.volume.run(&["mount", NODES, "mnt"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("no syslog or journal listens here"), "{told}");
    Background { masters: &masters, nodes: NODES }.end();

    let Some(syslog) = Syslog::start() else { panic!("somebody else listens at {SYSLOG}") };
    let background = Background::of(&masters, NODES, &[]);
    let directory = masters.path("mnt").display().to_string();
    let said = || syslog.said();
    background.loses_and_regains_a_disk(&said);
    background.end();
    wait_until("it is told that it ended", || said().contains(&format!("on {directory}: unmounted")));
    // Other tests' mounts write there as well.
    let own = masters.path("").display().to_string();
    let said: String = said().lines().filter(|line| line.contains(&own)).flat_map(|line| [line, "\n"]).collect();
    let priority = |text: &str| said.lines().find(|line| line.contains(text)).map(|line| &line[..4]);
    assert_eq!(priority(&format!("on {directory}: mounted")), Some("<30>"), "{said}");
    assert_eq!(priority(" left the cluster: "), Some("<28>"), "{said}");
    assert_eq!(priority(" is in sync again: "), Some("<30>"), "{said}");
    assert!(said.lines().all(|line| line.contains(" hammer2[")), "{said}");
    let left = said.lines().filter(|line| line.contains(" left the cluster: "));
    assert_eq!(left.count(), 1, "each once: {said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_file_is_told_the_same_with_the_time() {
    let masters = Masters::new(8 << 20);
    let log: PathBuf = masters.path("log");
    let said = || fs::read_to_string(&log).unwrap();
    let background = Background::of(&masters, NODES, &["--log", "log"]);
    background.loses_and_regains_a_disk(&said);
    background.end();
    wait_until("it is told that it ended", || said().contains(": unmounted"));
    for line in said().lines() {
        // 2026-11-28 22:09:01.123456 warn  what happened
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let [day, time, level, text] = fields[..] else { panic!("{line}") };
        assert!(day.split('-').count() == 3 && time.split(':').count() == 3, "{line}");
        assert!(["error", "warn", "info"].contains(&level) && !text.is_empty(), "{line}");
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_lost_quorum_is_told_and_that_it_is_back() {
    const TWO_ON_A_DISK: &str = "v.img+c/b.img+c/v.img@CL";
    let masters = Masters::new(2 * IMAGE_BYTES);
    File::create(masters.path("c/b.img")).unwrap().set_len(IMAGE_BYTES).unwrap();
    masters.volume.succeed(&["cluster", "replace", NODES, "b.img", "c/b.img"]);
    let log: PathBuf = masters.path("log");
    let said = || fs::read_to_string(&log).unwrap();
    let background = Background::of(&masters, TWO_ON_A_DISK, &["--log", "log"]);
    let used = ["c/b.img", "c/v.img"].map(|image| fs::metadata(masters.path(image)).unwrap().blocks() * 512);
    masters.resize_disk(used.iter().sum::<u64>() + (4 << 20));
    let file = File::create(masters.path("mnt/file")).unwrap();
    assert!(file.write_all_at(&noise(20 << 20), 0).and_then(|()| file.sync_all()).is_err());
    wait_until("it is told that the quorum is lost", || said().contains(" error too few nodes are left"));
    let lost: Vec<String> =
        said().lines().filter(|line| line.contains("too few nodes are left")).map(Into::into).collect();
    let away = ["c/b.img", "c/v.img"].map(|image| masters.path(image).display().to_string());
    assert!(lost.len() == 1 && away.iter().any(|disk| lost[0].contains(disk)), "{lost:?}");
    let told = |command: &str| {
        let output = masters.volume.run(&["cluster", command, "mnt"]);
        let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && away.iter().any(|disk| said.contains(disk)), "{command}: {said}");
        said
    };
    let resync = format!("`hammer2 cluster resync {}`", masters.path("mnt").display());
    for command in ["status", "scrub"] {
        let said = told(command);
        assert!(said.contains(&resync) && !said.contains("cluster replace"), "{command}: {said}");
    }
    masters.resize_disk(2 * IMAGE_BYTES);
    masters.volume.succeed(&["cluster", "resync", "mnt"]);
    wait_until("it is told that it is back", || said().contains(" info  there is a quorum again"));
    drop(file);
    background.end();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn repairs_are_told() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let log: PathBuf = masters.path("log");
    let said = || fs::read_to_string(&log).unwrap();
    let background = Background::of(&masters, NODES, &["--log", "log"]);
    fs::write(masters.path("mnt/file"), noise(3 << 20)).unwrap();
    background.end();
    // A block of one rots.
    let shown = masters.volume.succeed(&["show", "b.img@CL"]);
    let block = shown.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let offset = { block }.find(|words| words[0] == "data").map(|words| words[3].to_owned()).unwrap();
    let offset = u64::from_str_radix(offset.split('/').next().unwrap().trim_start_matches("0x"), 16).unwrap();
    let image = File::options().write(true).open(masters.path("b.img")).unwrap();
    image.write_all_at(b"rot", offset).unwrap();
    drop(image);
    let background = Background::of(&masters, NODES, &["--log", "log"]);
    masters.volume.succeed(&["cluster", "scrub", "mnt"]);
    let called = format!("{} (node 1)", masters.path("b.img").display());
    wait_until("it is told of the repair", || said().contains(&format!("{called}: 1 bad blocks were written anew")));
    background.end();
}
