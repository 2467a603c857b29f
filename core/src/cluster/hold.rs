//! One writer at a time (protocol 8): a mount that makes changes holds its nodes by a heartbeat.
//!
//! Only nodes that other machines can reach have heartbeats; others are locked by the host. Before it writes anything, a mount
//! looks at every heartbeat, and watches those that weren't released for two and a half periods. If one moves, the node has a
//! writer, and the mount is refused. If none does, the former writer is dead or asleep: the mount writes its own heartbeat on all
//! nodes, checks that it stays there, and goes on if it does on a quorum. A former writer that wakes up finds that out before its
//! next header, and writes nothing more.

use core::convert::Infallible;
use core::future::pending;

use super::join::{Answers, join_all};
use super::keeper::LOOKS;
use super::member::Member;
use super::vote::{NodeSet, Refusal, State};
use super::{Cluster, MAX_NODES, MemberState, NodeIndex, OpError, Rule};
use crate::io::{Disk, Duration, Instant, TimeSource, announce_watch};
use crate::media::heartbeat::HEARTBEAT_PERIOD;
use crate::media::{Heartbeat, MountNonce};
use crate::node::{NodeError, NodeFault};

/// How often watched heartbeats are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A mount's hold on its nodes.
#[derive(Clone, Copy)]
pub(super) struct Hold {
    nonce: MountNonce,
    time: &'static dyn TimeSource,
    counter: u64,
    /// When the next heartbeat is due, on each node.
    next_beats: [Instant; MAX_NODES],
}

impl Hold {
    fn heartbeat(&self, is_released: bool) -> Heartbeat {
        let Self { nonce, time, counter, .. } = *self;
        let (time, host) = (time.now(), time.host_name());
        Heartbeat { nonce, counter, time, host, period: HEARTBEAT_PERIOD, is_released }
    }
}

/// The heartbeats that were found on nodes.
type Looks = Answers<Option<Heartbeat>>;

/// Heartbeats that weren't released.
type Held = Answers<Heartbeat>;

/// The mount that holds a node, as far as a look at the node tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
    /// True when it is this mount.
    pub is_own: bool,
}

impl Cluster {
    /// Takes hold of the nodes that other machines can reach. This must be done before anything is written to them. From then on
    /// no other mount changes them, or this one stops.
    pub async fn take_hold(&self, time: &'static dyn TimeSource) -> Result<(), OpError> {
        if self.hold.get().is_some() || !self.has(Rule::Heartbeat) {
            return Ok(());
        }
        let nodes: NodeSet = self.used().iter().filter(|index| self.member(*index).node.is_shared()).collect();
        let Some(clock) = self.root_disk(nodes) else { return Ok(()) };
        let seen = self.watch(nodes).await?;
        let next_beats = [clock.now().after(HEARTBEAT_PERIOD); MAX_NODES];
        self.hold.set(Some(Hold { nonce: MountNonce(time.random()), time, counter: 0, next_beats }));
        let taken = self.take_all(&seen).await;
        if taken.is_err() {
            self.release().await;
        }
        taken
    }

    /// The nodes that the mount changes or brings in step.
    fn used(&self) -> NodeSet {
        let is_used = |member: &Member| matches!(member.state(), MemberState::InSync | MemberState::Behind(_));
        self.members().filter(|(_, member)| is_used(member)).map(|(index, _)| index).collect()
    }

    /// Takes hold of nodes unless another mount is doing so at this moment. A mount goes on with a quorum of them, since anything
    /// acknowledged meanwhile would be on one node of any quorum.
    async fn take_all(&self, seen: &Looks) -> Result<(), OpError> {
        let (mut lost, mut refusal) = (NodeSet::EMPTY, None);
        let nodes = seen.iter().map(|(index, _)| *index);
        for (index, taken) in join_all(self.heap, nodes, |index| self.take(index, seen)).await? {
            match taken {
                Err(error) if is_rival(error) => {
                    refusal = refusal.or(Some(Refusal::ChangedMeanwhile { node: index }));
                    lost.insert(index);
                    self.eject_for(index, error);
                }
                Err(error) => self.failed(index, error)?,
                Ok(()) => {}
            }
        }
        let is_mount = self.mounting.next_epoch().is_some();
        let can_go_on = is_mount && self.assent.has_quorum(self.used().difference(lost));
        refusal.filter(|_| !can_go_on).map_or(Ok(()), |refusal| Err(OpError::Refused(refusal)))
    }

