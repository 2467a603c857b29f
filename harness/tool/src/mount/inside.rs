//! The part that only one thread at a time may enter: the server, and the operations that wait.
//! The thread that reads a request begins it here. Most requests end at once; one that has to wait, for a device or for another
//! operation, stays here as a task, for the thread that serves the mount.

use std::cell::RefCell;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;

use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_kmod_shim::monitor::Monitor;
use parking_lot::RawMutex;

use super::counters::{Operation, add};
use super::server::Server;

/// A mount, shared by all threads.
pub(super) type Mounted = Monitor<RawMutex, Inside>;

/// The content of the monitor.
pub(super) struct Inside {
    /// None once no more work is begun.
    server: RefCell<Option<Rc<Server>>>,
    pub(super) executor: Executor<'static>,
}

/// The server, for work that the end of the mount waits for.
pub(super) struct Serving(Rc<Server>);

/// Work under way.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

impl Inside {
    pub(super) fn new(server: Server, clock: &'static HostClock) -> Self {
        Self { server: RefCell::new(Some(Rc::new(server))), executor: Executor::new(clock) }
    }

    /// The server, until the mount is closed.
    pub(super) fn server(&self) -> Option<Rc<Server>> {
        self.server.borrow().clone()
    }

    /// Closes the mount: no more work is begun.
    pub(super) fn close(&self) {
        self.server.take();
    }

    /// Serves a request until it has to wait; the rest is done later. If the mount is closed, the request is dropped: its reply
    /// then gives an error.
    pub(super) fn serve<F>(&self, operation: Operation, work: impl FnOnce(Serving) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let Some(server) = self.server() else { return };
        server.counters.count(operation);
        let waiting = self.executor.start(work(Serving::begin(server.clone()))).is_pending();
        add(&server.counters.had_to_wait, u64::from(waiting));
    }

    /// Begins other work, which is dropped if the mount is closed.
    pub(super) fn begin(&self, job: impl FnOnce(Serving) -> Work) {
        if let Some(server) = self.server() {
            self.executor.spawn(job(Serving::begin(server)));
        }
    }
}

impl Serving {
    fn begin(server: Rc<Server>) -> Self {
        server.under_way.note_begin();
        let most = &server.counters.most_at_once;
        most.set(most.get().max(server.under_way.count()));
        Self(server)
    }
}

impl Deref for Serving {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.under_way.note_end();
    }
}
