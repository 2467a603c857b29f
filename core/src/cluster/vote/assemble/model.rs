//! A small model of recovery, explored completely: commits land on any subset of the disks, the host crashes, a minority of disks
//! may be spoiled, any subset is mounted, a resynchronization is done or not (protocol 9, the table of rules).
//!
//! Mounts are decided by [`assemble`], and beside it by rules that are known to be wrong. Each of these must be seen to fail
//! here, or the model would prove nothing. A disk's content is a list of commits, each named by its mount and number, so contents
//! can be compared whatever the records say.

extern crate std;

use super::*;
use crate::cluster::vote::succession::{Opening, next_commit, open_epoch};
use crate::cluster::vote::testing::{Line, fsid, member as entry};
use crate::media::PfsKind;
use crate::media::cluster_version::{EpochId, Nonce};
use std::collections::{HashMap, HashSet};
use std::vec::Vec;

/// How a mount is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Our own rules.
    Assemble,
    /// The highest version must have a quorum.
    TopNeedsQuorum,
    /// The highest version that has a quorum.
    HighestWithQuorum,
    /// The highest version that more than half of the visible disks have.
    QuorumOfVisible,
    /// The newest version that a quorum has or has surpassed; disks beyond it are rolled back.
    RollBack,
    /// Like ours, but the same content under an earlier epoch counts as the version.
    ContentIsEnough,
    /// Like ours, without epochs.
    PlainCounters,
    /// Like ours, but the version is not durable on a quorum before an epoch is opened on it.
    RolledInMemory,
    /// Like ours, but every other mount skips a counter, as if it saw one that a quorum doesn't have.
    LeapingCounters,
    /// Like ours, but a version that only spoiled disks have is given up, even if it was acknowledged.
    GivesUpSpoiled,
}

impl Policy {
    fn has_epochs(self) -> bool {
        self.is_ours() || matches!(self, Self::RollBack | Self::ContentIsEnough)
    }

    /// True if this policy decides on mounts as we do.
    fn is_ours(self) -> bool {
        matches!(self, Self::Assemble | Self::RolledInMemory | Self::LeapingCounters | Self::GivesUpSpoiled)
    }
}

/// A list of commits, eight bits each, the newest lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Content(u64);

impl Content {
    fn with(self, mount: u32, commit: u32) -> Self {
        Self(self.0 << 8 | u64::from(mount << 4 | commit))
    }

    fn starts_with(self, other: Self) -> bool {
        other.0 == 0 || (0..8).any(|commits| self.0.checked_shr(8 * commits) == Some(other.0))
    }
}

/// A disk: its content and its record, in which member 0 stands for any member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Disk {
    record: ClusterRecord,
    content: Content,
    /// Another system wrote there: its record can be read, but its content doesn't count.
    is_spoiled: bool,
}

/// The number of a disk among all disks that have occurred.
type DiskId = u32;

/// The disks in ascending order (their order makes no difference), and what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    disks: Vec<DiskId>,
    acked: Content,
}

/// What a mount does to the visible disks, given as indices among all.
#[derive(Clone, Debug)]
struct Decision {
    source: usize,
    sync: NodeSet,
    onto: NodeSet,
    /// A commit is needed on more than half of this many.
    voters: usize,
    next_epoch: EpochCounter,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Violations {
    acked_lost: usize,
    ties: usize,
    unmountable: usize,
    mounts: usize,
}

struct Model {
    policy: Policy,
    count: usize,
    /// How many disks may be spoiled at a time.
    spoilable: usize,
    disks: Vec<Disk>,
    ids: HashMap<Disk, DiskId>,
    decisions: HashMap<(Vec<DiskId>, u8), Option<Decision>>,
    commits: HashMap<(DiskId, u32, u32), DiskId>,
    found: Violations,
    next: HashSet<World>,
}

impl Model {
    fn new(policy: Policy, count: usize, spoilable: usize) -> (Self, World) {
        let members = || (0..count).map(|number| entry(number, PfsKind::Master)).collect();
        let record = Line::new(1).with(|record| record.members = members()).record();
        let mut model = Self {
            policy,
            count,
            spoilable,
            disks: Vec::new(),
            ids: HashMap::new(),
            decisions: HashMap::new(),
            commits: HashMap::new(),
            found: Violations::default(),
            next: HashSet::new(),
        };
        let fresh = model.id(Disk { record, content: Content(0), is_spoiled: false });
        (model, World { disks: std::vec![fresh; count], acked: Content(0) })
    }

    fn id(&mut self, disk: Disk) -> DiskId {
        if let Some(id) = self.ids.get(&disk) {
            return *id;
        }
        let id = self.disks.len() as DiskId;
        self.disks.push(disk.clone());
        self.ids.insert(disk, id);
        id
    }

