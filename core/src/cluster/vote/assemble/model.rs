//! A small model of recovery, explored completely by the crate stateright: commits land on any subset of the disks, the host
//! crashes, a minority is spoiled or none, any subset is mounted, a resynchronization is done or not (protocol 9, the table of
//! rules).
//!
//! Mounts are decided by [`assemble`], and beside it by rules that are known to be wrong. Each of these must be seen to fail
//! here, or the model would prove nothing. A disk's content is a list of commits, each named by its mount and number, so contents
//! can be compared whatever the records say.

extern crate std;

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;
use std::sync::Arc;
use std::vec::Vec;

use stateright::{Checker, Model, Property};

use super::*;
use crate::cluster::vote::succession::{Opening, next_commit, open_epoch};
use crate::cluster::vote::testing::{Line, fsid, member as entry};
use crate::media::PfsKind;
use crate::media::cluster_version::{EpochId, Nonce};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Content(u64);

impl Content {
    fn with(self, mount: u32, commit: u32) -> Self {
        Self(self.0 << 8 | u64::from(mount << 4 | commit))
    }

    fn starts_with(self, other: Self) -> bool {
        other.0 == 0 || (0..8).any(|commits| self.0.checked_shr(8 * commits) == Some(other.0))
    }
}

/// What is on a disk: its record, that of member 0 standing for any, and its content. Copies share it.
#[derive(Clone, PartialEq, Eq)]
struct Disk {
    held: Arc<(ClusterRecord, Content)>,
    /// Of all of it: records are large, and are hashed once.
    digest: u64,
    /// Somebody else wrote there: its record can be read, its content counts for nothing.
    is_spoiled: bool,
}

impl Disk {
    fn new(record: ClusterRecord, content: Content, is_spoiled: bool) -> Self {
        let mut hasher = DefaultHasher::new();
        (&record, content, is_spoiled).hash(&mut hasher);
        Self { held: Arc::new((record, content)), digest: hasher.finish(), is_spoiled }
    }

    fn record(&self) -> &ClusterRecord {
        &self.held.0
    }

    fn content(&self) -> Content {
        self.held.1
    }

    fn version(&self) -> Version {
        self.record().version
    }
}

impl Hash for Disk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spoiled = if self.is_spoiled { ", spoiled" } else { "" };
        write!(f, "{} holding {:x}{spoiled}", self.version().commit, self.content().0)
    }
}

/// What a mount does to the disks that are there: indices among all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decision {
    source: usize,
    sync: NodeSet,
    onto: NodeSet,
    /// A commit is needed on more than half of this many.
    voters: usize,
    next_epoch: EpochCounter,
}

/// How far a mount is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Nothing is mounted.
    Off,
    /// The power goes now.
    Cut,
    /// It is known what to do.
    Decided { visible: NodeSet, decision: Decision },
    /// The version is on a quorum, as far as the policy cares.
    Rolled { visible: NodeSet, decision: Decision },
    /// Commits are made on the disks in step, so many up to now.
    Serving { visible: NodeSet, sync: NodeSet, disk: Disk, voters: usize, commits: u32, is_resynced: bool },
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Flaw {
    AckedLost,
    Tie,
    Unmountable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// In ascending order while nothing is mounted: which is which makes no difference.
    disks: Vec<Disk>,
    acked: Content,
    mounts: u32,
    stage: Stage,
    flaw: Option<Flaw>,
}

/// What happens next. What lands on a part of the disks only is followed by a crash if that isn't enough.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Mount(NodeSet),
    RollForward(NodeSet),
    Open(NodeSet),
    Resync,
    Commit(NodeSet),
    /// With one disk that is spoiled afterwards, or none.
    Crash(Option<usize>),
}

struct Recovery {
    policy: Policy,
    count: usize,
    /// Mounts of a run. The last is only judged by what it serves.
    mounts: u32,
    /// Disks that may be spoiled at a time, one after each crash.
    spoilable: usize,
}

