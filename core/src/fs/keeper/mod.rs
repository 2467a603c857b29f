//! What a mount needs to be done while nobody asks for anything: one future that every host runs beside its requests. And what
//! takes its parts together when somebody does ask: room, and a member in the place of another.

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

/// Polls one of several futures. What it takes of the stack isn't there while another is polled.
#[inline(never)]
fn poll_apart<T>(future: Pin<&mut dyn Future<Output = T>>, cx: &mut Context<'_>) {
    let _ = future.poll(cx);
}

impl FileSystem {
    /// Looks after the mount, for as long as it is polled: has laggards catch up, says to other machines that it is there, looks
    /// again at nodes that left and brings them in step, makes everything durable, and gives space back.
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

    /// Does something, and meanwhile what can't wait: has laggards catch up, and says to other machines that the mount is there.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        self.cluster.attend(work).await
    }
}
