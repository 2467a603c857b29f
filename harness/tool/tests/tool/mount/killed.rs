//! The server is killed under load: everything that was acknowledged as durable is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{Volume, wait_until};

/// How often it is killed; more with `HAMMER2_FULL`.
const KILLS: u64 = 5;
const KILLS_FULL: u64 = 50;
const KILLS_FULL_CLUSTER: u64 = 200;
const WRITERS: u64 = 4;
const FILES: u64 = 6;
const RECORD_BYTES: usize = 100;

/// A writer's acknowledged changes, and the one under way.
#[derive(Clone, Default)]
struct Known {
    /// The durable versions of its files, 0 for none.
    versions: [u64; FILES as usize],
    /// A file and the version that may be there instead.
    underway: Option<(usize, u64)>,
    /// Records in its log that are durable.
    records: u64,
}

/// Bytes that identify the file and version.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Half of it compresses.
        if state >> 63 == 0 { (state >> 56) as u8 } else { 7 }
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn file_content(writer: u64, file: u64, version: u64) -> Vec<u8> {
    let seed = writer << 40 | file << 32 | version;
    let bytes = [10, 600, 5_000, 65_536, 70_000, 200_000][(version % 6) as usize];
    content(seed, bytes)
}

fn record(writer: u64, number: u64) -> Vec<u8> {
    content(writer << 50 | number, RECORD_BYTES)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes until the server is gone.
fn write(root: &Path, writer: u64, known: &Mutex<Known>) -> io::Result<()> {
    let directory = root.join(format!("writer{writer}"));
    fs::create_dir_all(&directory)?;
    let mut log = OpenOptions::new().append(true).create(true).open(directory.join("log"))?;
    // Records behind the acknowledged ones that the last crash has left count now.
    let found = log.metadata()?.len() / RECORD_BYTES as u64;
    log.set_len(found * RECORD_BYTES as u64)?;
    log.sync_all()?;
    sync_directory(&directory)?;
    known.lock().unwrap().records = found;
    loop {
        for file in 0..FILES {
            let version = known.lock().unwrap().versions[file as usize] + 1;
            known.lock().unwrap().underway = Some((file as usize, version));
            let name = directory.join("new");
            let mut new = File::create(&name)?;
            new.write_all(&file_content(writer, file, version))?;
            new.sync_all()?;
            fs::rename(&name, directory.join(format!("file{file}")))?;
            sync_directory(&directory)?;
            let mut known_now = known.lock().unwrap();
            known_now.versions[file as usize] = version;
            known_now.underway = None;
            let number = known_now.records;
            drop(known_now);
            log.write_all(&record(writer, number))?;
            log.sync_data()?;
            known.lock().unwrap().records += 1;
        }
    }
}

/// Compares the files with the acknowledged changes; from then on the files' state counts as known.
fn compare(root: &Path, writer: u64, known: &mut Known) {
    let directory = root.join(format!("writer{writer}"));
    for file in 0..FILES {
        let path: PathBuf = directory.join(format!("file{file}"));
        let known_version = known.versions[file as usize];
        let found = fs::read(&path).ok();
        let is = |version: u64| match &found {
            Some(found) => version > 0 && *found == file_content(writer, file, version),
            None => version == 0,
        };
        let other = known.underway.filter(|(which, _)| *which as u64 == file).map(|(_, version)| version);
        let version = [Some(known_version), other].into_iter().flatten().find(|version| is(*version));
        let len = found.as_ref().map(Vec::len);
        known.versions[file as usize] = version
            .unwrap_or_else(|| panic!("{path:?} is neither version {known_version} nor {other:?}: {len:?} bytes"));
    }
    known.underway = None;
    let log = fs::read(directory.join("log")).unwrap_or_default();
    let known_bytes = known.records as usize * RECORD_BYTES;
    assert!(log.len() >= known_bytes, "writer {writer}: of {known_bytes} bytes of its log {} are there", log.len());
    for (number, found) in log.chunks_exact(RECORD_BYTES).enumerate() {
        assert!(found == record(writer, number as u64), "writer {writer}: record {number} of its log is wrong");
    }
}

fn durable_versions(known: &[Mutex<Known>]) -> u64 {
    known.iter().map(|known| known.lock().unwrap().versions.iter().sum::<u64>()).sum()
}

/// Kills the server so often while programs write; `check` checks the images each time.
fn survive_kills(volume: &Volume, node: &str, kills: u64, check: impl Fn()) {
    let known: Vec<Mutex<Known>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let compare_all = || {
        for (writer, known) in known.iter().enumerate() {
            compare(&volume.directory(), writer as u64, &mut known.lock().unwrap());
        }
    };
    let mut versions_before = 0;
    for round in 0..kills {
        let mut mounted = volume.mount_node(node, &["--memory", "16", "--sync-every", "1"]);
        compare_all();
        thread::scope(|scope| {
            for (writer, known) in known.iter().enumerate() {
                let root = volume.directory();
                scope.spawn(move || write(&root, writer as u64, known).unwrap_err());
            }
            // The kills come at different places, and once something more is durable.
            wait_until("a version is durable", || durable_versions(&known) > versions_before);
            thread::sleep(Duration::from_millis(300 + round * 397 % 900));
            mounted.kill();
        });
        check();
        versions_before = durable_versions(&known);
    }
    let mounted = volume.mount_node(node, &["--read-only"]);
    compare_all();
    mounted.unmount_well();
    println!("killed {kills} times; {versions_before} versions of files were durable");
}

/// How often to kill it; `full` with `HAMMER2_FULL`.
fn kills(full: u64) -> u64 {
    if std::env::var_os("HAMMER2_FULL").is_some() { full } else { KILLS }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn nothing_synced_is_lost_when_the_server_is_killed() {
    let volume = Volume::new(1 << 30);
    survive_kills(&volume, "v.img", kills(KILLS_FULL), || {
        if !volume.is_whole_after_crash("v.img") {
            // The next commit mends the header.
            volume.succeed(&["mkdir", "v.img:/mended"]);
            volume.succeed(&["rm", "-r", "v.img:/mended"]);
            volume.check();
        }
    });
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn nothing_synced_is_lost_when_the_server_of_a_cluster_is_killed() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    survive_kills(&masters.volume, NODES, kills(KILLS_FULL_CLUSTER), || {
        for image in IMAGES {
            masters.volume.is_whole_after_crash(image);
        }
    });
    // A mount for writing mends the leftovers of the last crash.
    let mounted = masters.volume.mount_node(NODES, &[]);
    fs::write(mounted.path("last"), b"").unwrap();
    assert!(mounted.unmount().0.success());
    masters.are_equal();
}
