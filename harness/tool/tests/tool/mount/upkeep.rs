//! Administration on the directory of a mount: growing it, changing how new data is stored, checking and scrubbing it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{Volume, noise, wait_until};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Writes a file, durably.
fn write_durably(path: &Path, content: &[u8]) {
    let file = File::create(path).unwrap();
    file.write_all_at(content, 0).unwrap();
    file.sync_all().unwrap();
}

/// Changes files, durably, until it is told to stop, and counts how many times.
fn change_until(stop: &AtomicBool, changes: &AtomicUsize, root: &Path) {
    while !stop.load(Ordering::Relaxed) {
        let count = changes.load(Ordering::Relaxed);
        write_durably(&root.join(format!("file{}", count % 20)), &noise(10_000 + count % 7 * 20_000));
        if count % 3 == 2 {
            fs::remove_file(root.join(format!("file{}", (count - 1) % 20))).unwrap();
        }
        changes.store(count + 1, Ordering::Relaxed);
    }
}

/// Makes other threads stop when it is dropped.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client of a mount by the protocol of docs/orders.md.
struct Orders(BufReader<UnixStream>);

impl Orders {
    fn to(directory: &Path) -> Self {
        let device = fs::metadata(directory).unwrap().dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Self(BufReader::new(UnixStream::connect(format!("/run/hammer2/orders/{major}:{minor}")).unwrap()))
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        if line.is_empty() { Value::Null } else { json(&line) }
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn it_grows_while_it_is_used() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), noise(1 << 20)).unwrap();
    volume.refuse(&["growfs", "mnt", "1x"], 2, "1x");
    let grown = json(&volume.succeed(&["growfs", "--json", "mnt", "512M"]));
    assert_eq!((&grown["old_bytes"], &grown["new_bytes"]), (&(256u64 << 20).into(), &(512u64 << 20).into()));
    assert_eq!(fs::metadata(volume.image()).unwrap().len(), 512 << 20);
    // This is more than it had room for before.
    write_durably(&mounted.path("large"), &noise(300 << 20));
    assert!(volume.succeed(&["growfs", "mnt"]).contains("as before"));
    File::options().write(true).open(volume.image()).unwrap().set_len(576 << 20).unwrap();
    assert!(volume.succeed(&["growfs", "mnt"]).contains("576.00 MiB, 512.00 MiB before"));
    mounted.unmount_well();
    volume.check();
    let read_only = volume.mount(&["--read-only"]);
    volume.refuse(&["growfs", "mnt", "640M"], 2, "mounted read-only: unmount it");
    read_only.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_cluster_grows_when_all_are_in_step() {
    let masters = Masters::new(IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node("v.img+b.img@CL", &[]);
    let size = (IMAGE_BYTES + (64 << 20)).to_string();
    // A missing member doesn't grow; it is made as large as the others when it comes in.
    volume.succeed(&["cluster", "add", "mnt", IMAGES[2]]);
    let grown = json(&volume.succeed(&["growfs", "--json", "mnt", &size]));
    assert_eq!(grown["new_bytes"], IMAGE_BYTES + (64 << 20));
    fs::write(mounted.path("file"), b"content").unwrap();
    // A member whose disk fails stays smaller.
    File::options().write(true).open(masters.path(IMAGES[2])).unwrap().set_len(0).unwrap();
    volume.run(&["cluster", "status", "mnt"]);
    volume.refuse(&["growfs", "mnt", "1G"], 2, "isn't in step, and would stay smaller: `hammer2 cluster status");
    let (status, _) = mounted.unmount();
    assert!(status.success());
    IMAGES[..2].iter().for_each(|image| drop(volume.succeed(&["fsck", image])));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn how_files_are_stored_is_inherited_from_their_directory() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::create_dir_all(mounted.path("a/below")).unwrap();
    fs::write(mounted.path("a/before"), b"x").unwrap();
    volume.succeed(&["setcheck", "sha192", "mnt/a"]);
    volume.succeed(&["setcomp", "zlib:7", "mnt/a"]);
    for name in ["a/after", "beside"] {
        fs::write(mounted.path(name), b"x").unwrap();
    }
    let methods = |path: &str| {
        let facts = json(&volume.succeed(&["stat", "--json", path]));
        format!("{} {}", facts["check"].as_str().unwrap(), facts["compression"].as_str().unwrap())
    };
    assert_eq!(methods("mnt/a/after"), "sha192 zlib:7");
    assert_eq!(methods("mnt:/a/after"), "sha192 zlib:7");
    for other in ["mnt/a/before", "mnt/beside", "mnt/a/below"] {
        assert_eq!(methods(other), "xxhash64 lz4", "{other}");
    }
    volume.succeed(&["setcheck", "-r", "crc32", "mnt"]);
    volume.succeed(&["setxxhash64", "mnt/a/before", "mnt/beside"]);
    assert_eq!(methods("mnt/a/below"), "iscsi32 lz4");
    assert_eq!(methods("mnt/a/after"), "iscsi32 zlib:7");
    assert_eq!(methods("mnt/a/before"), "xxhash64 lz4");
    let said = volume.succeed(&["stat", "mnt/a/after"]);
    assert!(said.starts_with("path      /a/after\n") && said.contains("methods   zlib:7, iscsi32\n"), "{said}");
    volume.refuse(&["setcomp", "lz4", "mnt/nothing"], 2, "/nothing: ");
    volume.refuse(&["stat", "mnt/nothing"], 2, "/nothing: ");
    // An image in the mount is treated as an image.
    File::create(mounted.path("inner.img")).unwrap().set_len(128 << 20).unwrap();
    assert_eq!(methods("mnt/inner.img"), "iscsi32 lz4");
    volume.succeed(&["newfs", "mnt/inner.img"]);
    assert_eq!(json(&volume.succeed(&["stat", "--json", "mnt/inner.img"]))["type"], "dir");
    mounted.unmount_well();
    assert_eq!(methods("v.img:/a/after"), "iscsi32 zlib:7");
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn it_is_checked_as_of_one_moment_while_it_is_changed() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&["--sync-every", "1"]);
    write_durably(&mounted.path("cold"), &noise(1 << 20));
    let (stop, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| change_until(&stop, &changes, &mounted.path("")));
        // The changes stop even if the test fails.
        let until = Stop(&stop);
        let mut differences = Vec::new();
        // The checks must overlap with changes, however fast they are.
        while differences.len() < 5 || changes.load(Ordering::Relaxed) <= 5 {
            assert!(differences.len() < 1000, "it goes on meanwhile");
            let said = volume.succeed(&["fsck", "mnt"]);
            assert!(said.contains("clean: 0 problems"), "{said}");
            let total = volume.succeed(&["freemap", "--json", "mnt"]);
            let total = json(total.lines().last().unwrap());
            let number = |key: &str| total[key].as_u64().unwrap();
            differences.push(number("allocator_free") - number("free_bytes"));
        }
        assert!(differences.iter().all(|difference| *difference == differences[0]), "of one moment: {differences:?}");
        drop(until);
    });
    volume.refuse(&["fsck", "--repair", "mnt"], 2, "nothing is mended below a mount");
    // Damage is found like that of an image.
    let shown = volume.succeed(&["stat", "--json", "mnt/cold"]);
    assert!(json(&shown)["size"] == 1 << 20);
    let mut image = fs::read(volume.image()).unwrap();
    let content = fs::read(mounted.path("cold")).unwrap();
    // Blocks begin at multiples of 1 KiB.
    let at = (0..image.len()).step_by(1024).find(|at| image[*at..*at + 64] == content[..64]).unwrap();
    image.clear();
    File::options().write(true).open(volume.image()).unwrap().write_all_at(b"rot", at as u64).unwrap();
    let output = volume.run(&["fsck", "mnt"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("problem: ") && said.contains("/cold"), "{said}");
    let (status, _) = mounted.unmount();
    assert!(status.success());
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_members_of_a_cluster_are_checked_in_turn() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    write_durably(&mounted.path("file"), &noise(1 << 20));
    let said = volume.succeed(&["fsck", "mnt"]);
    assert_eq!(said.matches("clean: 0 problems").count(), 3, "{said}");
    assert!(IMAGES.iter().all(|image| said.contains(&format!("/{image} (node "))), "{said}");
    let lines = volume.succeed(&["fsck", "--json", "mnt"]);
    assert_eq!(lines.lines().filter(|line| !json(line)["node"].is_null()).count(), 3, "{lines}");
    assert_eq!(volume.succeed(&["freemap", "mnt"]).matches("the header says").count(), 3);
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn who_asked_for_rest_and_is_silent_stops_nobody() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    // While a file is made, the kernel locks its directory.
    let file = File::create(mounted.path("there")).unwrap();
    let mut orders = Orders::to(&mounted.path(""));
    orders.say(r#"{"version":1,"question":"AtRest"}"#);
    orders.say("\"On\"");
    let told = orders.hear();
    assert!(told["AtRest"][0]["images"][0].as_str().unwrap().ends_with("v.img"), "{told}");
    let written = AtomicBool::new(false);
    thread::scope(|scope| {
        let begun = Instant::now();
        scope.spawn(|| {
            file.write_all_at(b"content", 0).unwrap();
            written.store(true, Ordering::Relaxed);
        });
        while begun.elapsed() < Duration::from_secs(2) {
            assert!(!written.load(Ordering::Relaxed), "nothing changes");
            orders.say("\"On\"");
            assert_eq!(orders.hear(), "Working");
        }
        // Existing files can be read meanwhile.
        assert_eq!(fs::read_dir(mounted.path("")).unwrap().count(), 1);
        assert!(!written.load(Ordering::Relaxed), "it wasn't waited for");
        wait_until("changes go on", || written.load(Ordering::Relaxed));
        assert!(begun.elapsed() > Duration::from_secs(4), "it is waited for somebody who is only slow");
    });
    drop(file);
    assert_eq!(orders.hear(), Value::Null, "it was hung up");
    // The answer to "over" says that nothing has changed all the time.
    let mut orders = Orders::to(&mounted.path(""));
    orders.say(r#"{"version":1,"question":"AtRest"}"#);
    orders.say("\"On\"");
    orders.hear();
    orders.say("\"Over\"");
    assert_eq!(orders.hear()["Ended"]["Ok"]["Told"]["damage"], Value::Null);
    fs::write(mounted.path("after"), b"content").unwrap();
    mounted.unmount_well();
}

/// The reported progress of an order, as these numbers; and its last answer.
fn followed<const N: usize>(orders: &mut Orders, how_far: &str, numbers: [&str; N]) -> (Vec<[u64; N]>, Value) {
    let mut told = Vec::new();
    loop {
        let line = orders.hear();
        let counts = &line[how_far];
        if counts.is_null() && line != "Working" {
            return (told, line);
        }
        let number = |key: &str| counts[key].as_u64().unwrap();
        told.extend((!counts.is_null()).then(|| numbers.map(number)));
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_scrub_tells_how_far_it_is() {
    let masters = Masters::new(4 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    write_durably(&mounted.path("file"), &noise(96 << 20));
    let mut orders = Orders::to(&mounted.path(""));
    orders.say(r#"{"version":1,"question":{"Order":"Scrub"}}"#);
    let begun = Instant::now();
    let (told, ended) = followed(&mut orders, "Scrubbing", ["bytes", "expected_bytes"]);
    let bytes = ended["Ended"]["Ok"]["Scrubbed"]["counts"]["bytes"].as_u64().unwrap();
    assert!(bytes >= 3 * (96 << 20), "{ended}");
    // Progress is reported every second.
    let is_quick = begun.elapsed() < Duration::from_secs(2);
    assert!(told.is_sorted() && (is_quick || !told.is_empty()), "{told:?}");
    assert!(told.iter().all(|[done, all]| done <= all && *all >= bytes && all - bytes < bytes / 50), "{told:?}");
    mounted.unmount_well();
    // A single volume has no other to be repaired from, but is read whole.
    let single = Volume::new(256 << 20);
    let mounted = single.mount(&[]);
    write_durably(&mounted.path("file"), &noise(1 << 20));
    assert!(single.succeed(&["scrub", "mnt"]).starts_with("1 nodes"));
    mounted.unmount_well();
    assert!(single.succeed(&["scrub", "v.img"]).contains("0 bad blocks"));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn bulkfree_tells_how_far_it_is() {
    let masters = Masters::new(4 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    write_durably(&mounted.path("file"), &noise(32 << 20));
    let mut orders = Orders::to(&mounted.path(""));
    orders.say(r#"{"version":1,"question":{"Bulkfree":{"discard":false}}}"#);
    let (told, ended) = followed(&mut orders, "Freeing", ["pass", "bytes", "expected_bytes"]);
    assert!(ended["Ended"]["Ok"]["Freed"]["free_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{ended}");
    // Progress is reported at least at the end of each pass, when all of it is done on all three disks.
    assert!(told.is_sorted() && told.iter().all(|[_, bytes, expected]| bytes <= expected), "{told:?}");
    for pass in [1, 2] {
        let [_, bytes, expected] = *told.iter().rfind(|told| told[0] == pass).unwrap();
        assert!(bytes == expected && expected > 3 * (32 << 20), "{told:?}");
    }
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_pfs_of_a_mounted_cluster_is_one_of_all_members() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node("v.img+b.img@CL", &[]);
    volume.refuse(&["pfs-create", "mnt", "NEW"], 2, "isn't in step, and wouldn't have the new PFS");
    volume.succeed(&["cluster", "add", "mnt", IMAGES[2]]);
    volume.refuse(&["pfs-create", "-t", "SLAVE", "mnt", "NEW"], 2, "-t and -u are about a PFS of one node");
    volume.succeed(&["pfs-create", "mnt", "NEW"]);
    volume.refuse(&["pfs-create", "mnt", "NEW"], 2, "there is a PFS of this label already");
    fs::write(mounted.path("file"), b"content").unwrap();
    let (status, _) = mounted.unmount();
    assert!(status.success());
    // Two of three are enough, and the third is brought in step.
    let new = volume.mount_node("v.img+b.img@NEW", &[]);
    fs::write(new.path("first"), b"content").unwrap();
    let (status, _) = new.unmount();
    assert!(status.success());
    let new = volume.mount_node(&NODES.replace("@CL", "@NEW"), &[]);
    fs::write(new.path("second"), b"content").unwrap();
    wait_until("all are in step", || volume.run(&["cluster", "status", "mnt"]).status.success());
    let (status, _) = new.unmount();
    assert!(status.success());
    for image in IMAGES {
        assert_eq!(volume.succeed(&["ls", &format!("{image}@NEW")]), "first\nsecond\n", "{image}");
        volume.succeed(&["fsck", image]);
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_scrub_is_paused_and_goes_on_in_the_next_mount() {
    let masters = Masters::new(4 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    volume.refuse(&["scrub", "--pause", "mnt"], 2, "no scrub is under way: `hammer2 scrub ");
    volume.refuse(&["scrub", "--resume", "mnt"], 2, "no scrub of it was paused on this machine: `hammer2 scrub ");
    volume.refuse(&["scrub", "--pause", NODES], 2, "name its directory");
    for number in 0..3 {
        write_durably(&mounted.path(format!("file{number}")), &noise(66 << 20));
    }
    let whole = json(&volume.succeed(&["scrub", "--json", "mnt"]));
    let whole = whole["bytes"].as_u64().unwrap();
    let begun = volume.tool(&["scrub", "--json", "mnt"]).stdout(Stdio::piped()).spawn().unwrap();
    // The scrub may not have begun yet.
    wait_until("it is paused", || volume.run(&["scrub", "--pause", "mnt"]).status.success());
    let output = begun.wait_with_output().unwrap();
    let paused = json(std::str::from_utf8(&output.stdout).unwrap());
    assert!(output.status.success() && paused["paused"] == true, "{paused}");
    let so_far = paused["bytes"].as_u64().unwrap();
    assert!(so_far > 0 && so_far < whole, "{so_far} of {whole}");
    let said = volume.succeed(&["cluster", "status", "mnt"]);
    assert!(said.contains("a scrub got as far as") && said.contains("`hammer2 scrub --resume "), "{said}");
    let told = volume.succeed(&["events", "--json", "--past", "mnt"]);
    assert!(told.contains("\"scrub-paused\""), "{told}");
    // A change meanwhile, and the end of a mount with another scrub under way.
    fs::write(mounted.path("later"), noise(10_000)).unwrap();
    let mut orders = Orders::to(&mounted.path(""));
    orders.say(r#"{"version":1,"question":{"Order":"ResumeScrub"}}"#);
    wait_until("it goes on", || {
        volume.succeed(&["events", "--json", "--past", "mnt"]).matches("scrub-begun").count() == 3
    });
    mounted.unmount_well();
    let mounted = volume.mount_node(NODES, &[]);
    let ended = json(&volume.succeed(&["scrub", "--resume", "--json", "mnt"]));
    let bytes = ended["bytes"].as_u64().unwrap();
    assert!(bytes >= whole && bytes < whole + (1 << 20), "each byte was read once: {bytes} of {whole}");
    let said = volume.succeed(&["cluster", "status", "mnt"]);
    assert!(!said.contains("a scrub got as far as"), "{said}");
    volume.refuse(&["scrub", "--resume", "mnt"], 2, "no scrub of it was paused");
    mounted.unmount_well();
}
