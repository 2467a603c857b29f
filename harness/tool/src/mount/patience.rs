//! Requests while the cluster has no quorum: they fail, or they wait until the quorum is back.
//! An operation that fails for want of a quorum has changed nothing, so it is simply tried again. A program that waits so can't
//! be interrupted: the kernel waits for the answer. The end of the mount ends the waiting.

use std::cell::Cell;
use std::time::Duration;

use hammer2_core::fs::Error;
use hammer2_host::clock::HostClock;

/// How often it is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Whether requests wait, with the clock for waiting.
pub(super) struct Patience {
    waits: Cell<bool>,
    clock: &'static HostClock,
}

impl Patience {
    pub(super) fn new(waits: bool, clock: &'static HostClock) -> Self {
        Self { waits: Cell::new(waits), clock }
    }

    /// The clock.
    pub(super) fn clock(&self) -> &'static HostClock {
        self.clock
    }

    /// Ends the waiting: waiting requests fail for want of a quorum, and new ones don't wait.
    pub(super) fn end(&self) {
        self.waits.set(false);
    }

    /// Does something, and repeats it as long as there is no quorum, if requests wait.
    pub(super) async fn keep_trying<T>(
        &self,
        mut operation: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            match operation().await {
                Err(Error::NoQuorum { .. }) if self.waits.get() => {
                    self.clock.sleep(BETWEEN_TRIES).await;
                }
                outcome => return outcome,
            }
        }
    }
}
