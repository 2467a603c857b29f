//! When another machine takes the disks over: nothing is changed any more, and that is told once.

use std::time::Duration;

use hammer2_host::clock::HostClock;

use super::server::Server;

/// How soon it is told.
const NOTICED_EVERY: Duration = Duration::from_secs(1);

/// Tells of it, with the disk and the other machine.
pub(super) async fn tell_when_fenced(server: &Server, clock: &HostClock) {
    loop {
        clock.sleep(NOTICED_EVERY).await;
        if let Some((node, fault)) = server.fs.fenced() {
            return log::error!("{}: {fault}", server.administration.images.called(node));
        }
    }
}