    fn disk(&self, id: DiskId) -> &Disk {
        &self.disks[id as usize]
    }

    fn version(&self, id: DiskId) -> Version {
        self.disk(id).record.version
    }

    /// Explores `mounts` mounts. The last one is only judged by what it serves.
    fn explore(mut self, start: World, mounts: u32) -> Violations {
        let mut worlds = HashSet::from([start]);
        for mount in 1..=mounts {
            for world in &worlds {
                for visible in (1..1 << self.count).map(NodeSet) {
                    self.mount(world, visible, mount, mount == mounts);
                }
            }
            worlds = core::mem::take(&mut self.next);
        }
        self.found
    }

    fn decide(&mut self, world: &World, visible: NodeSet) -> Option<Decision> {
        let key = (world.disks.clone(), visible.0);
        if let Some(decision) = self.decisions.get(&key) {
            return decision.clone();
        }
        let places: Vec<usize> = visible.iter().map(|node| usize::from(node.0)).collect();
        let decision = match self.policy.is_ours() {
            true => self.ours(world, &places),
            false => self.other(world, &places),
        };
        self.decisions.insert(key, decision.clone());
        decision
    }

    fn ours(&self, world: &World, places: &[usize]) -> Option<Decision> {
        let disk = |place: &usize| self.disk(world.disks[*place]);
        let record = |place: &usize| ClusterRecord { fsid: fsid(*place), ..disk(place).record.clone() };
        let mut records: Vec<ClusterRecord> = places.iter().map(record).collect();
        if self.policy == Policy::GivesUpSpoiled {
            let sound = places.iter().zip(&records).filter(|(place, _)| !disk(place).is_spoiled);
            let oldest = sound.map(|(_, record)| record).min_by_key(|record| record.version.commit.position())?.clone();
            for (place, record) in places.iter().zip(&mut records).filter(|(place, _)| disk(place).is_spoiled) {
                *record = ClusterRecord { fsid: fsid(*place), ..oldest.clone() };
            }
        }
        let members: Vec<_> = places
            .iter()
            .zip(&records)
            .map(|(place, record)| Seen {
                fsid: record.fsid,
                role: Role::Master,
                masters: 0,
                record: Ok(Some(record)),
                condition: Condition { foreign_write: disk(place).is_spoiled, ..Condition::default() },
            })
            .collect();
        let (plan, onto) = match assemble(&members, &Ask::of(Mount::Quorum)) {
            Assembly::Serve(plan) => (plan, NodeSet::EMPTY),
            Assembly::RollForward { plan, onto } => (plan, onto),
            _ => return None,
        };
        let place = |node: NodeIndex| places[usize::from(node.0)];
        let all = |set: NodeSet| -> NodeSet { set.iter().map(|node| NodeIndex(place(node) as u8)).collect() };
        Some(Decision {
            source: place(plan.source),
            sync: all(plan.current()),
            onto: all(onto),
            voters: plan.electorate.current.count,
            next_epoch: plan.next_epoch,
        })
    }

    /// Decides by the other policies, which only compare versions.
    fn other(&self, world: &World, places: &[usize]) -> Option<Decision> {
        let version = |place: usize| self.version(world.disks[place]);
        let voters = if self.policy == Policy::QuorumOfVisible { places.len() } else { self.count };
        let quorum = voters / 2 + 1;
        let order = |a: Version, b: Version| match a.compare(&b) {
            Standing::Newer => core::cmp::Ordering::Greater,
            Standing::Older => core::cmp::Ordering::Less,
            _ => core::cmp::Ordering::Equal,
        };
        let having = |wanted: &dyn Fn(Version) -> bool| -> NodeSet {
            places.iter().filter(|place| wanted(version(**place))).map(|place| NodeIndex(*place as u8)).collect()
        };
        let mut newest_first = places.to_vec();
        newest_first.sort_by(|a, b| order(version(*b), version(*a)).then(a.cmp(b)));
        let top = newest_first[0];
        let supporters = |place: usize| having(&|other| order(other, version(place)).is_eq());
        let has_quorum = |place: &usize| supporters(*place).len() >= quorum;
        let (source, sync, onto) = match self.policy {
            Policy::TopNeedsQuorum => (top, supporters(top), NodeSet::EMPTY),
            Policy::HighestWithQuorum | Policy::QuorumOfVisible => {
                let source = newest_first.iter().copied().find(has_quorum)?;
                (source, supporters(source), NodeSet::EMPTY)
            }
            Policy::RollBack => {
                let source = *newest_first.get(quorum - 1)?;
                // Going back and opening the epoch happen in one header.
                (source, having(&|other| order(other, version(source)).is_ge()), NodeSet::EMPTY)
            }
            _ => {
                let has_content = |other: Version| other.content() == version(top).content();
                let is_enough = self.policy == Policy::ContentIsEnough;
                let sync = if is_enough { having(&has_content) } else { supporters(top) };
                let missing = quorum.saturating_sub(sync.len());
                let lower = newest_first.iter().map(|place| NodeIndex(*place as u8)).filter(|n| !sync.contains(*n));
                (top, sync, lower.take(missing).collect())
            }
        };
        let next_epoch = places.iter().filter_map(|place| version(*place).commit.epoch.ctr.next()).max()?;
        let enough = sync.union(onto).len() >= quorum;
        enough.then_some(Decision { source, sync, onto, voters, next_epoch })
    }

