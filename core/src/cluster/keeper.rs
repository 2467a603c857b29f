//! What a cluster needs to be done while nobody asks for anything.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use super::Cluster;
use crate::media::heartbeat::HEARTBEAT_PERIOD;

/// How often it is looked whether something is to be done.
const LOOKS: Duration = Duration::from_secs(1);

impl Cluster {
    /// Looks after the cluster, for as long as it is polled: says that this mount is there to others who can reach its disks.
    /// Every host runs it beside its requests.
    pub async fn keep(&self) {
        while let Some(root) = self.focus().volumes().root() {
            root.disk.sleep(HEARTBEAT_PERIOD.min(LOOKS)).await;
            self.beat_on_the_way().await;
        }
    }

    /// Does something, and [looks after](Self::keep) the cluster meanwhile.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut keeping) = (pin!(work), pin!(self.keep()));
        let mut is_kept = true;
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => {
                is_kept = is_kept && keeping.as_mut().poll(cx).is_pending();
                Poll::Pending
            }
        })
        .await
    }
}
