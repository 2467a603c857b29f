//! The connections to an export.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hammer2_core::io::{DeviceError, Request};

use super::connection::{Connection, Facts, Trouble};
use super::tls::Tls;
use super::{ExportAddress, ExportError};
use crate::device::Access;
use crate::device::workers::{MOST_THREADS, Outcome, Target};

/// How long the server may take until all connections to the export can be used.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// The connections to an export: one for each worker, if the server allows that.
pub(super) struct Pool {
    address: ExportAddress,
    access: Access,
    facts: Facts,
    size_bytes: AtomicU64,
    connections: Mutex<Connections>,
    returned: Condvar,
}

struct Connections {
    idle: Vec<Connection>,
    /// A connection was lost: the device can be used again only after a reset.
    lost: bool,
    /// The device was reset: the next request makes new connections.
    anew: bool,
}

impl Pool {
    pub(super) fn open(address: ExportAddress, access: Access) -> Result<Self, ExportError> {
        let idle = connect_all(&address, access)?;
        let facts = idle[0].facts();
        Ok(Self {
            address,
            access,
            facts,
            size_bytes: AtomicU64::new(facts.size_bytes),
            connections: Mutex::new(Connections { idle, lost: false, anew: false }),
            returned: Condvar::new(),
        })
    }

    /// The properties of the export when it was opened.
    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Its current size.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for a request.
    fn take(&self) -> Result<Connection, DeviceError> {
        let mut connections = self.lock();
        if connections.anew {
            connections.anew = false;
            match self.connect_anew() {
                Ok(idle) => connections.idle = idle,
                Err(error) => {
                    log::warn!("{error}");
                    connections.lost = true;
                }
            }
        }
        let taken = |connections: &mut Connections| connections.idle.is_empty() && !connections.lost;
        let waited = self.returned.wait_while(connections, taken);
        let mut connections = waited.unwrap_or_else(PoisonError::into_inner);
        if connections.lost {
            return Err(DeviceError::Gone);
        }
        connections.idle.pop().ok_or(DeviceError::Gone)
    }

    /// Connects to the same export again; it may have grown.
    fn connect_anew(&self) -> Result<Vec<Connection>, ExportError> {
        let connections = connect_all(&self.address, self.access)?;
        let facts = connections[0].facts();
        if self.facts.can_flush && !facts.can_flush {
            return Err(ExportError::NoFlush { name: self.address.to_string() });
        }
        self.size_bytes.store(facts.size_bytes, Ordering::Relaxed);
        Ok(connections)
    }

    /// Puts a good connection back, unless another was lost meanwhile: then all are dropped.
    fn put_back(&self, connection: Connection) {
        let mut connections = self.lock();
        if !connections.lost {
            connections.idle.push(connection);
        }
        drop(connections);
        self.returned.notify_one();
    }

    fn lose(&self) {
        let mut connections = self.lock();
        connections.lost = true;
        connections.idle.clear();
        drop(connections);
        self.returned.notify_all();
    }
}

/// Makes one connection, and more if the server allows several; it may accept fewer.
fn connect_all(address: &ExportAddress, access: Access) -> Result<Vec<Connection>, ExportError> {
    let end = Instant::now() + GREETING_DEADLINE;
    let tls = address.tls.as_ref().map(|names| Tls::read(names, &address.to_string())).transpose()?;
    let mut connections = vec![Connection::open(address, access, tls.clone(), end)?];
    if connections[0].facts().many {
        let more = (1..MOST_THREADS).map_while(|_| Connection::open(address, access, tls.clone(), end).ok());
        connections.extend(more);
    }
    Ok(connections)
}

impl Target for Pool {
    fn execute(&self, request: &mut Request, may_begin: &dyn Fn(&Request) -> bool) -> Outcome {
        let mut connection = match self.take() {
            Ok(connection) => connection,
            Err(error) => return Outcome::Done(Err(error)),
        };
        // If several threads share one connection, this one may have waited for it for long.
        if !may_begin(request) {
            self.put_back(connection);
            return Outcome::NotBegun;
        }
        let result = match connection.execute(request) {
            Err(Trouble::Lost(error)) => {
                log::warn!("{}: connection lost: {error}", self.address);
                self.lose();
                return Outcome::Done(Err(DeviceError::Gone));
            }
            Err(Trouble::Answer(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        // Even if another connection was lost meanwhile, this answer says what the server has done.
        self.put_back(connection);
        Outcome::Done(result)
    }

    fn reset(&self) {
        let mut connections = self.lock();
        // Connections that were never lost have nothing under way any more.
        if connections.lost {
            connections.lost = false;
            connections.anew = true;
        }
    }

    fn close(&self) {
        self.lose();
    }
}
