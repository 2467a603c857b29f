//! What a mount needs to be done while nobody asks for anything.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::FileSystem;

impl FileSystem {
    /// Looks after the mount, for as long as it is polled: says that it is there to others who can reach its disks. Every host
    /// runs it beside its requests.
    pub async fn keep(&self) {
        loop {
            self.cluster.until_next_beat().await;
            if let Err(error) = self.cluster.beat().await {
                log::debug!("no heartbeat: {error}");
            }
        }
    }

    /// Does something, and [looks after](Self::keep) the mount meanwhile.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut keeping) = (pin!(work), pin!(self.keep()));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => {
                let _ = keeping.as_mut().poll(cx);
                Poll::Pending
            }
        })
        .await
    }
}
