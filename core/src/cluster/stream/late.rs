//! How long lagging members are waited for, and when they leave.

use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, Ejection, NodeFault, NodeIndex};
use crate::io::{DeviceError, DeviceName, Disk, Duration, Instant, Volumes};
use crate::media::BlockName;
use crate::node::NodeError;

/// How long a node is waited for when others could do without it: a healthy device has answered by then.
pub(in crate::cluster) const SOFT_DEADLINE: Duration = Duration::from_millis(30);

impl Cluster {
    /// The disk whose clock serves for all.
    pub(crate) fn clock(&self) -> Option<&Disk> {
        self.member(NodeIndex(0)).node.volumes().root().map(|root| &root.disk)
    }

    /// When work that begins now is late, by the clock of the disks.
    pub(in crate::cluster) fn late_at(&self) -> Instant {
        self.clock().map_or(Instant { nanoseconds: u64::MAX }, Disk::deadline)
    }

    /// Ejects members that are late, or whose backlog takes more memory than it may.
    pub(in crate::cluster) fn expel_late(&self) {
        let Some(clock) = self.clock() else { return };
        for index in self.stream.unfinished().iter() {
            let is_late = self.stream.late_at(index).is_some_and(|late_at| clock.has_passed(late_at));
            let is_late = is_late && !self.stream.books.borrow().mending.contains(index);
            let is_full = self.stream.backlog_bytes(index) > self.backlog_limit();
            // A member that is needed is waited for, as long as its devices have time.
            let rest = self.voters().difference(NodeSet::only(index));
            if (is_late || is_full) && self.assent.has_quorum(rest) {
                self.give_up(index, no_answer(self.member(index).node.volumes()));
            }
        }
    }

    /// Voters that must leave soon if they continue like this: their backlog has used more than half of the memory or time it may
    /// take. Voters whose devices complete nothing aren't included. Members without a vote aren't either: they are backups, and
    /// may come back later.
    pub(super) fn hard_pressed(&self) -> NodeSet {
        let Some(clock) = self.clock() else { return NodeSet::EMPTY };
        let half_time = clock.deadline_in_half();
        let is_pressed = |index: &NodeIndex| {
            let is_half_late = || self.stream.late_at(*index).is_some_and(|late_at| late_at < half_time);
            2 * self.stream.backlog_bytes(*index) > self.backlog_limit() || is_half_late()
        };
        let lagging = self.stream.lagging().intersection(self.voters());
        lagging
            .iter()
            .filter(is_pressed)
            .filter(|index| self.stream.is_heard(*index, self.completed_by(*index)))
            .collect()
    }

    /// Requests that a member's devices have completed.
    pub(super) fn completed_by(&self, index: NodeIndex) -> u64 {
        self.member(index).node.volumes().iter().map(|volume| volume.disk.completed()).sum()
    }

    /// Ejects members whose devices are late with requests that nobody waits for any more.
    pub(in crate::cluster) fn expel_silent(&self) {
        if self.single().is_some() {
            return;
        }
        for index in self.in_sync().iter() {
            let volumes = self.member(index).node.volumes();
            if volumes.iter().any(|volume| volume.disk.is_late()) {
                self.give_up(index, no_answer(volumes));
            }
        }
    }

    /// Ejects a member that doesn't execute its backlog.
    pub(in crate::cluster) fn give_up(&self, index: NodeIndex, error: NodeError) {
        self.eject(index, Ejection::of(error));
        self.stream.forget(index);
        self.judge_all();
    }

    /// The number of bytes that a backlog may take.
    fn backlog_limit(&self) -> usize {
        self.share.modified_bytes
    }
}

/// The fault that a device doesn't answer: the device that is late, or otherwise the first one.
fn no_answer(volumes: &Volumes) -> NodeError {
    let late = volumes.iter().find(|volume| volume.disk.is_late()).or(volumes.root());
    let device = late.map_or(DeviceName::new(&"a device"), |volume| volume.disk.info().name);
    NodeError::Fault(NodeFault::Device { block: BlockName::HEADER, device, error: DeviceError::Timeout })
}
