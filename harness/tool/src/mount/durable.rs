//! Making everything durable at the end of a mount. A failure is retried, so a device that was only late still gets everything.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use hammer2_core::fs::Error;
use hammer2_host::clock::HostClock;

use super::server::Server;

/// The time between tries at the end, and between looks whether a signal gave up.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Why the last changes aren't durable.
pub(super) enum Undurable {
    /// They never will be.
    Failed(Error),
    /// A signal gave up waiting.
    GivenUp,
}

/// Makes everything durable at the end. Waits as long as a disk is only late, unless a signal gives up.
pub(super) async fn sync_at_last(server: &Server, clock: &HostClock, given_up: &AtomicBool) -> Result<(), Undurable> {
    let mut told = false;
    loop {
        let synced = unless_given_up(server.fs.sync(), clock, given_up).await.ok_or(Undurable::GivenUp)?;
        match synced {
            Ok(()) => return Ok(()),
            Err(error) if server.is_overtaken.get() || late_disks(server, &error).is_empty() => {
                return Err(Undurable::Failed(error));
            }
            Err(_) if told => {}
            Err(error) => {
                told = true;
                let disks = late_disks(server, &error);
                log::warn!("{disks}the unmount waits for it; a second SIGTERM gives up what it lacks");
            }
        }
        unless_given_up(clock.sleep(BETWEEN_TRIES), clock, given_up).await.ok_or(Undurable::GivenUp)?;
    }
}

/// The result of some work; none if a signal gives up first.
async fn unless_given_up<T>(work: impl Future<Output = T>, clock: &HostClock, given_up: &AtomicBool) -> Option<T> {
    let mut work = pin!(work);
    loop {
        if given_up.load(Ordering::Relaxed) {
            return None;
        }
        match select(work, pin!(clock.sleep(BETWEEN_LOOKS))).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right(((), going_on)) => work = going_on,
        }
    }
}

/// The disks that don't answer, as the beginning of a message; empty for other errors.
pub(super) fn late_disks(server: &Server, error: &Error) -> String {
    let called = |node| server.administration.images.called(node);
    let mut late: Vec<_> = server.fs.late_nodes().map(called).collect();
    if late.is_empty() && matches!(error, Error::Io(fault) if fault.is_timeout()) {
        // No disk is known to be late, so all of them are named.
        late.extend(server.fs.member_statuses().map(|member| called(member.node)));
    }
    match &late[..] {
        [] => String::new(),
        late => format!("no answer from {}: ", late.join(" and ")),
    }
}
