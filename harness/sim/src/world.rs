//! One run: disks, the clusters on them, and what happens to them until the end.

use std::cell::{Cell, RefCell};

use hammer2_core::cluster::{MAX_NODES, MemberState, NewPfs, NodeIndex, PfsOutcome};
use hammer2_core::fs::{FileSystem, TimeSource};
use hammer2_core::media::PfsKind;

use super::clients::Event;
use super::executor::{self, Stopped};
use super::faults::Kind;
use super::group::{Group, Parts, Trust};
use super::history::Moment;
use super::host::Host;
use super::medium::Medium;
use super::mounting::states;
use super::nodes::{self, Drive, SMALL_BYTES};
use super::plan::{Crash, Plan};
use super::settings::Settings;
use super::tally::Tally;
use hammer2_core::random::{Random, mix};

/// Masters and slaves of the clusters there are.
const GROUPS: [(usize, usize); 16] = [
    (3, 0),
    (3, 0),
    (3, 0),
    (3, 0),
    (3, 0),
    (1, 0),
    (2, 0),
    (4, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (8, 0),
    (2, 1),
    (3, 1),
    (3, 2),
    (1, 1),
];

/// A disk.
pub(super) struct Disk {
    pub(super) drive: Drive,
    /// Something is wrong with it in this mount.
    pub(super) is_ailing: Cell<bool>,
    /// What its flushes were is a lie, so far without harm.
    pub(super) lies: Cell<bool>,
    /// The kinds of faults under way, and how many requests had been struck before.
    pub(super) under_way: RefCell<Vec<(Kind, u64)>>,
    /// How it once was.
    pub(super) old: RefCell<Option<Medium>>,
}

/// A run.
pub(super) struct World {
    pub(super) host: &'static Host,
    pub(super) settings: Settings,
    pub(super) random: RefCell<Random>,
    pub(super) disks: Vec<Disk>,
    groups: Vec<Group>,
    /// The cluster this round is about.
    pub(super) current: Cell<usize>,
    /// Files made outside the work of clients.
    pub(super) marks: Cell<u64>,
    pub(super) tally: RefCell<Tally>,
    pub(super) plan: RefCell<Plan>,
    /// The disks of the nodes of the mount, in its order; none for what is no disk of the cluster.
    pub(super) seats: RefCell<Vec<Option<usize>>>,
}

impl World {
    /// True if some disk may be full.
    pub(super) fn is_tight(&self) -> bool {
        self.disks.iter().any(|disk| disk.drive.disk.medium.borrow().size_bytes() <= SMALL_BYTES)
    }

    /// New clusters.
    pub(super) fn new(seed: u64, settings: &Settings) -> Result<Self, String> {
        let mut random = Random::new(mix(seed ^ 0x5eed));
        let groups = draw_groups(&mut random, settings);
        let count = groups[0].parts()[0].len();
        let host = Host::fresh(seed);
        let sizes = draw_sizes(&mut random, count);
        let size = |number: usize| sizes[number];
        let media: Vec<Medium> = (0..count).map(|number| nodes::formatted(host, size(number), number)).collect();
        // Making the templates is no part of the run: they are there already the next time.
        let host = Host::fresh(seed);
        let disk = |(number, medium)| Disk {
            drive: Drive::new(medium, number),
            is_ailing: Cell::new(false),
            lies: Cell::new(false),
            under_way: RefCell::default(),
            old: RefCell::default(),
        };
        let world = Self {
            host,
            settings: settings.clone(),
            random: RefCell::new(random),
            disks: media.into_iter().enumerate().map(disk).collect(),
            groups,
            current: Cell::new(0),
            marks: Cell::new(0),
            tally: RefCell::default(),
            plan: RefCell::new(Plan::quiet(0)),
            seats: RefCell::default(),
        };
        world.groups.iter().filter(|group| !group.is_alone).try_for_each(|group| world.create(group))?;
        Ok(world)
    }

    fn create(&self, group: &Group) -> Result<(), String> {
        let soft = self.groups.iter().filter(|other| other.is_alone && other.label == group.label);
        let mut kinds: Vec<(usize, PfsKind)> = soft.map(|soft| (soft.masters()[0], PfsKind::SoftMaster)).collect();
        let parts = group.parts()[0].clone();
        kinds.extend(parts.iter().enumerate().filter_map(|(disk, part)| Some((disk, (*part)?))));
        kinds.sort_unstable_by_key(|(disk, _)| *disk);
        let drives: Vec<Drive> = kinds.iter().map(|(disk, _)| self.disks[*disk].drive.clone()).collect();
        let new = NewPfs { fsid: group.uuid(3, 0), ..group.new_pfs(0, TimeSource::now(self.host)) };
        (0..).map(NodeIndex).zip(&kinds).for_each(|(node, (disk, _))| group.made_as(&new, *disk, node));
        let kinds: Vec<PfsKind> = kinds.iter().map(|(_, kind)| *kind).collect();
        let made = executor::run(self.host, async {
            let cluster = nodes::open(self.host, &drives, &mut |_, _| ()).await.map_err(|error| error.to_string())?;
            let made = cluster.create_as(&new, &kinds, TimeSource::random(self.host)).await;
            made.map_err(|error| error.to_string())
        });
        match made {
            Ok(Ok(PfsOutcome::Done)) => {
                self.settle();
                Ok(())
            }
            other => Err(format!("the cluster can't be created: {other:?}")),
        }
    }

    /// The cluster this round is about.
    pub(super) fn group(&self) -> &Group {
        &self.groups[self.current.get()]
    }

    /// How many there are.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// True if no cluster loses anything when this disk can't be relied on any more.
    pub(super) fn can_do_without(&self, disk: usize) -> bool {
        self.groups.iter().all(|group| {
            let is_unsound = |disk: usize| group.trust(disk) != Trust::Sound || self.disks[disk].lies.get();
            group.can_do_without(disk, is_unsound)
        })
    }

    /// True if a disk doesn't hold all it should, or may not after a power cut.
    pub(super) fn is_unsound(&self, disk: usize) -> bool {
        self.group().trust(disk) != Trust::Sound || self.disks[disk].lies.get()
    }

    /// True if a disk holds all it should of every cluster.
    pub(super) fn is_sound_in_all(&self, disk: usize) -> bool {
        self.groups.iter().all(|group| group.trust(disk) == Trust::Sound)
    }

    /// True for a member of some cluster.
    pub(super) fn is_member(&self, disk: usize) -> bool {
        self.groups.iter().any(|group| group.part(disk).is_some())
    }

    /// True if all members are sound.
    pub(super) fn all_are_sound(&self) -> bool {
        let group = self.group();
        (0..self.disks.len()).all(|disk| group.part(disk).is_none() || !self.is_unsound(disk))
    }

    /// True if all that vote are sound, or may vote.
    pub(super) fn voters_are_sound(&self) -> bool {
        let parts = self.group().parts();
        let votes = |disk: usize| parts.iter().any(|parts| parts[disk] == Some(PfsKind::Master));
        (0..self.disks.len()).all(|disk| !votes(disk) || !self.is_unsound(disk))
    }

    /// Something happened to a disk: what it holds of any cluster is in doubt.
    pub(super) fn distrust(&self, disk: usize, trust: Trust) {
        for group in &self.groups {
            group.snapshots.lost_by(disk);
            group.set_trust(disk, trust);
        }
    }

    pub(super) fn snapshots_lost_by(&self, disk: usize) {
        self.groups.iter().for_each(|group| group.snapshots.lost_by(disk));
    }

    /// A node is to be brought in step: without room for that it does without its oldest snapshots.
    pub(super) fn may_lose_snapshots(&self, node: NodeIndex) {
        if let (true, Some(disk)) = (self.is_tight(), self.disk_of(node.0.into())) {
            self.snapshots_lost_by(disk);
        }
    }

    /// True for a soft member.
    pub(super) fn is_soft(&self, disk: usize) -> bool {
        self.groups.iter().any(|group| group.is_alone && group.part(disk).is_some())
    }

    /// The node that a disk is in this mount.
    pub(super) fn node_of(&self, disk: usize) -> Option<NodeIndex> {
        let place = self.seats.borrow().iter().position(|seat| *seat == Some(disk))?;
        Some(NodeIndex(place as u8))
    }

    /// The disk behind a node of the mount.
    pub(super) fn disk_of(&self, seat: usize) -> Option<usize> {
        self.seats.borrow().get(seat).copied().flatten()
    }

    /// True if all is well with a node's disk.
    pub(super) fn is_sound_node(&self, node: NodeIndex) -> bool {
        self.disk_of(usize::from(node.0)).is_some_and(|disk| self.is_sound(disk))
    }

    /// True if all is well with a disk.
    pub(super) fn is_sound(&self, disk: usize) -> bool {
        self.group().trust(disk) == Trust::Sound && !self.disks[disk].is_ailing.get()
    }

    /// True when a quorum is in step and healthy: then everything works.
    pub(super) fn must_work(&self, fs: &FileSystem) -> bool {
        self.has_quorum_of(fs, |disk| self.is_sound(disk))
    }

    /// True for a node whose disk takes longer than others.
    pub(super) fn is_slow(&self, node: NodeIndex) -> bool {
        self.disk_of(node.0.into()).is_some_and(|disk| self.disks[disk].drive.disk.slowness.get() > 1)
    }

    /// True when none of that quorum is slow: then it works without delay, too, unless room has to be found. All members are
    /// waited for then.
    pub(super) fn must_be_swift(&self, fs: &FileSystem) -> bool {
        !self.is_tight()
            && self.has_quorum_of(fs, |disk| self.is_sound(disk) && self.disks[disk].drive.disk.slowness.get() == 1)
    }

    fn has_quorum_of(&self, fs: &FileSystem, counts: impl Fn(usize) -> bool) -> bool {
        let in_step: Vec<MemberState> = states(fs).collect();
        let is_in_step = |disk: usize| {
            self.node_of(disk).and_then(|node| in_step.get(usize::from(node.0))) == Some(&MemberState::InSync)
        };
        self.group().is_quorum(|disk| is_in_step(disk) && counts(disk))
    }

    /// What was done up to a moment was acknowledged. The nodes in step have it that don't lag.
    pub(super) fn note_acked(&self, fs: &FileSystem, moment: Moment) {
        let group = self.group();
        group.history.borrow_mut().acked(moment);
        for (seat, member) in fs.member_statuses().enumerate() {
            if let (MemberState::InSync, 0, Some(disk)) = (member.state, member.backlog, self.disk_of(seat))
                && group.trust(disk) == Trust::Forgetful
            {
                group.set_trust(disk, Trust::Sound);
            }
        }
    }

    /// What happens before a client's step; the client may have to do something about it.
    pub(super) fn before_step(&self, step: u64) -> Option<Event> {
        let plan = self.plan.borrow();
        for fault in plan.faults.iter().filter(|fault| fault.step == step) {
            self.strike(fault.seat, fault.kind);
        }
        if let Crash::AtStep(at, requests) = plan.crash
            && at == step
        {
            self.host.power_until(Some(requests));
            plan.sync_now.set(true);
        }
        if plan.resync_at == Some(step) {
            return Some(Event::Resync);
        }
        if plan.change_at == Some(step) {
            return Some(Event::ChangeMembers);
        }
        if plan.insert_at == Some(step) {
            return Some(Event::Insert);
        }
        plan.sync_now.replace(false).then_some(Event::Sync)
    }

    fn strike(&self, seat: usize, kind: Kind) {
        let Some(number) = self.disk_of(seat) else { return };
        let disk = &self.disks[number];
        if kind.is_damaging() && !self.can_do_without(number) {
            return;
        }
        let struck = disk.drive.plan.struck();
        if !kind.strike(&disk.drive, &mut self.random.borrow_mut()) {
            return;
        }
        self.host.note(100 + kind as u64);
        log::info!("{} on disk {}, node {seat}", kind.name(), disk.drive.number);
        if kind != Kind::Slow {
            disk.is_ailing.set(true);
        }
        if kind == Kind::LyingFlush {
            self.snapshots_lost_by(number);
        } else if kind.is_damaging() {
            self.distrust(number, Trust::Damaged);
        }
        disk.lies.set(disk.lies.get() || kind == Kind::LyingFlush);
        if kind.strikes_at_once() {
            self.tally.borrow_mut().fault(kind.name());
        } else {
            disk.under_way.borrow_mut().push((kind, struck));
        }
    }

    /// Runs a mount from beginning to end; none if the power went.
    pub(super) fn run<T>(&self, session: impl Future<Output = Result<T, String>>) -> Result<Option<T>, String> {
        let requests = match self.plan.borrow().crash {
            Crash::InMount(requests) => Some(requests),
            _ => None,
        };
        self.host.power_on();
        self.host.power_until(requests);
        let done = executor::run(self.host, session);
        let result = match done {
            Ok(done) => done.map(Some),
            Err(Stopped::PowerCut) => {
                self.cut_power();
                Ok(None)
            }
            Err(Stopped::Hung) => Err("I14: nothing happens any more".to_owned()),
        };
        self.host.power_on();
        self.settle();
        self.heal();
        self.group().snapshots.give_up();
        result
    }

    fn cut_power(&self) {
        self.tally.borrow_mut().crashes += 1;
        log::info!("the power goes");
        for (number, disk) in self.disks.iter().enumerate() {
            disk.drive.disk.medium.borrow_mut().cut_power(&mut self.random.borrow_mut());
            if disk.lies.get() {
                self.distrust(number, Trust::Damaged);
            }
        }
    }

    /// Everything that is on its way to a disk arrives.
    fn settle(&self) {
        self.disks.iter().for_each(|disk| disk.drive.disk.medium.borrow_mut().settle());
    }

    /// Disks that fail but lie about nothing are put right, in the middle of a mount.
    pub(super) fn mend_disks(&self) {
        for (number, disk) in self.disks.iter().enumerate() {
            if self.groups.iter().all(|group| group.trust(number) != Trust::Damaged) && !disk.lies.get() {
                self.end_faults(disk);
                disk.drive.plan.release();
            }
        }
    }

    /// The faults of a mount end with it.
    fn heal(&self) {
        for disk in &self.disks {
            self.end_faults(disk);
            disk.lies.set(false);
        }
    }

    fn end_faults(&self, disk: &Disk) {
        let struck = disk.drive.plan.struck();
        for (kind, before) in disk.under_way.borrow_mut().drain(..) {
            if struck > before {
                self.tally.borrow_mut().fault(kind.name());
            }
        }
        disk.drive.plan.clear();
        disk.drive.disk.slowness.set(1);
        disk.is_ailing.set(false);
    }
}

/// How large disks are: mostly there is room, now and then one or all of them have too little.
fn draw_sizes(random: &mut Random, count: usize) -> Vec<u64> {
    let usual = random.pick(&[96 << 20, 96 << 20, 96 << 20, 5 << 30]);
    let mut sizes = vec![usual; count];
    match random.below(100) {
        0..4 => sizes.fill(SMALL_BYTES),
        4..8 => sizes[random.index(count)] = SMALL_BYTES,
        _ => {}
    }
    sizes
}

/// The clusters of a run.
fn draw_groups(random: &mut Random, settings: &Settings) -> Vec<Group> {
    let (masters, slaves) = settings.nodes.map_or_else(|| random.pick(&GROUPS), |masters| (masters, 0));
    let most = MAX_NODES - (masters + slaves);
    let others = random.pick(&[0, 0, 1, 1, 2]).min(most);
    let count = masters + slaves + others;
    let kind = |disk: usize| match disk {
        _ if disk < masters => Some(PfsKind::Master),
        _ if disk < masters + slaves => Some(PfsKind::Slave),
        _ => None,
    };
    let mut groups = vec![Group::new(0, b"WORK", (0..count).map(kind).collect())];
    let only = |disk: usize| -> Parts { (0..count).map(|other| (other == disk).then_some(PfsKind::Master)).collect() };
    if others > 0 && random.percent(30) {
        groups.push(Group::alone(1, b"WORK", only(count - 1)));
    }
    if random.percent(30) {
        let masters = 1 + random.index(count.min(4));
        let first = random.index(count - masters + 1);
        let is_member = |disk: usize| (first..first + masters).contains(&disk).then_some(PfsKind::Master);
        groups.push(Group::new(2, b"MORE", (0..count).map(is_member).collect()));
    }
    groups
}
