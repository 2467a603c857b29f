//! How the tool and the process that serves a mount speak with each other: a line of JSON each, over a socket that is named after
//! the mount's device number. Such a name is in no directory, and goes with the process.

use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Copied, Done, Order, Refused, Status};

/// How long a name that is taken may stay so.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried meanwhile.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// What the tool asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// How the cluster is.
    Status,
    /// To carry out an order.
    Order(Order),
}

/// What the mount says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// How the cluster is; the last answer.
    Status(Status),
    /// How far the copy to a node is.
    Copied {
        /// The node.
        node: u8,
        /// So far.
        copied: Copied,
    },
    /// What came of an order; the last answer.
    Ended(Result<Done, Refused>),
}

/// One end of a conversation.
pub struct Line {
    reader: BufReader<UnixStream>,
}

impl Line {
    /// A line to the process that serves the mount of a directory. Anybody may take a name that nobody has, so it is only spoken
    /// with root and with oneself.
    pub fn to(directory: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect_addr(&address(directory)?)?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        let (own, other) = (geteuid(), socket_peercred(&stream)?.uid);
        if !is_trusted(&stream) {
            return refused("somebody else answers for this mount");
        }
        if !own.is_root() && own != other {
            // The mount would say nothing.
            return refused("only root, and who mounted it, may ask this mount");
        }
        Ok(Self::over(stream))
    }

    /// The same over a connection that was made.
    pub fn over(stream: UnixStream) -> Self {
        Self { reader: BufReader::new(stream) }
    }

    /// Says something.
    pub fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(what)?;
        line.push('\n');
        self.reader.get_mut().write_all(line.as_bytes())
    }

    /// Hears something; none when the other end is gone.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(serde_json::from_str(&line)?)),
        }
    }
}

/// Listens for those who have something to say to the mount of a directory.
///
/// A device number is given again as soon as it is free: who served the last mount that had it may not have let go of the name.
pub fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (address, begun) = (address(directory)?, Instant::now());
    loop {
        match UnixListener::bind_addr(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                thread::sleep(BETWEEN_TRIES);
            }
            bound => return bound,
        }
    }
}

/// True when the other end is root's, or of the same user.
pub fn is_trusted(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|other| other.uid.is_root() || other.uid == geteuid())
}

fn address(directory: &Path) -> io::Result<SocketAddr> {
    // The kernel knows without asking the process that serves the mount: it may not be there yet, or not any more.
    let facts = statx(CWD, directory, AtFlags::STATX_DONT_SYNC, StatxFlags::empty())?;
    SocketAddr::from_abstract_name(format!("hammer2/{}:{}", facts.stx_dev_major, facts.stx_dev_minor))
}
