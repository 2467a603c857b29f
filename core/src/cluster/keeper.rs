//! What a cluster needs to be done while nobody asks for anything.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use super::join::Together;
use super::stream::Raised;
use super::{Cluster, MAX_NODES, NodeIndex};
use crate::memory::NoMemory;

/// How often it is looked whether something is to be done.
pub(super) const LOOKS: Duration = Duration::from_secs(1);

impl Cluster {
    /// Looks after the cluster, for as long as it is polled: has laggards catch up, and says that this mount is there to others
    /// who can reach its disks. Every host runs it beside its requests.
    pub async fn keep(&self) {
        let (mut backlogs, mut beats) = (None, None);
        let mut looking = pin!(self.look_after());
        poll_fn(|cx| {
            // A single node has none, and may become a cluster. For want of memory, whoever waits for them executes them.
            if backlogs.is_none() && self.single().is_none() {
                backlogs = self.keep_backlogs().ok();
            }
            if let Some((_, backlogs)) = &mut backlogs {
                backlogs.poll_each(cx);
            }
            if beats.is_none() {
                beats = self.keep_beats().ok();
            }
            if let Some(beats) = &mut beats {
                beats.poll_each(cx);
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

    /// Says on all members that this mount is there, also on those that come in later.
    fn keep_beats(&self) -> Result<Together<impl Future<Output = Infallible>>, NoMemory> {
        let mut beats = Together::new(self.heap);
        for index in (0..MAX_NODES as u8).map(NodeIndex) {
            beats.add(index, || self.keep_beating(index))?;
        }
        Ok(beats)
    }

    /// Does what is due, every now and then.
    async fn look_after(&self) {
        while self.pause(LOOKS).await {
            self.expel_late();
            self.expel_silent();
        }
    }

    /// Waits so long, by the clock of the disks; false, at once, when there is none.
    pub(super) async fn pause(&self, duration: Duration) -> bool {
        let Some(clock) = self.clock() else { return false };
        clock.sleep(duration).await;
        true
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
