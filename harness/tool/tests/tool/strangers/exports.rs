//! Untrustworthy servers: they send noise, a byte now and then, far too much, nothing, half a reply, or right replies with
//! flipped bits. Whatever they do, a command ends soon, with a clear status, within its memory.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hammer2_core::random::Random;
use nbd::server::{Export, handshake, transmission};
use sha2::{Digest, Sha256};

use crate::folder::Folder;

const IMAGE_BYTES: u64 = 64 << 20;

/// The pause between the bytes of a dripping server: shorter than any deadline.
const DRIP: Duration = Duration::from_millis(200);

/// How long a command may take: greeting and reply have 10 and 15 seconds, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(90);

/// The limit of a command's address space.
const MEMORY: &str = "--as=1610612736";

/// The behaviour of a server.
#[derive(Clone, Copy, Debug)]
enum Conduct {
    /// Noise, for ever.
    Noise,
    /// Nothing.
    Silence,
    /// It is honest for so many bytes, and then sends one now and then.
    Drip { after: u64 },
    /// After so many bytes, it sends nothing any more.
    Stall { after: u64 },
    /// After so many bytes, it hangs up.
    HangUp { after: u64, half: bool },
    /// One of so many bytes is wrong.
    Flip { one_in: u64 },
    /// It claims an impossible size.
    Size(u64),
}

impl Conduct {
    fn random(random: &mut Random) -> Self {
        // Mostly this is within the greeting, which has 152 bytes, or the first replies.
        let after = if random.percent(50) { random.below(160) } else { random.below(1 << 20) };
        match random.below(8) {
            0 => Self::Noise,
            1 => Self::Silence,
            2 => Self::Drip { after },
            3 => Self::Stall { after },
            4 => Self::HangUp { after, half: random.percent(50) },
            5 => Self::Size(random.next_u64() >> random.below(64)),
            _ => Self::Flip { one_in: 1 + random.below(100_000) },
        }
    }
}

/// A connection as the server uses it.
struct Mangled {
    socket: TcpStream,
    conduct: Conduct,
    random: Random,
    written: u64,
}

impl Read for Mangled {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.read(bytes)
    }
}

impl Write for Mangled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = bytes.to_vec();
        let honest = |after: u64| sent.len().min(after.saturating_sub(self.written) as usize);
        let count = match self.conduct {
            Conduct::Drip { after } if honest(after) == 0 => {
                sleep(DRIP);
                1
            }
            Conduct::Stall { after } if honest(after) == 0 => {
                // Until the client has had enough.
                io::copy(&mut self.socket, &mut io::sink())?;
                return Err(ErrorKind::BrokenPipe.into());
            }
            Conduct::HangUp { after, half } if honest(after) == 0 => {
                self.socket.shutdown(if half { Shutdown::Write } else { Shutdown::Both })?;
                io::copy(&mut self.socket, &mut io::sink())?;
                return Err(ErrorKind::BrokenPipe.into());
            }
            Conduct::Drip { after } | Conduct::Stall { after } | Conduct::HangUp { after, .. } => honest(after),
            Conduct::Flip { one_in } => {
                for byte in &mut sent {
                    if self.random.below(one_in) == 0 {
                        *byte ^= 1 << self.random.below(8);
                    }
                }
                sent.len()
            }
            Conduct::Noise | Conduct::Silence | Conduct::Size(_) => sent.len(),
        };
        self.socket.write_all(&sent[..count])?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves an image until the test's process ends; returns its address.
fn serve(image: PathBuf, conduct: Conduct, seed: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(file) = File::options().read(true).write(true).open(&image) else { return };
            let mut mangled = Mangled { socket: socket.unwrap(), conduct, random: Random::new(seed), written: 0 };
            thread::spawn(move || {
                // This ends with the connection.
                let _ = converse(&mut mangled, file);
                let _ = mangled.socket.shutdown(Shutdown::Both);
            });
        }
    });
    format!("nbd://127.0.0.1:{port}/data")
}

fn converse(mangled: &mut Mangled, file: File) -> io::Result<()> {
    match mangled.conduct {
        Conduct::Noise => loop {
            let mut noise = [0; 4096];
            mangled.random.fill(&mut noise);
            mangled.socket.write_all(&noise)?;
        },
        Conduct::Silence => io::copy(&mut mangled.socket, &mut io::sink()).map(drop),
        conduct => {
            let size = if let Conduct::Size(size) = conduct { size } else { IMAGE_BYTES };
            handshake(&mut *mangled, |_: &str| Ok(Export::<()> { size, ..Export::default() }))?;
            transmission(mangled, file)
        }
    }
}

