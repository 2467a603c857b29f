//! One connection to an export.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use hammer2_core::io::{DeviceError, Operation, Request};
use nbd::client::{NbdClient, NbdExt, handshake};
use rustix::io::Errno;

use super::stream::Stream;
use super::{ExportAddress, ExportError};
use crate::clock::time_left;
use crate::device::Access;

/// What a server is asked to trim at a time: less than the protocol's 32 bits, and aligned to anything.
const MOST_TRIM_BYTES: u64 = 1 << 30;

/// Where in what a server says first its flags are: behind two magic numbers, flags of the handshake and the size.
const FLAGS_AT: usize = 26;
/// Several clients see the same, and a flush by one counts for all.
const CAN_MULTI_CONN: u16 = 1 << 8;

/// What an export is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) size_bytes: u64,
    pub(super) read_only: bool,
    pub(super) can_flush: bool,
    pub(super) can_trim: bool,
    /// There may be several connections.
    pub(super) many: bool,
}

/// How a request failed.
pub(super) enum Trouble {
    /// The server said so; the connection is as good as before.
    Answer(DeviceError),
    /// There is no connection any more.
    Lost(io::Error),
}

/// A connection on which the export can be used.
pub(super) struct Connection {
    client: NbdClient<Stream>,
    facts: Facts,
}

impl Connection {
    /// Connects, and greets the server, until `end`.
    pub(super) fn open(address: &ExportAddress, access: Access, end: Instant) -> Result<Self, ExportError> {
        let name = || address.to_string();
        let socket = connect(address, end).map_err(|source| ExportError::Connect { name: name(), source })?;
        let mut stream = Stream::of(&socket, access, end).map_err(|source| ExportError::Connect { name: name(), source })?;
        let mut heard = Overheard { stream: &mut stream, said: Vec::new() };
        let export = handshake(&mut heard, &address.export).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                ExportError::Refused { name: name() }
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ExportError::Silent { name: name() },
            _ => ExportError::NotNbd { name: name(), source: error },
        })?;
        let flags = heard.said.get(FLAGS_AT..FLAGS_AT + 2).map_or(0, |flags| u16::from_be_bytes([flags[0], flags[1]]));
        stream.await_replies();
        let facts = Facts {
            size_bytes: export.size,
            read_only: export.readonly,
            can_flush: export.send_flush,
            can_trim: export.send_trim,
            many: flags & CAN_MULTI_CONN != 0,
        };
        Ok(Self { client: NbdClient::new(stream, &export), facts })
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Does a request. May wait.
    pub(super) fn execute(&mut self, request: &mut Request) -> Result<(), Trouble> {
        match request.operation {
            Operation::Read(offset) => {
                self.seek(offset.0)?;
                self.client.read_exact(request.buffer.bytes_mut()).map_err(trouble)
            }
            Operation::Write(offset) => {
                self.seek(offset.0)?;
                self.client.write_all(request.buffer.bytes()).map_err(trouble)
            }
            Operation::Flush if self.facts.can_flush => self.client.flush().map_err(trouble),
            Operation::Discard { offset, bytes } if self.facts.can_trim => self.trim(offset.0, bytes),
            Operation::Flush | Operation::Discard { .. } => Err(Trouble::Answer(DeviceError::Unsupported)),
        }
    }

    fn trim(&mut self, offset: u64, bytes: u64) -> Result<(), Trouble> {
        for start in (0..bytes).step_by(MOST_TRIM_BYTES as usize) {
            self.seek(offset + start)?;
            let piece = MOST_TRIM_BYTES.min(bytes - start);
            self.client.trim(piece as usize).map_err(trouble)?;
        }
        Ok(())
    }

    fn seek(&mut self, offset: u64) -> Result<(), Trouble> {
        self.client.seek(SeekFrom::Start(offset)).map(drop).map_err(trouble)
    }
}

fn connect(address: &ExportAddress, end: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for place in (&address.host[..], address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, time_left(end)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What the crate's errors mean: what the server has answered has no code of the host, but a text.
fn trouble(error: io::Error) -> Trouble {
    let answered =
        error.raw_os_error().is_none() && matches!(error.kind(), ErrorKind::Other | ErrorKind::PermissionDenied);
    if !answered {
        return Trouble::Lost(error);
    }
    Trouble::Answer(match (error.kind(), &error.to_string()[..]) {
        (ErrorKind::PermissionDenied, _) => DeviceError::ReadOnly,
        (_, "ENOSPC") => DeviceError::NoSpace,
        (_, "EINVAL") => DeviceError::Io(Errno::INVAL.raw_os_error()),
        (_, "ENOMEM") => DeviceError::Io(Errno::NOMEM.raw_os_error()),
        _ => DeviceError::Io(Errno::IO.raw_os_error()),
    })
}

/// Keeps what the server says in the handshake: one of its flags the crate doesn't hand on.
struct Overheard<'s> {
    stream: &'s mut Stream,
    said: Vec<u8>,
}

impl Read for Overheard<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(bytes)?;
        self.said.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Write for Overheard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
