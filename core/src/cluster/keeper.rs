//! What a cluster needs to be done while nobody asks for anything.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use super::join::Together;
use super::stream::Raised;
use super::{Cluster, MAX_NODES, NodeIndex};
use crate::media::heartbeat::HEARTBEAT_PERIOD;
use crate::memory::NoMemory;

/// How often it is looked whether something is to be done.
const LOOKS: Duration = Duration::from_secs(1);

impl Cluster {
    /// Looks after the cluster, for as long as it is polled: has laggards catch up, and says that this mount is there to others
    /// who can reach its disks. Every host runs it beside its requests.
    pub async fn keep(&self) {
        let mut backlogs = None;
        let mut looking = pin!(self.look_after());
        poll_fn(|cx| {
            // A single node has none, and may become a cluster. For want of memory, whoever waits for them executes them.
            if backlogs.is_none() && self.single().is_none() {
                backlogs = self.keep_backlogs().ok();
            }
            if let Some((_, backlogs)) = &mut backlogs {
                backlogs.poll_each(cx);
            }
            looking.as_mut().poll(cx)
        })
        .await;
    }

    /// Executes the backlogs of all members, also of those that come in later.
    fn keep_backlogs(&self) -> Result<(Raised<'_>, Together<impl Future<Output = Infallible>>), NoMemory> {
        let mut backlogs = Together::new(self.heap);
        for index in (0..MAX_NODES as u8).map(NodeIndex) {
            backlogs.add(index, || self.keep_backlog(index))?;
        }
        Ok((self.stream.keep(), backlogs))
    }

    /// Does what is due, every now and then.
    async fn look_after(&self) {
        while let Some(root) = self.focus().volumes().root() {
            root.disk.sleep(HEARTBEAT_PERIOD.min(LOOKS)).await;
            self.expel_late();
            self.expel_silent();
            self.beat_on_the_way().await;
        }
    }

    /// Does something, and [looks after](Self::keep) the cluster meanwhile.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut keeping) = (pin!(work), pin!(self.keep()));
        let mut is_kept = true;
        poll_fn(|cx| {
            is_kept = is_kept && keeping.as_mut().poll(cx).is_pending();
            work.as_mut().poll(cx)
        })
        .await
    }
}