/// A folder with a volume that holds many files.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.image("v.img", IMAGE_BYTES);
    folder.succeed(["newfs", "v.img"]);
    fs::create_dir(folder.path("tree")).unwrap();
    for number in 0..300 {
        // Each file has a block of its own.
        fs::write(folder.path(format!("tree/file{number}")), crate::folder::noise(4096, number)).unwrap();
    }
    folder.succeed(["put", "tree", "v.img:/tree"]);
    folder
}

/// Runs the tool on a server's export; it must end by itself, in time.
fn ends(folder: &Folder, arguments: &[&str], told: &str) {
    let mut tool = folder.command(["--deadline", "1"]);
    tool.args(arguments);
    let mut command = Command::new("prlimit");
    command.arg(MEMORY).arg(tool.get_program()).args(tool.get_args()).current_dir(folder.path(""));
    let begun = Instant::now();
    let output = command.output().unwrap();
    let took = begun.elapsed();
    assert!(took < LIMIT, "{told}: {arguments:?} took {took:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(matches!(code, Some(0..=2)), "{told}: {arguments:?}: {}: {said}", output.status);
    assert!(code == Some(0) || !said.is_empty() || !output.stdout.is_empty(), "{told}: {arguments:?} says nothing");
}

#[test]
fn a_hostile_server_makes_no_command_hang() {
    const WORKERS: u64 = 24;
    let folder = Arc::new(folder());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let folder = folder.clone();
            scope.spawn(move || {
                let mut random = Random::new(worker);
                let conduct = Conduct::random(&mut random);
                let image = format!("copy{worker}.img");
                fs::copy(folder.path("v.img"), folder.path(&image)).unwrap();
                let name = serve(folder.path(&image), conduct, worker);
                let out = format!("out{worker}");
                let read = format!("{name}:/tree");
                let commands: [&[&str]; 5] = [
                    &["info", &name],
                    &["get", &read, &out],
                    &["fsck", &name],
                    &["newfs", &name],
                    &["put", "tree", &read],
                ];
                let command = commands[random.index(commands.len())];
                ends(&folder, command, &format!("worker {worker}: {conduct:?}"));
            });
        }
    });
}

/// Whatever strangers do, only root keeps root from an export, but root keeps everybody.
#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn only_who_may_claims_an_export() {
    const NOBODY: u32 = 65534;
    let folder = folder();
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
    let tool = folder.path("hammer2");
    fs::copy(env!("CARGO_BIN_EXE_hammer2"), &tool).unwrap();
    fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    let name = serve(folder.path("v.img"), Conduct::Size(IMAGE_BYTES), 0);
    let info = |user: u32| {
        let mut command = Command::new(&tool);
        command.args(["info", &name]).current_dir("/").uid(user).env_remove("XDG_RUNTIME_DIR").output().unwrap()
    };
    let digest: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
    // A stranger takes an abstract name, with a queue that nobody empties.
    let address = SocketAddr::from_abstract_name(format!("hammer2-nbd-{digest}")).unwrap();
    let squatted = UnixListener::bind_addr(&address).unwrap();
    let queue: Vec<_> = (0..100).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
    assert!(info(0).status.success() && info(NOBODY).status.success());
    drop((squatted, queue));
    // Root has a writer.
    let path = PathBuf::from("/run/hammer2/nbd").join(digest);
    let lock = File::create(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    lock.lock().unwrap();
    for user in [0, NOBODY] {
        let said = info(user);
        assert!(String::from_utf8_lossy(&said.stderr).contains("in use"), "user {user}: {said:?}");
    }
    // The writer was killed.
    drop(lock);
    assert!(info(0).status.success() && info(NOBODY).status.success());
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_drips_is_given_up_whenever_it_begins() {
    let folder = Arc::new(folder());
    // In the greeting; in the first reply; while files are read.
    thread::scope(|scope| {
        for after in [0, 100, 160, 1 << 20] {
            let folder = folder.clone();
            scope.spawn(move || {
                let name = serve(folder.path("v.img"), Conduct::Drip { after }, 0);
                let out = format!("out{after}");
                ends(&folder, &["get", &format!("{name}:/tree"), &out], &format!("after {after} bytes"));
            });
        }
    });
}
