//! One connection to an export.

use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Instant;

use hammer2_core::io::{DeviceError, Operation, Request};
use nbd::Export;
use nbd::client::{NbdClient, NbdExt};
use rustix::io::Errno;

use super::negotiation::{Failed, negotiate};
use super::socket::Socket;
use super::stream::Stream;
use super::tls::Tls;
use super::zeros::write_zeroes;
use super::{ExportAddress, ExportError};
use crate::device::Access;

/// What a server is asked to trim, or to make zeros, at a time: less than the protocol's 32 bits, and aligned to anything.
const MOST_BYTES: u64 = 1 << 30;

const READ_ONLY: u16 = 1 << 1;
const CAN_FLUSH: u16 = 1 << 2;
const CAN_TRIM: u16 = 1 << 5;
const CAN_ZERO: u16 = 1 << 6;
/// The flag that all connections see the same content, and a flush on one counts for all.
const CAN_MULTI_CONN: u16 = 1 << 8;

/// Properties of an export.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) size_bytes: u64,
    pub(super) read_only: bool,
    pub(super) can_flush: bool,
    pub(super) can_trim: bool,
    pub(super) can_zero: bool,
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
    stream: Stream,
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
            can_zero: has(CAN_ZERO),
            many: has(CAN_MULTI_CONN),
        };
        Ok(Self { stream, facts })
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Executes a request, and waits for the reply.
    pub(super) fn execute(&mut self, request: &mut Request) -> Result<(), Trouble> {
        let done = match request.operation {
            Operation::Read(offset) => {
                self.at(offset.0).and_then(|mut client| client.read_exact(request.buffer.bytes_mut()))
            }
            Operation::Write(offset) => {
                self.at(offset.0).and_then(|mut client| client.write_all(request.buffer.bytes()))
            }
            Operation::Flush if self.facts.can_flush => self.at(0).and_then(|mut client| client.flush()),
            Operation::Zero { offset, bytes } if self.facts.can_zero => {
                pieces(offset.0, bytes).try_for_each(|(start, bytes)| write_zeroes(&mut self.stream, start, bytes))
            }
            Operation::Discard { offset, bytes } if self.facts.can_trim => pieces(offset.0, bytes)
                .try_for_each(|(start, bytes)| self.at(start).and_then(|mut client| client.trim(bytes as usize))),
            Operation::Flush | Operation::Zero { .. } | Operation::Discard { .. } => {
                return Err(Trouble::Answer(DeviceError::Unsupported));
            }
        };
        done.map_err(trouble)
    }

    /// The crate's client, at a place: it is nothing but that beside the stream, which others speak on, too.
    fn at(&mut self, offset: u64) -> io::Result<NbdClient<&mut Stream>> {
        let export = Export { size: self.facts.size_bytes, ..Export::default() };
        let mut client = NbdClient::new(&mut self.stream, &export);
        client.seek(SeekFrom::Start(offset))?;
        Ok(client)
    }
}

/// Places and lengths of requests for a range.
fn pieces(offset: u64, bytes: u64) -> impl Iterator<Item = (u64, u32)> {
    let starts = (0..bytes).step_by(MOST_BYTES as usize);
    starts.map(move |start| (offset + start, MOST_BYTES.min(bytes - start) as u32))
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