    /// Takes hold of a node, unless something was written there since it was looked at.
    async fn take(&self, index: NodeIndex, seen: &Looks) -> Result<(), NodeError> {
        let Some(hold) = self.hold.get() else { return Ok(()) };
        let node = &self.member(index).node;
        let seen = seen.iter().find(|(seen, _)| *seen == index).and_then(|(_, heartbeat)| *heartbeat);
        node.take(&hold.heartbeat(false), seen).await?;
        node.check_as_opened().await
    }

    /// Takes hold of one more node, if the mount holds its other nodes.
    pub(super) async fn hold_another(&self, index: NodeIndex) -> Result<(), OpError> {
        let node = &self.member(index).node;
        if self.hold.get().is_none() || !node.is_shared() || node.is_held() {
            return Ok(());
        }
        let seen = self.watch(NodeSet::only(index)).await?;
        self.take(index, &seen).await.map_err(|error| match error {
            error if is_rival(error) => OpError::Refused(Refusal::ChangedMeanwhile { node: index }),
            error => error.into(),
        })
    }

    /// Waits until it is certain that none of these nodes has a writer; returns what was seen there last. A writer that has most
    /// of them is reported at once.
    async fn watch(&self, nodes: NodeSet) -> Result<Looks, OpError> {
        let first = self.look(nodes).await?;
        let held: Held = self.held(&first).collect();
        let Some(watch) = held.iter().map(|(_, heartbeat)| heartbeat.watch()).max() else { return Ok(first) };
        let Some(disk) = self.root_disk(held.iter().map(|(index, _)| *index).collect()) else { return Ok(first) };
        announce_watch(disk);
        let end = disk.now().after(watch);
        loop {
            let next_look = disk.now().after(BETWEEN_LOOKS).min(end);
            disk.sleep_until(next_look).await;
            let is_over = disk.now() >= end;
            let looks = self.look(nodes).await?;
            let moved: Held = self.held(&looks).filter(|now| !held.contains(now)).collect();
            let Some((node, Heartbeat { host, time, .. })) = moved.first().copied() else {
                if is_over {
                    return Ok(looks);
                }
                continue;
            };
            // If a writer has lost some of its nodes, the nodes to report are those that it still has.
            let has_most = 2 * moved.len() >= nodes.len();
            if is_over || has_most {
                return Err(OpError::Refused(Refusal::InUse { node, host, time }));
            }
        }
    }

    /// The first of these nodes' root disks, on which writers announce themselves; its clock serves for looking at all of them.
    fn root_disk(&self, nodes: NodeSet) -> Option<&Disk> {
        let root = self.member(nodes.first()?).node.volumes().root()?;
        Some(&root.disk)
    }

    /// Reads the heartbeats on these nodes.
    async fn look(&self, nodes: NodeSet) -> Result<Looks, OpError> {
        let mut looks = Looks::new();
        for (index, found) in join_all(self.heap, nodes.iter(), |index| self.member(index).node.heartbeat()).await? {
            match found {
                Ok(found) => drop(looks.push((index, found))),
                Err(error) => self.failed(index, error)?,
            }
        }
        Ok(looks)
    }

    /// The heartbeats of other mounts that weren't released.
    fn held(&self, looks: &Looks) -> impl Iterator<Item = (NodeIndex, Heartbeat)> {
        let own = self.hold.get().map(|hold| hold.nonce);
        let is_held = move |found: &Heartbeat| !found.is_released && Some(found.nonce) != own;
        looks.iter().filter_map(move |(index, found)| Some((*index, found.filter(is_held)?)))
    }

    /// Writes a heartbeat on the nodes where one is due. The host of a mount must call this again and again.
    pub(crate) async fn beat(&self) -> Result<(), OpError> {
        self.beat_on(self.due(self.members().map(|(index, _)| index).collect())).await
    }

    /// Writes heartbeats on one node for as long as it is polled: a silent node doesn't hold up the others.
    pub(super) async fn keep_beating(&self, index: NodeIndex) -> Infallible {
        while self.pause(LOOKS).await {
            if usize::from(index.0) < self.members.len()
                && let Err(error) = self.beat_on(self.due(NodeSet::only(index))).await
            {
                log::debug!("no heartbeat: {error}");
            }
        }
        pending().await
    }

    /// Those of these nodes on which a heartbeat is due. From then on it counts as written.
    fn due(&self, nodes: NodeSet) -> NodeSet {
        let Some(mut hold) = self.hold.get() else { return NodeSet::default() };
        let is_held = |index: &NodeIndex| self.member(*index).node.is_held();
        let held: NodeSet = nodes.iter().filter(is_held).collect();
        let Some(clock) = self.root_disk(held) else { return NodeSet::default() };
        let now = clock.now();
        let due: NodeSet = held.iter().filter(|index| now >= hold.next_beats[usize::from(index.0)]).collect();
        due.iter().for_each(|index| hold.next_beats[usize::from(index.0)] = now.after(HEARTBEAT_PERIOD));
        hold.counter += u64::from(!due.is_empty());
        self.hold.set(Some(hold));
        due
    }

