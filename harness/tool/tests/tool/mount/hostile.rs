//! Strangers and malformed clients at the socket for a mount's orders; and a mount that doesn't answer.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hammer2_core::random::Random;
use rustix::fs::{major, minor};
use rustix::process::Signal;

use super::cluster::{IMAGE_BYTES, Masters, NODES};
use super::mounted::{Mounted, wait_until};

/// How much more memory the server may have after an attack: the lines that sixteen clients have begun, and the allocator's
/// reserve.
const MOST_GROWTH_KIB: u64 = 64 << 10;

/// More clients than are served at a time.
const MANY_LOOKS: usize = 64;

/// The length of an endless line.
const ENDLESS_LINE_BYTES: usize = 4 << 20;

fn socket(mounted: &Mounted) -> PathBuf {
    let device = fs::metadata(mounted.path("")).unwrap().dev();
    PathBuf::from(format!("/run/hammer2/orders/{}:{}", major(device), minor(device)))
}

/// The number in a line of `/proc/PID/status`.
fn server_has(mounted: &Mounted, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mounted.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// A well-formed question.
const QUESTION: &[u8] = b"{\"version\":1,\"question\":\"Status\"}\n";

/// Sends something malformed, chosen by the seed.
fn attack(socket: &PathBuf, seed: u64) -> std::io::Result<()> {
    let mut random = Random::new(seed);
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut noise = vec![0; 1 + random.index(10_000)];
    random.fill(&mut noise);
    match random.below(8) {
        0 => stream.write_all(&noise)?,
        1 => (0..ENDLESS_LINE_BYTES / noise.len()).try_for_each(|_| stream.write_all(&vec![b'['; noise.len()]))?,
        2 => {
            noise.retain(|byte| *byte != b'\n');
            noise.push(b'\n');
            stream.write_all(&noise)?;
        }
        3 => {
            for byte in QUESTION.iter().take(random.index(8)) {
                stream.write_all(&[*byte])?;
                sleep(Duration::from_millis(random.below(100)));
            }
        }
        4 => {
            stream.write_all(&QUESTION[..random.index(QUESTION.len())])?;
            stream.shutdown(Shutdown::Write)?;
        }
        // This client asks, and doesn't listen.
        5 => return stream.write_all(QUESTION),
        6 => stream
            .write_all(format!("{}\n", "{\"version\":1,\"question\":".repeat(1 + random.index(5000))).as_bytes())?,
        _ => {}
    }
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // The mount hangs up, at the latest at the deadline for a question.
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(())
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn clients_that_make_no_sense_disturb_nobody() {
    const CLIENTS: u64 = 32;
    const ATTACKS: u64 = 12;
    let masters = Masters::new(2 * IMAGE_BYTES);
    let mounted = masters.volume.mount_node(NODES, &[]);
    let socket = socket(&mounted);
    masters.volume.succeed(&["cluster", "status", "mnt"]);
    let before = server_has(&mounted, "VmRSS:");
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let socket = &socket;
            scope.spawn(move || {
                for number in 0..ATTACKS {
                    if let Err(error) = attack(socket, client * ATTACKS + number) {
                        // The mount hangs up on too many clients, and on lines that are too long.
                        let is_hung_up = matches!(error.raw_os_error(), Some(32 | 104));
                        assert!(is_hung_up, "client {client}, attack {number}: {error}");
                    }
                }
            });
        }
        // Meanwhile the filesystem is used.
        for number in 0..200 {
            fs::write(mounted.path(format!("file{number}")), b"content").unwrap();
        }
    });
    // Thousands of clients connect, each for a moment or as long as it may.
    let mut held = Vec::new();
    for number in 0..3000 {
        let stream = UnixStream::connect(&socket).unwrap();
        if number % 10 == 0 {
            held.push(stream);
        }
    }
    assert!(server_has(&mounted, "Threads:") < 64, "a thread for each client");
    let grown = server_has(&mounted, "VmRSS:").saturating_sub(before);
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more than before");
    // Silent clients are sent away in time, and then there is room again.
    wait_until("orders are heard again", || masters.volume.run(&["cluster", "status", "mnt"]).status.success());
    drop(held);
    masters.volume.succeed(&["cluster", "scrub", "mnt"]);
    let which =
        |path: &Path| fs::symlink_metadata(path).ok().map(|facts| (facts.ino(), facts.ctime(), facts.ctime_nsec()));
    let ours = which(&socket);
    mounted.unmount_well();
    // Another mount may have the number by now, and with it a socket of this name.
    assert!(ours.is_some() && which(&socket) != ours, "the socket is left behind");
    masters.are_equal();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_mount_that_is_stopped_is_named_and_waited_for_no_longer() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    // Before it is stopped, only the wait for its beginning has looked at it.
    let mounted = masters.volume.mount_node(NODES, &[]);
    let socket = socket(&mounted);
    mounted.signal(Signal::STOP);
    let begun = Instant::now();
    let told = format!("process {}, which serves this mount, is stopped", mounted.id());
    let orders = [&["cluster", "status", "mnt"][..], &["cluster", "scrub", "mnt"], &["snapshot", "mnt", "LATER"]];
    for arguments in orders {
        masters.volume.refuse(arguments, 1, &told);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    // Mounts that begin meanwhile look whether a process listens here.
    for _ in 0..MANY_LOOKS {
        drop(UnixStream::connect(&socket).unwrap());
    }
    mounted.signal(Signal::CONT);
    masters.volume.succeed(&["cluster", "status", "mnt"]);
    assert!(!masters.volume.succeed(&["pfs-list", "mnt"]).contains("LATER"), "it was said that nobody made it");
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_killed_mount_is_gone_and_leaves_its_name_to_the_next() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let mut mounted = masters.volume.mount_node(NODES, &[]);
    let left = socket(&mounted);
    // There is a socket of another killed mount, with a number that no mount has.
    let abandoned = left.with_file_name("0:0");
    drop(UnixListener::bind(&abandoned).unwrap());
    mounted.kill_and_keep();
    let gone = fs::symlink_metadata(&left).expect("a killed process removes nothing").ino();
    // Other mounts begin, which remove abandoned sockets, but not this one, whose mount is still there.
    fs::create_dir(masters.path("other")).unwrap();
    fs::File::create(masters.path("other.img")).unwrap().set_len(IMAGE_BYTES).unwrap();
    masters.volume.succeed(&["newfs", "other.img"]);
    masters.volume.mount_node_on("other.img", "other", &[]).unmount_well();
    assert!(!abandoned.exists());
    masters.volume.refuse(&["cluster", "status", "mnt"], 1, "the process that serves this mount is gone");
    mounted.detach();
    // The kernel gives the lowest number that is free; another mount may have it for a while.
    wait_until("the number of the mount is given again", || {
        let mounted = masters.volume.mount_node(NODES, &[]);
        masters.volume.succeed(&["cluster", "status", "mnt"]);
        let has_number = socket(&mounted) == left;
        mounted.unmount_well();
        has_number
    });
    assert!(!fs::symlink_metadata(&left).is_ok_and(|facts| facts.ino() == gone));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn names_that_anybody_can_take_are_of_no_use_to_anybody() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    // These are all names that the next mounts would get, if they used abstract names.
    let name = |minor: u32| SocketAddr::from_abstract_name(format!("hammer2/0:{minor}")).unwrap();
    let taken: Vec<_> = (0..2000).filter_map(|minor| UnixListener::bind_addr(&name(minor)).ok()).collect();
    assert!(!taken.is_empty());
    let mounted = masters.volume.mount_node(NODES, &[]);
    masters.volume.succeed(&["cluster", "status", "mnt"]);
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_users_mount_hears_the_user_and_root_and_nobody_else() {
    // FUSE needs users with a name: nobody, and daemon.
    const USER: u32 = 65534;
    const OTHER: u32 = 1;
    let masters = Masters::new(2 * IMAGE_BYTES);
    let folder = masters.path("");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let tool = masters.path("hammer2");
    fs::copy(env!("CARGO_BIN_EXE_hammer2"), &tool).unwrap();
    fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    for image in super::cluster::IMAGES.iter().chain(&["mnt", "c"]) {
        std::os::unix::fs::chown(masters.path(image), Some(USER), Some(USER)).unwrap();
    }
    let runtime = Runtime::of(USER);
    let as_user = |user: u32, arguments: &[&str]| {
        let mut command = Command::new(&tool);
        command.args(arguments).current_dir(&folder).uid(user).gid(user).env("XDG_RUNTIME_DIR", runtime.path(user));
        command.output().unwrap()
    };
    let log = masters.path("c/log");
    let mounted = as_user(USER, &["mount", "--log", log.to_str().unwrap(), NODES, "mnt"]);
    assert!(mounted.status.success(), "{mounted:?}");
    let unmount = Unmount(masters.path("mnt"));
    for user in [USER, 0] {
        let asked = as_user(user, &["cluster", "status", "mnt"]);
        assert!(asked.status.success(), "user {user}: {asked:?}");
    }
    let asked = as_user(OTHER, &["cluster", "status", "mnt"]);
    assert!(String::from_utf8_lossy(&asked.stderr).contains("only root, and the user who mounted it"), "{asked:?}");
    drop(unmount);
    wait_until("the images are free", || masters.volume.run(&["cluster", "status", NODES]).status.success());
}

/// The runtime directory of a user who is logged in.
struct Runtime {
    path: PathBuf,
    made: Vec<PathBuf>,
}

impl Runtime {
    fn of(user: u32) -> Self {
        let all = PathBuf::from("/run/user");
        let path = all.join(user.to_string());
        let made = [&all, &path].into_iter().filter(|path| fs::create_dir(path).is_ok()).cloned().collect();
        std::os::unix::fs::chown(&path, Some(user), Some(user)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self { path, made }
    }

    /// The directory for a user; other users have none.
    fn path(&self, user: u32) -> PathBuf {
        let own = self.path.file_name().is_some_and(|name| name == user.to_string().as_str());
        if own { self.path.clone() } else { PathBuf::from("/nonexistent") }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for made in self.made.iter().rev() {
            let _ = if *made == self.path { fs::remove_dir_all(made) } else { fs::remove_dir(made) };
        }
    }
}

/// A mount that is unmounted when this is dropped.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
