//! The socket on which a mount takes an administrator's orders. It is named after the mount's device number, in a directory of
//! the user who mounted it, where nobody else can write.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hammer2_host::mount_table::{Mount, mount_of, mounts};
use hammer2_host::runtime_dir::{self, Readers};
use hammer2_host::unsynced;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Dev, major, minor};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout, socket_peercred};
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Uid, geteuid};

use super::wire::{LINE_DEADLINE, Line};

/// The folder of the sockets.
const FOLDER: &str = "orders";

/// What the kernel calls the type of our mounts.
pub(crate) const MOUNT_TYPE: &str = "fuse.hammer2";

/// As good as zero, which would mean for ever.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Why nothing can be asked of a mount.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Something else is there, or nothing.
    #[error("no HAMMER2 filesystem is mounted on this directory")]
    NotMounted,
    /// The mount belongs to somebody else.
    #[error("only root, and the user who mounted it, may ask this mount")]
    NotAllowed,
    /// A process of another user listens there.
    #[error("user {0} answers for this mount, but didn't mount it")]
    Stranger(u32),
    /// Nobody listens there.
    #[error("the process that serves this mount is gone; unmount it, and mount it again")]
    Gone,
    /// There is no socket.
    #[error("this mount hears no orders: its process is gone, or found no place for a socket, as its log says")]
    Deaf,
    /// Too many callers wait for an answer.
    #[error("the process that serves this mount doesn't answer: it is stopped, or hangs")]
    Busy,
    /// Something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects to the process that serves the mount of a directory; returns the line, and the number of that process.
pub fn call(directory: &Path) -> Result<(Line, i32), Unreachable> {
    let device = unsynced::device(directory)?;
    let is_ours = |mount: &Mount| mount.kind == MOUNT_TYPE && unsynced::is_mount_root(directory);
    let mount = mount_of(device).filter(is_ours).ok_or(Unreachable::NotMounted)?;
    let owner = mount.option("user_id").and_then(|uid| uid.parse().ok()).map_or(Uid::ROOT, Uid::from_raw);
    if !geteuid().is_root() && geteuid() != owner {
        return Err(Unreachable::NotAllowed);
    }
    for folder in runtime_dir::of(owner, FOLDER) {
        let path = folder.join(name(device));
        match connect(&path, LINE_DEADLINE) {
            Ok(stream) => {
                let other = socket_peercred(&stream).map_err(io::Error::from)?;
                if other.uid != owner {
                    return Err(Unreachable::Stranger(other.uid.as_raw()));
                }
                return Ok((Line::over(stream, LINE_DEADLINE), other.pid.as_raw_nonzero().get()));
            }
            Err(Errno::NOENT) => {}
            Err(Errno::CONNREFUSED) => return Err(Unreachable::Gone),
            Err(Errno::AGAIN) => return Err(Unreachable::Busy),
            Err(error) => return Err(Unreachable::Io(error.into())),
        }
    }
    Err(Unreachable::Deaf)
}

/// Connects; waits for a full queue for as long as `patience`.
fn connect(path: &Path, patience: Duration) -> Result<UnixStream, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

/// Whether the other end is closed.
fn has_hung_up(stream: &UnixStream) -> io::Result<bool> {
    let mut events = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut events, Some(&Timespec::default()))?;
    Ok(events[0].revents().contains(PollFlags::HUP))
}

/// Where a mount listens, until it is dropped.
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Listening {
    /// Listens for clients of the mount of a directory.
    pub fn on(directory: &Path) -> io::Result<Self> {
        let folder = runtime_dir::own(FOLDER, Readers::Owner)?;
        let path = folder.join(name(unsynced::device(directory)?));
        let _alone = locked(&folder)?;
        remove_abandoned(&folder)?;
        // A device number is used again as soon as it is free. This process has the mount, so the name is its own: a socket that
        // is there was left by a process that was killed, or takes no more orders.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        Ok(Self { listener, path, inode })
    }

    /// Waits for the next client of root or the same user; others are dropped unheard. So is a client that has hung up already:
    /// it gave up waiting, or only looked whether somebody listens, and many may have done so while the process was stopped.
    pub fn next(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let may_ask = socket_peercred(&stream).is_ok_and(|other| other.uid.is_root() || other.uid == geteuid());
            if may_ask && !has_hung_up(&stream)? {
                return Ok(stream);
            }
        }
    }

    /// Stops listening, and frees the name.
    pub fn end(&self) {
        // Nothing can be done if that fails: the thread that listens ends with the process.
        let _ = rustix::net::shutdown(&self.listener, Shutdown::Both);
        let Some(Ok(_alone)) = self.path.parent().map(locked) else { return };
        if fs::symlink_metadata(&self.path).is_ok_and(|facts| facts.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

/// Removes sockets of killed processes, on which nobody listens any more. A socket stays as long as its mount is there, so that a
/// client learns what happened to the mount.
fn remove_abandoned(folder: &Path) -> io::Result<()> {
    let mounted: Vec<OsString> = mounts().into_iter().map(|mount| name(mount.device).into()).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if !mounted.contains(&entry.file_name()) && matches!(connect(&path, AT_ONCE), Err(Errno::CONNREFUSED)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Opens and locks the folder: only one process at a time changes names in it.
fn locked(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

fn name(device: Dev) -> String {
    format!("{}:{}", major(device), minor(device))
}
