//! What must be done for a mount while nobody asks for anything: one future that every host runs beside its requests. Its parts
//! also serve requests: making room, and putting one member in the place of another.

mod durable;
mod nodes;
mod replacement;
mod space;

pub use nodes::{Attendant, Event, Pace, Trouble};
pub(super) use space::GivenBack;

use core::future::{pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use super::FileSystem;

/// Polls one of several futures, so that its stack frame is gone while another is polled.
#[inline(never)]
fn poll_apart<T>(future: Pin<&mut dyn Future<Output = T>>, cx: &mut Context<'_>) {
    let _ = future.poll(cx);
}

impl FileSystem {
    /// Looks after the mount for as long as it is polled: lets lagging nodes catch up, writes heartbeats for other machines,
    /// looks again at nodes that left and brings them in step, makes everything durable, and gives space back.
    pub async fn keep(&self, attendant: &dyn Attendant, pace: &Pace) {
        let mut members = pin!(self.keep_members());
        let mut nodes = pin!(async { (self.keep_nodes(attendant, pace).await, pending::<()>().await) });
        let mut durable = pin!(async { (self.keep_durable(attendant, pace).await, pending::<()>().await) });
        poll_fn(|cx| {
            poll_apart(members.as_mut(), cx);
            poll_apart(nodes.as_mut(), cx);
            poll_apart(durable.as_mut(), cx);
            Poll::Pending
        })
        .await
    }

    async fn keep_members(&self) {
        if self.writing.is_some() {
            self.cluster.keep().await;
        }
        pending().await
    }

    /// Runs `work` and meanwhile does what can't wait: lets lagging nodes catch up, and writes heartbeats for other machines.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        self.cluster.attend(work).await
    }
}