    fn mount(&mut self, world: &World, visible: NodeSet, mount: u32, is_last: bool) {
        let Some(decision) = self.decide(world, visible) else {
            let is_spoiled = world.disks.iter().any(|disk| self.disk(*disk).is_spoiled);
            let wanted = if is_spoiled { self.count } else { self.count / 2 + 1 };
            self.found.unmountable += usize::from(visible.len() >= wanted);
            return;
        };
        self.found.mounts += 1;
        let source = world.disks[decision.source];
        let Disk { content, is_spoiled, .. } = *self.disk(source);
        if is_spoiled || !content.starts_with(world.acked) {
            self.found.acked_lost += 1;
            return;
        }
        if is_last {
            return;
        }
        // The host may crash while the version is copied.
        for landed in subsets(decision.onto) {
            if self.policy == Policy::RolledInMemory {
                self.open(world, visible, &decision, source, mount);
                return;
            }
            let rolled = self.write(world, landed, source);
            if landed == decision.onto {
                self.open(&rolled, visible, &decision, source, mount);
            } else {
                self.crash(rolled);
            }
        }
    }

    fn open(&mut self, world: &World, visible: NodeSet, decision: &Decision, source: DiskId, mount: u32) {
        let sync = decision.sync.union(decision.onto);
        if !self.policy.has_epochs() {
            return self.serve(world, visible, sync, source, decision.voters, mount);
        }
        let leap = u32::from(self.policy == Policy::LeapingCounters && mount.is_multiple_of(2));
        let id = EpochId { ctr: EpochCounter(decision.next_epoch.0 + leap), nonce: Nonce(mount.into()) };
        let opened = open_epoch(&self.disk(source).record, id, Opening::Quorum);
        let disk = Disk { record: opened, ..self.disk(source).clone() };
        let disk = self.id(disk);
        for landed in subsets(sync) {
            let world = self.write(world, landed, disk);
            if 2 * landed.len() > decision.voters {
                self.serve(&world, visible, landed, disk, decision.voters, mount);
            } else {
                self.crash(world);
            }
        }
    }

    /// The mount serves from here on. Other disks may be brought back; then there are up to two commits and a crash.
    fn serve(&mut self, world: &World, visible: NodeSet, sync: NodeSet, disk: DiskId, voters: usize, mount: u32) {
        self.crash(world.clone());
        self.commit(world, sync, disk, voters, mount, 1);
        if visible != sync {
            let resynced = self.write(world, visible, disk);
            self.crash(resynced.clone());
            self.commit(&resynced, visible, disk, voters, mount, 1);
        }
    }

    fn commit(&mut self, world: &World, sync: NodeSet, disk: DiskId, voters: usize, mount: u32, number: u32) {
        let committed = self.committed(disk, mount, number);
        for landed in subsets(sync).filter(|landed| !landed.is_empty()) {
            let mut world = self.write(world, landed, committed);
            if 2 * landed.len() > voters {
                world.acked = self.disk(committed).content;
                if number < 2 {
                    self.commit(&world, landed, committed, voters, mount, number + 1);
                }
            }
            self.crash(world);
        }
    }

    fn committed(&mut self, disk: DiskId, mount: u32, number: u32) -> DiskId {
        if let Some(committed) = self.commits.get(&(disk, mount, number)) {
            return *committed;
        }
        let Disk { record, content, is_spoiled } = self.disk(disk).clone();
        let tid = ModifyTid(record.tid.0 + 10);
        let record = next_commit(&record, tid, record.version.content()).unwrap();
        let committed = self.id(Disk { record, content: content.with(mount, number), is_spoiled });
        self.commits.insert((disk, mount, number), committed);
        committed
    }

    fn write(&self, world: &World, onto: NodeSet, disk: DiskId) -> World {
        let mut world = world.clone();
        onto.iter().for_each(|node| world.disks[usize::from(node.0)] = disk);
        world
    }

