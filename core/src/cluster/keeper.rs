//! What must be done for a cluster while nobody asks it for anything.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use super::join::Together;
use super::stream::Raised;
use super::{Cluster, MAX_NODES, NodeIndex};
use crate::memory::NoMemory;

/// How often the keeper looks whether something is to be done.
pub(super) const LOOKS: Duration = Duration::from_secs(1);

impl Cluster {
    /// Looks after the cluster for as long as it is polled: lets lagging members catch up, and writes heartbeats for other
    /// machines that can reach its disks. Every host runs it beside its requests.
    pub(crate) async fn keep(&self) {
        let (mut backlogs, mut beats) = (None, None);
        let mut looking = pin!(self.look_after());
        poll_fn(|cx| {
            // A single node has no backlogs, but may become a cluster. Without memory for them, callers that wait for backlogs
            // execute them.
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

    /// Executes the backlogs of all members, including those that come in later.
    fn keep_backlogs(&self) -> Result<(Raised<'_>, Together<impl Future<Output = Infallible>>), NoMemory> {
        let mut backlogs = Together::new(self.heap);
        for index in (0..MAX_NODES as u8).map(NodeIndex) {
            backlogs.add(index, || self.keep_backlog(index))?;
        }
        Ok((self.stream.keep(), backlogs))
    }

    /// Writes heartbeats on all members, including those that come in later.
    fn keep_beats(&self) -> Result<Together<impl Future<Output = Infallible>>, NoMemory> {
        let mut beats = Together::new(self.heap);
        for index in (0..MAX_NODES as u8).map(NodeIndex) {
            beats.add(index, || self.keep_beating(index))?;
        }
        Ok(beats)
    }

    /// Does what is due, every second.
    async fn look_after(&self) {
        while self.pause(LOOKS).await {
            self.expel_late();
            self.expel_silent();
        }
    }

    /// Waits for `duration` by the clock of the disks; returns false at once when there is none.
    pub(super) async fn pause(&self, duration: Duration) -> bool {
        let Some(clock) = self.clock() else { return false };
        clock.sleep(duration).await;
        true
    }

    /// Runs `work` while looking after the cluster.
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
