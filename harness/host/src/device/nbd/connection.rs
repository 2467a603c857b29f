//! One connection to an export.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::time::Instant;

use hammer2_core::io::{DeviceError, Operation, Request};
use nbd::Export;
use nbd::client::{NbdClient, NbdExt};
use rustix::io::Errno;

use super::negotiation::{Failed, negotiate};
use super::socket::Socket;
use super::stream::Stream;
use super::tls::Tls;
use super::{ExportAddress, ExportError};
use crate::device::Access;

/// The most bytes to trim in one request: less than the protocol's 32 bits, and aligned to anything.
const MOST_TRIM_BYTES: u64 = 1 << 30;

const READ_ONLY: u16 = 1 << 1;
const CAN_FLUSH: u16 = 1 << 2;
const CAN_TRIM: u16 = 1 << 5;
/// The flag that all connections see the same content, and a flush on one counts for all.
const CAN_MULTI_CONN: u16 = 1 << 8;

/// Properties of an export.
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
    /// The server reported an error; the connection is as good as before.
    Answer(DeviceError),
    /// The connection is lost.
    Lost(io::Error),
}

/// A connection on which the export can be used.
pub(super) struct Connection {
    client: NbdClient<Stream>,
    facts: Facts,
}

impl Connection {
    /// Connects and negotiates with the server; gives up at `end`.
    pub(super) fn open(
        address: &ExportAddress,
        access: Access,
        tls: Option<Tls>,
        end: Instant,
    ) -> Result<Self, ExportError> {
        let name = address.to_string();
        let socket = match Socket::connect(&address.place, access, end) {
            Ok(socket) => socket,
            Err(source) => return Err(ExportError::Connect { name, source }),
        };
        let mut stream = Stream::of(socket, end);
        let agreed = match negotiate(&mut stream, &address.export, tls) {
            Ok(agreed) => agreed,
            Err(failed) => return Err(refusal(name, failed)),
        };
        stream.await_replies();
        let has = |flag: u16| agreed.flags & flag != 0;
        let facts = Facts {
            size_bytes: agreed.size_bytes,
            read_only: has(READ_ONLY),
            can_flush: has(CAN_FLUSH),
            can_trim: has(CAN_TRIM),
            many: has(CAN_MULTI_CONN),
        };
        let export = Export { size: agreed.size_bytes, ..Export::default() };
        Ok(Self { client: NbdClient::new(stream, &export), facts })
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Executes a request, and waits for the reply.
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

/// Why an export can't be used, in words.
fn refusal(name: String, failed: Failed) -> ExportError {
    match failed {
        Failed::Io(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                ExportError::Refused { name }
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ExportError::Silent { name },
            _ => ExportError::NotNbd { name, source: error },
        },
        Failed::Refused => ExportError::Refused { name },
        Failed::WantsTls => ExportError::WantsTls { name },
        Failed::HasNoTls => ExportError::HasNoTls { name },
        Failed::NotAdmitted => ExportError::NotAdmitted { name },
        Failed::Tls(error) if error.kind() == ErrorKind::TimedOut => ExportError::Silent { name },
        Failed::Tls(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::AlertReceived(_)) => ExportError::NotAdmitted { name },
            _ => ExportError::Untrusted { name, reason: error.to_string() },
        },
    }
}

/// Interprets the crate's errors: an error of the server has a text instead of an error number of the host.
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