    /// Writes due heartbeats in the middle of long work, which finds out by itself if it can't go on.
    pub(super) async fn beat_on_the_way(&self) {
        if let Err(error) = self.beat().await {
            log::debug!("no heartbeat: {error}");
        }
    }

    async fn beat_on(&self, nodes: NodeSet) -> Result<(), OpError> {
        let beat = |index| self.beat_once(index);
        for (index, done) in join_all(self.heap, nodes.iter(), beat).await? {
            if let Err(error) = done {
                self.failed(index, error)?;
            }
        }
        Ok(())
    }

    async fn beat_once(&self, index: NodeIndex) -> Result<(), NodeError> {
        let Some(hold) = self.hold.get() else { return Ok(()) };
        self.member(index).node.beat(&hold.heartbeat(false)).await
    }

    /// Releases the nodes, so that the next mount needn't wait. Nothing may be written to them from here on.
    pub async fn release(&self) {
        let Some(hold) = self.hold.take() else { return };
        let heartbeat = hold.heartbeat(true);
        for (index, member) in self.members().filter(|(_, member)| member.node.is_held()) {
            if let Err(error) = member.node.beat(&heartbeat).await {
                log::warn!("{}: wasn't released: {}", self.called(index), super::Ejection::of(error));
            }
        }
    }

    /// Releases a member without a vote in the middle of the mount: its devices are closed, and it takes part in nothing until it
    /// is [looked at](Self::look_again) again. Everything done so far must be in its header, and nothing may be changed
    /// meanwhile. Returns false if it isn't in step or has a vote.
    pub(crate) async fn detach(&self, index: NodeIndex) -> Result<bool, OpError> {
        self.level_with(NodeSet::only(index)).await?;
        let member = self.member(index);
        if !self.is_in_sync(index) || self.voters().contains(index) {
            return Ok(false);
        }
        member.set_state(MemberState::Aside(State::Apart));
        self.stream.forget(index);
        self.judge_all();
        if let Some(hold) = self.hold.get().filter(|_| member.node.is_held())
            && let Err(error) = member.node.beat(&hold.heartbeat(true)).await
        {
            log::warn!("{}: wasn't released: {}", self.called(index), super::Ejection::of(error));
        }
        member.node.volumes().iter().for_each(|volume| volume.disk.close());
        Ok(true)
    }

    /// The mount that holds a node, if there is one.
    pub(crate) async fn holder(&self, index: NodeIndex) -> Option<Holder> {
        let node = &self.member(index).node;
        let heartbeat = node.heartbeat().await.ok().flatten().filter(|heartbeat| !heartbeat.is_released)?;
        Some(Holder { heartbeat, is_own: self.hold.get().is_some_and(|hold| hold.nonce == heartbeat.nonce) })
    }

    /// The fault that says that another mount has taken over, if one has.
    pub(super) fn fence(&self) -> Option<NodeFault> {
        self.fenced().map(|(_, fault)| fault)
    }

    /// The first node that another mount has taken over, and the fault that says so; none if there is no such node.
    pub(crate) fn fenced(&self) -> Option<(NodeIndex, NodeFault)> {
        self.members().find_map(|(index, _)| match self.fault_of(index) {
            Some(fault @ NodeFault::Fenced { .. }) => Some((index, fault)),
            _ => None,
        })
    }

    /// The nodes whose devices don't answer at the moment; requests given to them aren't lost.
    pub(crate) fn late(&self) -> NodeSet {
        let is_late = |index: &NodeIndex| self.fault_of(*index).is_some_and(|fault| fault.is_timeout());
        self.members().map(|(index, _)| index).filter(is_late).collect()
    }

    /// The fault that keeps a node from taking part, or made it leave.
    fn fault_of(&self, index: NodeIndex) -> Option<NodeFault> {
        let member = self.member(index);
        match member.state() {
            MemberState::Ejected(super::Ejection::Fault(fault)) => Some(fault),
            MemberState::InSync => member.node.fault(),
            _ => None,
        }
    }
}

/// True when a node failed because another mount was there first.
fn is_rival(error: NodeError) -> bool {
    matches!(error, NodeError::Fault(NodeFault::Fenced { .. }))
}
