//! Reports once that another machine has taken the disks over, after which nothing is changed any more.

use std::time::Duration;

use hammer2_host::clock::HostClock;

use super::server::Server;

/// How soon it is reported.
const NOTICED_EVERY: Duration = Duration::from_secs(1);

/// Reports it, with the disk and the other machine.
pub(super) async fn tell_when_fenced(server: &Server, clock: &HostClock) {
    loop {
        clock.sleep(NOTICED_EVERY).await;
        if let Some((node, fault)) = server.fs.fenced() {
            return log::error!("{}: {fault}", server.administration.images.called(node));
        }
    }
}
