//! A socket to a server: on another machine, or on this one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hammer2_core::media::heartbeat::HEARTBEAT_PERIOD;
use rustix::net::sockopt;

use super::address::Place;
use crate::clock::time_left;
use crate::device::Access;

/// A machine that is silent for so long counts as gone, with the connection. A slow server doesn't count as silent: its machine
/// still acknowledges packets.
const SILENCE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// How long sent data may be on its way to an export that is written to, as the host resends it until then. If it arrived later,
/// another machine could have taken over: so this is the time from the end of a lease to that of a watch.
const MOST_UNDER_WAY: Duration = Duration::from_millis(HEARTBEAT_PERIOD.as_millis() as u64 / 2);

pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects until `end`.
    pub(super) fn connect(place: &Place, access: Access, end: Instant) -> io::Result<Self> {
        match place {
            Place::Tcp { host, port } => {
                let socket = connect(host, *port, end)?;
                let patience = if access == Access::Write { MOST_UNDER_WAY } else { SILENCE };
                socket.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&socket, true)?;
                sockopt::set_tcp_keepidle(&socket, SILENCE / PROBES)?;
                sockopt::set_tcp_keepintvl(&socket, SILENCE / PROBES)?;
                sockopt::set_tcp_keepcnt(&socket, PROBES)?;
                sockopt::set_tcp_user_timeout(&socket, patience.as_millis() as u32)?;
                Ok(Self::Tcp(socket))
            }
            Place::Unix(path) => Ok(Self::Unix(UnixStream::connect(path)?)),
        }
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(timeout),
            Self::Unix(socket) => socket.set_read_timeout(timeout),
        }
    }
}

fn connect(host: &str, port: u16, end: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for place in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, time_left(end)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(bytes),
            Self::Unix(socket) => socket.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
