//! A block device on another machine: an export of an NBD server (qemu-nbd, nbdkit).
//! Requests and replies are those of the crate `nbd`, which does one request at a time on a connection. So there are several
//! connections, if the server says that a flush on one covers writes on the others.
//! A lost connection is not made anew behind the caller's back, as unflushed writes may be lost with it. The device is gone until
//! it is reset; after that, the caller begins anew with the export's state.

mod address;
mod claim;
mod connection;
mod negotiation;
mod pool;
mod socket;
mod stream;
mod tls;
mod zeros;

use std::io;
use std::task::{Context, Poll};

use hammer2_core::io::{BlockDevice, Completion, DeviceError, DeviceInfo, Permission, Request, Ticket};

use super::file::Access;
use super::name::lasting_name;
use super::workers::{Target as _, ThreadCount, Workers};
pub use address::{AddressError, ExportAddress};
use claim::{Claim, Unclaimed};
use pool::Pool;

/// The most requests to an export at once.
const QUEUE_DEPTH: u16 = 64;

/// Workers of all exports of the process, like those of all files.
static THREADS: ThreadCount = ThreadCount::new(8);

/// Why an export can't be used as a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Nothing listens at that address.
    #[error("{name}: can't connect: {source}; start its NBD server, or correct the address")]
    Connect {
        /// The export.
        name: String,
        /// The host's error.
        source: io::Error,
    },
    /// The server hung up when it got the name.
    #[error(
        "{name}: refused: the server has no such export, or serves somebody else (`nbdinfo --list` shows what it has)"
    )]
    Refused {
        /// The export.
        name: String,
    },
    /// The server doesn't answer.
    #[error("{name}: no answer: the server hangs, or serves somebody else and takes one client at a time")]
    Silent {
        /// The export.
        name: String,
    },
    /// Another kind of server listens there.
    #[error("{name}: no NBD server: {source}")]
    NotNbd {
        /// The export.
        name: String,
        /// What was wrong with its answer.
        source: io::Error,
    },
    /// It is offered only over TLS.
    #[error("{name}: its server speaks only TLS: write nbds:// for nbd://")]
    WantsTls {
        /// The export.
        name: String,
    },
    /// TLS was asked for, and the server has none.
    #[error("{name}: its server speaks no TLS: give it certificates, or write nbd:// for nbds://")]
    HasNoTls {
        /// The export.
        name: String,
    },
    /// A file that TLS needs can't be used.
    #[error(
        "{name}: {file}: {reason}; put it there, or name the folder of the certificates by ?tls-certificates=FOLDER"
    )]
    Certificates {
        /// The export.
        name: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server may be an impostor.
    #[error(
        "{name}: the server isn't trusted: {reason}; it needs a certificate for its name, or for that of ?tls-hostname=NAME, \
         that an authority in ca-cert.pem has signed"
    )]
    Untrusted {
        /// The export.
        name: String,
        /// Why.
        reason: String,
    },
    /// The server wants to know who we are.
    #[error(
        "{name}: the server doesn't accept who we are: put client-cert.pem, signed by an authority that it trusts, and \
         client-key.pem beside ca-cert.pem"
    )]
    NotAdmitted {
        /// The export.
        name: String,
    },
    /// Writing was asked for, and the export is read-only.
    #[error("{name}: the export is read-only: have it served for writing, or mount it with --read-only")]
    ReadOnly {
        /// The export.
        name: String,
    },
    /// The server can't flush, so no write would ever be durable.
    #[error(
        "{name}: its server can't flush, so nothing written there is safe: use another, or mount it with --read-only"
    )]
    NoFlush {
        /// The export.
        name: String,
    },
    /// A process of this machine writes to it.
    #[error("{name}: in use: end the mount or command that has it open, and name no export twice")]
    InUse {
        /// The export.
        name: String,
    },
}

/// An export as a block device.
pub struct NbdDevice {
    info: DeviceInfo,
    workers: Workers<Pool>,
    _claim: Claim,
}

impl NbdDevice {
    /// Connects to an export, and claims it unless `access` is [`Access::Look`].
    pub fn open(address: ExportAddress, access: Access) -> Result<Self, ExportError> {
        if access == Access::Look {
            return Self::look(address);
        }
        let name = address.to_string();
        let claim = match Claim::of(&name, access) {
            Ok(claim) => claim,
            Err(Unclaimed::InUse) => return Err(ExportError::InUse { name }),
            Err(Unclaimed::Nowhere(error)) => {
                log::warn!("{name}: other processes of this machine aren't kept from writing to it, too: {error}");
                Claim::none()
            }
        };
        Self::connect(address, access, claim)
    }

    /// Connects to an export for reading, even while it is in use.
    pub fn look(address: ExportAddress) -> Result<Self, ExportError> {
        Self::connect(address, Access::Read, Claim::none())
    }

    /// True if a process of this machine writes to the export.
    pub fn is_claimed(address: &ExportAddress) -> bool {
        matches!(Claim::of(&address.to_string(), Access::Read), Err(Unclaimed::InUse))
    }

    fn connect(address: ExportAddress, access: Access, claim: Claim) -> Result<Self, ExportError> {
        let name = address.to_string();
        let pool = Pool::open(address, access)?;
        let facts = pool.facts();
        if access == Access::Write {
            if facts.read_only {
                return Err(ExportError::ReadOnly { name });
            }
            if !facts.can_flush {
                return Err(ExportError::NoFlush { name });
            }
        }
        let info = DeviceInfo {
            name: lasting_name(&name),
            size_bytes: facts.size_bytes,
            queue_depth: QUEUE_DEPTH,
            read_only: access != Access::Write,
            is_shared: true,
        };
        Ok(Self { info, workers: Workers::new(pool, QUEUE_DEPTH, &THREADS), _claim: claim })
    }

    /// The same device, marked as one that no other machine can reach.
    #[must_use]
    pub fn reached_by_nobody_else(mut self) -> Self {
        self.info.is_shared = false;
        self
    }
}

impl BlockDevice for NbdDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn measure(&self) -> u64 {
        self.workers.target().size_bytes()
    }

    fn permit(&self, permission: Permission) {
        self.workers.permit(permission);
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        match self.info.admit_within(self.measure(), &request) {
            Err(error) => self.workers.complete(ticket, Completion { buffer: request.buffer, result: Err(error) }),
            Ok(()) => self.workers.submit(ticket, request),
        }
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        self.workers.poll(ticket, cx)
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        // The server may still carry requests out: that is certain only when it has answered, or the connection is lost.
        self.workers.poll_reset(cx).map(Ok)
    }

    fn close(&self) {
        self.workers.target().close();
    }
}

#[cfg(test)]
mod tests;