    /// Explores a crash: the next mount may find what is on the disks now.
    fn crash(&mut self, mut world: World) {
        world.disks.sort_unstable();
        let distinct =
            || world.disks.iter().enumerate().flat_map(|(place, a)| world.disks[..place].iter().map(move |b| (a, b)));
        let is_tie = |(a, b): (&DiskId, &DiskId)| {
            let standing = self.version(*a).compare(&self.version(*b));
            let same_version = matches!(standing, Standing::Same | Standing::SameContent | Standing::Conflict);
            same_version && self.disk(*a).content != self.disk(*b).content
        };
        if distinct().any(is_tie) {
            self.found.ties += 1;
            return;
        }
        if world.disks.iter().filter(|disk| self.disk(**disk).is_spoiled).count() < self.spoilable {
            (0..world.disks.len()).for_each(|place| self.spoil(&world, place));
        }
        self.next.insert(world);
    }

    /// Explores the same state with one disk spoiled.
    fn spoil(&mut self, world: &World, place: usize) {
        let mut world = world.clone();
        let spoiled = Disk { is_spoiled: true, ..self.disk(world.disks[place]).clone() };
        world.disks[place] = self.id(spoiled);
        world.disks.sort_unstable();
        self.next.insert(world);
    }
}

fn subsets(set: NodeSet) -> impl Iterator<Item = NodeSet> {
    (0..=set.0).map(NodeSet).filter(move |subset| set.contains_all(*subset))
}

fn explore(policy: Policy, count: usize, mounts: u32) -> Violations {
    explore_spoiling(policy, count, mounts, 0)
}

/// Explores with up to `spoilable` disks spoiled at a time.
fn explore_spoiling(policy: Policy, count: usize, mounts: u32, spoilable: usize) -> Violations {
    let (model, start) = Model::new(policy, count, spoilable);
    model.explore(start, mounts)
}

/// The number of disks, as in the table of protocol 9.
const DISKS: usize = 3;
const MOUNTS: u32 = 4;

#[test]
fn nothing_is_lost_confused_or_unavailable() {
    for (disks, mounts) in [(DISKS, MOUNTS + 1), (4, 4), (5, 3)] {
        let found = explore(Policy::Assemble, disks, mounts);
        assert_eq!((found.acked_lost, found.ties, found.unmountable), (0, 0, 0), "{disks} disks: {found:?}");
        assert!(found.mounts > 100);
    }
}

#[test]
fn a_spoiled_minority_loses_nothing_and_stops_nobody() {
    for (disks, mounts, spoilable) in [(DISKS, MOUNTS, 1), (4, 3, 1), (5, 3, 2)] {
        let found = explore_spoiling(Policy::Assemble, disks, mounts, spoilable);
        assert_eq!((found.acked_lost, found.ties, found.unmountable), (0, 0, 0), "{disks} disks: {found:?}");
        assert!(found.mounts > 100);
    }
}

#[test]
fn giving_up_what_somebody_was_told_of_loses() {
    let found = explore_spoiling(Policy::GivesUpSpoiled, DISKS, MOUNTS, 1);
    assert!(found.acked_lost > 0, "{found:?}");
}

/// Checks which of losses, ties and refusals a policy has.
fn check_flaws(policy: Policy, expected: [bool; 3]) {
    let found = explore(policy, DISKS, MOUNTS);
    let flaws = [found.acked_lost, found.ties, found.unmountable].map(|count| count > 0);
    assert_eq!(flaws, expected, "{policy:?}: {found:?}");
}

#[test]
fn a_quorum_for_the_top_confuses_and_refuses() {
    check_flaws(Policy::TopNeedsQuorum, [false, true, true]);
}

#[test]
fn the_highest_with_a_quorum_confuses_and_refuses() {
    check_flaws(Policy::HighestWithQuorum, [false, true, true]);
}

#[test]
fn a_quorum_of_what_is_visible_loses() {
    check_flaws(Policy::QuorumOfVisible, [true, true, true]);
}

#[test]
fn rolling_back_loses() {
    check_flaws(Policy::RollBack, [true, false, false]);
}

#[test]
fn without_epochs_versions_are_confused() {
    check_flaws(Policy::PlainCounters, [false, true, false]);
}

#[test]
fn content_without_its_epoch_loses() {
    check_flaws(Policy::ContentIsEnough, [true, false, false]);
}

#[test]
fn an_epoch_on_what_no_quorum_has_loses() {
    check_flaws(Policy::RolledInMemory, [true, false, true]);
}

#[test]
fn counters_that_leap_lose() {
    check_flaws(Policy::LeapingCounters, [true, false, true]);
}
