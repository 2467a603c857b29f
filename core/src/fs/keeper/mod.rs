//! What a mount needs to be done while nobody asks for anything: one future that every host runs beside its requests.

mod durable;
mod nodes;
mod replacement;
mod space;

pub use nodes::{Attendant, Event, Pace, Trouble};
pub(super) use space::GivenBack;

use core::future::{pending, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::FileSystem;

impl FileSystem {
    /// Looks after the mount, for as long as it is polled: has laggards catch up, says to other machines that it is there, looks
    /// again at nodes that left and brings them in step, makes everything durable, and gives space back.
    pub async fn keep(&self, attendant: &dyn Attendant, pace: &Pace) {
        let mut members = pin!(self.keep_members());
        let mut nodes = pin!(async { (self.keep_nodes(attendant, pace).await, pending::<()>().await) });
        let mut durable = pin!(async { (self.keep_durable(attendant, pace).await, pending::<()>().await) });
        poll_fn(|cx| {
            let _ = (members.as_mut().poll(cx), nodes.as_mut().poll(cx), durable.as_mut().poll(cx));
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