impl Model for Recovery {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        let members = || (0..self.count).map(|number| entry(number, PfsKind::Master)).collect();
        let record = Line::new(1).with(|record| record.members = members()).record();
        let disks = std::vec![Disk::new(record, Content(0), false); self.count];
        std::vec![World { disks, acked: Content(0), mounts: 0, stage: Stage::Off, flaw: None }]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        match &world.stage {
            _ if world.flaw.is_some() => {}
            Stage::Cut => self.crashes(world, events),
            Stage::Off if world.mounts == self.mounts => {}
            Stage::Off => events.extend((1..1 << self.count).map(NodeSet).map(Event::Mount)),
            Stage::Decided { decision, .. } if self.policy == Policy::RolledInMemory => {
                events.push(Event::RollForward(decision.onto));
            }
            Stage::Decided { decision, .. } => events.extend(subsets(decision.onto).map(Event::RollForward)),
            Stage::Rolled { decision, .. } if self.policy.has_epochs() => {
                events.extend(subsets(decision.sync.union(decision.onto)).map(Event::Open));
            }
            Stage::Rolled { decision, .. } => events.push(Event::Open(decision.sync.union(decision.onto))),
            Stage::Serving { visible, sync, commits, is_resynced, .. } => {
                self.crashes(world, events);
                if *commits == 0 && visible != sync && !is_resynced {
                    events.push(Event::Resync);
                }
                if *commits < 2 {
                    events.extend(subsets(*sync).filter(|landed| !landed.is_empty()).map(Event::Commit));
                }
            }
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        let mut next = world.clone();
        match (&world.stage, event) {
            (_, Event::Mount(visible)) => return self.mount(next, visible),
            (Stage::Decided { visible, decision }, Event::RollForward(landed)) => {
                let (visible, decision) = (*visible, decision.clone());
                if self.policy != Policy::RolledInMemory {
                    next.write(landed, &world.disks[decision.source]);
                }
                let is_rolled = landed == decision.onto;
                next.stage = if is_rolled { Stage::Rolled { visible, decision } } else { Stage::Cut };
            }
            (Stage::Rolled { visible, decision }, Event::Open(landed)) => {
                self.open(&mut next, *visible, decision, landed)
            }
            (Stage::Serving { visible, disk, .. }, Event::Resync) => {
                let (visible, disk) = (*visible, disk.clone());
                next.write(visible, &disk);
                if let Stage::Serving { sync, is_resynced, .. } = &mut next.stage {
                    (*sync, *is_resynced) = (visible, true);
                }
            }
            (Stage::Serving { disk, voters, commits, .. }, Event::Commit(landed)) => {
                let committed = disk.committed(world.mounts, commits + 1);
                next.write(landed, &committed);
                let is_acked = 2 * landed.len() > *voters;
                if is_acked {
                    next.acked = committed.content();
                }
                match &mut next.stage {
                    Stage::Serving { sync, disk, commits, .. } if is_acked => {
                        (*sync, *disk, *commits) = (landed, committed, *commits + 1);
                    }
                    stage => *stage = Stage::Cut,
                }
            }
            (_, Event::Crash(spoiled)) => next.crash(spoiled),
            _ => return None,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        std::vec![
            Property::always(ACKED_LOST, |_, world: &World| world.flaw != Some(Flaw::AckedLost)),
            Property::always(TIE, |_, world: &World| world.flaw != Some(Flaw::Tie)),
            Property::always(UNMOUNTABLE, |_, world: &World| world.flaw != Some(Flaw::Unmountable)),
        ]
    }
}

const ACKED_LOST: &str = "what was acknowledged is there";
const TIE: &str = "a version has one content";
const UNMOUNTABLE: &str = "a quorum is mounted";

impl World {
    fn write(&mut self, onto: NodeSet, disk: &Disk) {
        onto.iter().for_each(|node| self.disks[usize::from(node.0)] = disk.clone());
    }

    /// What is on the disks now may be what the next mount finds.
    fn crash(&mut self, spoiled: Option<usize>) {
        let is_tie = |a: &Disk, b: &Disk| {
            let standing = a.version().compare(&b.version());
            let same_version = matches!(standing, Standing::Same | Standing::SameContent | Standing::Conflict);
            same_version && a.content() != b.content()
        };
        let mut pairs = self.disks.iter().enumerate().flat_map(|(at, a)| self.disks[..at].iter().map(move |b| (a, b)));
        if pairs.any(|(a, b)| is_tie(a, b)) {
            self.flaw = Some(Flaw::Tie);
        }
        if let Some(place) = spoiled {
            let (record, content) = &*self.disks[place].held;
            self.disks[place] = Disk::new(record.clone(), *content, true);
        }
        self.stage = Stage::Off;
        self.disks.sort_unstable_by_key(|disk| disk.digest);
    }
}

impl Disk {
    fn committed(&self, mount: u32, number: u32) -> Self {
        let record = self.record();
        let record = next_commit(record, ModifyTid(record.tid.0 + 10), record.version.content()).unwrap();
        Self::new(record, self.content().with(mount, number), self.is_spoiled)
    }
}

impl Recovery {
    fn crashes(&self, world: &World, events: &mut Vec<Event>) {
        events.push(Event::Crash(None));
        if world.disks.iter().filter(|disk| disk.is_spoiled).count() < self.spoilable {
            events.extend((0..self.count).map(Some).map(Event::Crash));
        }
    }

