//! Files that have lost their last name and are still held: open, by a path alone, or as a working directory.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hammer2_core::random::Random;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mknodat, openat};

use super::mounted::{Mounted, Volume, noise, wait_until};

fn path_only(path: &Path) -> OwnedFd {
    openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap()
}

/// The number of names of an open file.
fn links(file: impl AsFd) -> u64 {
    fstat(file).unwrap().st_nlink
}

/// A process with this working directory, which looks around there when it gets a line.
fn stand_in(directory: &Path) -> Child {
    let mut command = Command::new("sh");
    // The working directory alone keeps the directory, so it isn't open.
    command.args(["-c", "read line && stat --format=%h . && echo ../* && exit 0"]).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_removed_is_there_as_long_as_anybody_holds_it() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    fs::create_dir(mounted.path("open")).unwrap();
    fs::create_dir(mounted.path("stood-in")).unwrap();
    fs::write(mounted.path("file"), b"content").unwrap();
    mknodat(CWD, mounted.path("fifo"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    std::os::unix::fs::symlink("nowhere", mounted.path("link")).unwrap();
    let directory = File::open(mounted.path("open")).unwrap();
    let fifo = OpenOptions::new().read(true).write(true).open(mounted.path("fifo")).unwrap();
    let [file, link] = ["file", "link"].map(|name| path_only(&mounted.path(name)));
    let standing = stand_in(&mounted.path("stood-in"));
    for name in ["open", "stood-in"] {
        fs::remove_dir(mounted.path(name)).unwrap();
    }
    // One file is replaced.
    fs::write(mounted.path("other"), b"").unwrap();
    fs::rename(mounted.path("other"), mounted.path("file")).unwrap();
    for name in ["fifo", "link"] {
        fs::remove_file(mounted.path(name)).unwrap();
    }
    assert_eq!([links(&directory), links(&fifo), links(&file), links(&link)], [0; 4]);
    assert_eq!(fstat(&file).unwrap().st_size, 7);
    directory.sync_all().unwrap();
    // The file is opened again through the held one.
    let again = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap();
    let mut content = [0; 7];
    again.read_exact_at(&mut content, 0).unwrap();
    assert_eq!(&content, b"content");
    let seen = standing.wait_with_output_after(b"look\n");
    assert!(seen.status.success(), "{seen:?}");
    assert!(String::from_utf8_lossy(&seen.stdout).starts_with('0'), "{seen:?}");
    drop((directory, fifo, file, link, again));
    mounted.unmount_well();
    volume.check();
}

trait Ask {
    fn wait_with_output_after(self, question: &[u8]) -> std::process::Output;
}

impl Ask for Child {
    fn wait_with_output_after(mut self, question: &[u8]) -> std::process::Output {
        std::io::Write::write_all(&mut self.stdin.take().unwrap(), question).unwrap();
        self.wait_with_output().unwrap()
    }
}

/// A removed file that is still held.
struct Held {
    file: OwnedFd,
    facts: (u32, u64),
}

fn facts(file: impl AsFd) -> (u32, u64) {
    let facts = fstat(file).unwrap();
    (facts.st_mode, facts.st_ino)
}

/// Makes and removes things, and holds some of them for a while.
fn make_and_remove(mounted: &Mounted, random: &mut Random, steps: u32) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for step in 0..steps {
        let path = mounted.path(format!("made{step}"));
        match random.below(4) {
            0 => fs::create_dir(&path).unwrap(),
            1 => mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap(),
            _ => fs::write(&path, noise(random.index(100_000))).unwrap(),
        }
        let is_held = random.percent(70).then(|| path_only(&path));
        let second = mounted.path(format!("second{step}"));
        let is_directory = path.is_dir();
        if !is_directory && random.percent(30) {
            fs::hard_link(&path, &second).unwrap();
            fs::remove_file(&second).unwrap();
        }
        match is_directory {
            true => fs::remove_dir(&path).unwrap(),
            false if random.percent(30) => {
                let other = mounted.path("other");
                fs::write(&other, b"").unwrap();
                fs::rename(&other, &path).unwrap();
                fs::remove_file(&path).unwrap();
            }
            false => fs::remove_file(&path).unwrap(),
        }
        held.extend(is_held.map(|file| Held { facts: facts(&file), file }));
        if random.percent(50) && !held.is_empty() {
            let Held { file, facts: before } = held.swap_remove(random.index(held.len()));
            assert_eq!((facts(&file), links(&file)), (before, 0), "step {step}");
        }
    }
    held
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_held_takes_room_until_it_is_let_go_even_by_a_crash() {
    const SEEDS: u64 = 8;
    let volume = Volume::new(256 << 20);
    let inodes = || {
        let info = volume.succeed(&["info", "--json", "v.img"]);
        let (_, rest) = info.split_once("\"inodes\":").unwrap();
        rest.trim_start().split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
    };
    volume.mount(&[]).unmount_well();
    let empty = inodes();
    for seed in 0..SEEDS {
        let mut mounted = volume.mount(&["--sync-every", "0"]);
        let held = make_and_remove(&mounted, &mut Random::new(seed), 200);
        for Held { file, facts: before } in &held {
            assert_eq!(facts(file), *before, "seed {seed}");
        }
        if seed % 2 == 0 {
            fs::write(mounted.path("file"), b"").unwrap();
            File::open(mounted.path("file")).unwrap().sync_all().unwrap();
            fs::remove_file(mounted.path("file")).unwrap();
            mounted.kill();
            drop(held);
            // The next mount removes the held files.
            volume.mount(&[]).unmount_well();
            let _ = volume.run(&["rm", "v.img:/file"]);
        } else {
            drop(held);
            mounted.unmount_well();
        }
        volume.check();
        assert_eq!(inodes(), empty, "seed {seed}: something is left");
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_let_go_is_gone_while_it_is_mounted() {
    let volume = Volume::new(64 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    let free = || rustix::fs::statvfs(mounted.path("")).unwrap().f_bfree;
    let noise = noise(1 << 20);
    let file = File::create(mounted.path("file")).unwrap();
    while file.write_all_at(&noise, file.metadata().unwrap().size()).is_ok() {}
    let full = free();
    fs::remove_file(mounted.path("file")).unwrap();
    assert!(free() < full + 1000, "a file that is open takes room");
    drop(file);
    wait_until("there is room again", || free() > full + 7000);
    mounted.unmount_well();
    volume.check();
}
