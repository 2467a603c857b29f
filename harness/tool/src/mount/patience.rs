//! What becomes of requests while the cluster has no quorum: they fail, or they wait until it is back.
//!
//! Nothing of an operation is done that fails for want of a quorum, so it is simply tried again. A program that waits so can't be
//! interrupted: the kernel waits for the answer. The end of the mount ends the waiting.

use std::cell::Cell;
use std::time::Duration;

use hammer2_core::fs::Error;
use hammer2_host::clock::HostClock;

/// How often it is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Whether requests wait, and what time it is.
pub(super) struct Patience {
    waits: Cell<bool>,
    clock: &'static HostClock,
}

impl Patience {
    pub(super) fn new(waits: bool, clock: &'static HostClock) -> Self {
        Self { waits: Cell::new(waits), clock }
    }

    /// What it is kept by.
    pub(super) fn clock(&self) -> &'static HostClock {
        self.clock
    }

    /// Who waits is told that there is no quorum, and who comes doesn't wait.
    pub(super) fn end(&self) {
        self.waits.set(false);
    }

    /// Does something; again and again as long as a quorum is lacking, if that is wanted.
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