    fn mount(&self, mut world: World, visible: NodeSet) -> Option<World> {
        world.mounts += 1;
        let places: Vec<usize> = visible.iter().map(|node| usize::from(node.0)).collect();
        let decision = if self.policy.is_ours() { self.ours(&world, &places) } else { self.other(&world, &places) };
        let Some(decision) = decision else {
            let is_spoiled = world.disks.iter().any(|disk| disk.is_spoiled);
            let wanted = if is_spoiled { self.count } else { self.count / 2 + 1 };
            world.flaw = (visible.len() >= wanted).then_some(Flaw::Unmountable);
            return world.flaw.is_some().then_some(world);
        };
        let source = &world.disks[decision.source];
        if source.is_spoiled || !source.content().starts_with(world.acked) {
            world.flaw = Some(Flaw::AckedLost);
        }
        world.stage = Stage::Decided { visible, decision };
        (world.flaw.is_some() || world.mounts < self.mounts).then_some(world)
    }

    fn open(&self, world: &mut World, visible: NodeSet, decision: &Decision, landed: NodeSet) {
        let mut disk = world.disks[decision.source].clone();
        if self.policy.has_epochs() {
            let leap = u32::from(self.policy == Policy::LeapingCounters && world.mounts.is_multiple_of(2));
            let id = EpochId { ctr: EpochCounter(decision.next_epoch.0 + leap), nonce: Nonce(world.mounts.into()) };
            disk = Disk::new(open_epoch(disk.record(), id, Opening::Quorum), disk.content(), disk.is_spoiled);
            world.write(landed, &disk);
            if 2 * landed.len() <= decision.voters {
                world.stage = Stage::Cut;
                return;
            }
        }
        let (sync, voters) = (landed, decision.voters);
        world.stage = Stage::Serving { visible, sync, disk, voters, commits: 0, is_resynced: false };
    }

    fn ours(&self, world: &World, places: &[usize]) -> Option<Decision> {
        let disk = |place: &usize| &world.disks[*place];
        let record = |place: &usize| ClusterRecord { fsid: fsid(*place), ..disk(place).record().clone() };
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
        let version = |place: usize| world.disks[place].version();
        let voters = if self.policy == Policy::QuorumOfVisible { places.len() } else { self.count };
        let quorum = voters / 2 + 1;
        let order = |a: Version, b: Version| match a.compare(&b) {
            Standing::Newer => Ordering::Greater,
            Standing::Older => Ordering::Less,
            _ => Ordering::Equal,
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
}

fn subsets(set: NodeSet) -> impl Iterator<Item = NodeSet> {
    (0..=set.0).map(NodeSet).filter(move |subset| set.contains_all(*subset))
}

fn recovery(policy: Policy, count: usize, mounts: u32, spoilable: usize) -> Recovery {
    Recovery { policy, count, mounts, spoilable }
}

/// Which of losses, ties and refusals there are; how many states there were. Prints what leads to each.
fn explore(recovery: Recovery) -> ([bool; 3], usize) {
    let checker = recovery.checker().spawn_bfs().join();
    let found = checker.discoveries();
    for (name, path) in &found {
        std::println!("Not so: {name}, after {:?}", path.clone().into_actions());
    }
    ([ACKED_LOST, TIE, UNMOUNTABLE].map(|name| found.contains_key(name)), checker.unique_state_count())
}

/// The number of disks, as in the table of protocol 9.
const DISKS: usize = 3;
const MOUNTS: u32 = 4;

#[test]
fn nothing_is_lost_confused_or_unavailable() {
    for (disks, mounts) in [(DISKS, MOUNTS + 1), (4, 4), (5, 3)] {
        let (found, states) = explore(recovery(Policy::Assemble, disks, mounts, 0));
        assert_eq!(found, [false; 3], "{disks} disks");
        assert!(states > 100);
    }
}

#[test]
fn a_spoiled_minority_loses_nothing_and_stops_nobody() {
    for (disks, mounts, spoilable) in [(DISKS, MOUNTS, 1), (4, 3, 1), (5, 3, 2)] {
        let (found, states) = explore(recovery(Policy::Assemble, disks, mounts, spoilable));
        assert_eq!(found, [false; 3], "{disks} disks");
        assert!(states > 100);
    }
}

#[test]
fn giving_up_what_somebody_was_told_of_loses() {
    assert!(explore(recovery(Policy::GivesUpSpoiled, DISKS, MOUNTS, 1)).0[0]);
}

/// Checks which of losses, ties and refusals a policy has.
fn check_flaws(policy: Policy, expected: [bool; 3]) {
    assert_eq!(explore(recovery(policy, DISKS, MOUNTS, 0)).0, expected, "{policy:?}");
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

/// Shows the model to a browser, event by event; docs/testing.md says how.
#[test]
#[ignore = "serves a page until it is ended"]
fn explorer() {
    let address = std::env::var("HAMMER2_EXPLORER").unwrap_or_else(|_| "localhost:3000".into());
    std::println!("http://{address}/");
    recovery(Policy::Assemble, DISKS, MOUNTS, 1).checker().serve(address);
}
