//! One run: disks, the clusters on them, and their state until the end.

use std::cell::{Cell, RefCell};

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_core::media::PfsKind;
use hammer2_core::random::Random;

use crate::chronicle::{Chronicle, What};
use crate::executor::{self, Stopped};
use crate::faults::FaultKind;
use crate::group::{Group, Roles, Trust, names_of_roles};
use crate::history::Moment;
use crate::host::Host;
use crate::medium::Medium;
use crate::nodes::{Drive, SMALL_BYTES};
use crate::plan::{Crash, Errand, Plan};
use crate::settings::Settings;
use crate::states::states;
use crate::tally::Tally;

/// A disk.
pub(crate) struct Disk {
    pub(crate) drive: Drive,
    /// It has a fault in this mount.
    pub(crate) is_ailing: Cell<bool>,
    /// Its flushes lie, so far without harm.
    pub(crate) lies: Cell<bool>,
    /// The kinds of faults under way, and how many requests had been struck before.
    pub(crate) under_way: RefCell<Vec<(FaultKind, u64)>>,
    /// An old state of it.
    pub(crate) old: RefCell<Option<Medium>>,
}

impl Disk {
    pub(crate) fn new(drive: Drive) -> Self {
        Self {
            drive,
            is_ailing: Cell::new(false),
            lies: Cell::new(false),
            under_way: RefCell::default(),
            old: RefCell::default(),
        }
    }

    /// Ends its faults. `tell` gets each fault that was under way, and whether it struck.
    fn end_faults(&self, mut tell: impl FnMut(FaultKind, bool)) {
        let struck = self.drive.plan.struck();
        self.under_way.borrow_mut().drain(..).for_each(|(kind, before)| tell(kind, struck > before));
        self.drive.plan.clear();
        self.drive.disk.slowness.set(1);
        self.is_ailing.set(false);
    }
}

/// A run.
pub(crate) struct World {
    pub(crate) host: &'static Host,
    pub(crate) settings: Settings,
    pub(crate) random: RefCell<Random>,
    pub(crate) disks: Vec<Disk>,
    groups: Vec<Group>,
    /// The cluster of this round.
    pub(crate) current: Cell<usize>,
    /// Files made outside the work of clients.
    pub(crate) marks: Cell<u64>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) chronicle: Chronicle,
    pub(crate) plan: RefCell<Plan>,
    /// The disks of the mount's nodes, in order; none for a node that isn't a disk of the cluster.
    pub(crate) seats: RefCell<Vec<Option<usize>>>,
}

impl World {
    /// Clusters on disks, as yet unused.
    pub(crate) fn new(
        host: &'static Host,
        settings: &Settings,
        random: Random,
        disks: Vec<Disk>,
        groups: Vec<Group>,
    ) -> Self {
        Self {
            host,
            settings: settings.clone(),
            random: RefCell::new(random),
            disks,
            groups,
            current: Cell::new(0),
            marks: Cell::new(0),
            tally: RefCell::default(),
            chronicle: Chronicle::default(),
            plan: RefCell::new(Plan::quiet(0)),
            seats: RefCell::default(),
        }
    }

    /// Records an event, if events are kept.
    pub(crate) fn tell(&self, what: impl FnOnce() -> What) {
        if self.chronicle.is_kept() {
            self.chronicle.add(self.host.nanoseconds(), self.host.trace(), what());
        }
    }

    /// Counts a fault that isn't one of a single device.
    pub(crate) fn fault(&self, name: &str) {
        self.tally.borrow_mut().fault(name);
        self.tell(|| What::Fault { name: name.to_owned(), disk: None });
    }

    /// The same, for one disk.
    pub(crate) fn fault_of(&self, name: &str, disk: usize) {
        self.tally.borrow_mut().fault(name);
        self.tell(|| What::Fault { name: name.to_owned(), disk: Some(disk) });
    }

    /// Counts a verdict on a mount, a node or a change.
    pub(crate) fn verdict(&self, name: &str) {
        self.tally.borrow_mut().verdict(name);
        self.tell(|| What::Verdict { name: name.to_owned() });
    }

    /// Records that the members of the cluster change, or may.
    pub(crate) fn tell_members(&self, change: &str, roles: &Roles, outcome: &'static str) {
        self.tell(|| What::Members {
            cluster: self.group().name(),
            change: change.to_owned(),
            roles: names_of_roles(roles),
            outcome,
        });
    }

    /// True if some disk may be full.
    pub(crate) fn is_tight(&self) -> bool {
        self.disks.iter().any(|disk| disk.drive.disk.medium.borrow().size_bytes() <= SMALL_BYTES)
    }

    /// The cluster of this round.
    pub(crate) fn group(&self) -> &Group {
        &self.groups[self.current.get()]
    }

    /// All clusters.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// True if no cluster loses anything if this disk can't be relied on any more.
    pub(crate) fn can_do_without(&self, disk: usize) -> bool {
        self.groups.iter().all(|group| {
            let is_unsound = |disk: usize| group.trust(disk) != Trust::Sound || self.disks[disk].lies.get();
            group.can_do_without(disk, is_unsound)
        })
    }

    /// True if a disk doesn't hold everything that it should, or might not after a power cut.
    pub(crate) fn is_unsound(&self, disk: usize) -> bool {
        self.group().trust(disk) != Trust::Sound || self.disks[disk].lies.get()
    }

    /// True for a disk whose role in the cluster is certain. A soft member is mounted by itself. A former member, together with a
    /// member in an old state, may be a quorum of that time: no code can tell.
    pub(crate) fn is_known(&self, disk: usize) -> bool {
        let group = self.group();
        let is_sound = |disk| group.trust(disk) == Trust::Sound;
        let members = || (0..self.disks.len()).filter(|disk| group.role(*disk).is_some());
        !self.is_soft(disk) && (group.role(disk).is_some() || is_sound(disk) && members().all(is_sound))
    }

    /// True if a disk holds everything that it should of every cluster.
    pub(crate) fn is_sound_in_all(&self, disk: usize) -> bool {
        self.groups.iter().all(|group| group.trust(disk) == Trust::Sound)
    }

    /// True for a member of some cluster.
    pub(crate) fn is_member(&self, disk: usize) -> bool {
        self.groups.iter().any(|group| group.role(disk).is_some())
    }

    /// True if all members are sound.
    pub(crate) fn all_are_sound(&self) -> bool {
        let group = self.group();
        (0..self.disks.len()).all(|disk| group.role(disk).is_none() || !self.is_unsound(disk))
    }

    /// True if all disks that vote, or may vote, are sound.
    pub(crate) fn voters_are_sound(&self) -> bool {
        let roles = self.group().roles();
        let votes = |disk: usize| roles.iter().any(|roles| roles[disk] == Some(PfsKind::Master));
        (0..self.disks.len()).all(|disk| !votes(disk) || !self.is_unsound(disk))
    }

    /// Notes that a disk's content of every cluster is in doubt.
    pub(crate) fn distrust(&self, disk: usize, trust: Trust) {
        for group in &self.groups {
            group.snapshots.lost_by(disk);
            group.set_trust(disk, trust);
        }
    }

    pub(crate) fn snapshots_lost_by(&self, disk: usize) {
        self.groups.iter().for_each(|group| group.snapshots.lost_by(disk));
    }

    /// Notes that a node is to be brought in step: without room for that, it gives up its oldest snapshots.
    pub(crate) fn may_lose_snapshots(&self, node: NodeIndex) {
        if let (true, Some(disk)) = (self.is_tight(), self.disk_of(node.0.into())) {
            self.snapshots_lost_by(disk);
        }
    }

    /// True for a soft member.
    pub(crate) fn is_soft(&self, disk: usize) -> bool {
        self.groups.iter().any(|group| group.is_alone && group.role(disk).is_some())
    }

    /// The number of a disk's node in this mount.
    pub(crate) fn node_of(&self, disk: usize) -> Option<NodeIndex> {
        let place = self.seats.borrow().iter().position(|seat| *seat == Some(disk))?;
        Some(NodeIndex(place as u8))
    }

    /// The disk behind a node of the mount.
    pub(crate) fn disk_of(&self, seat: usize) -> Option<usize> {
        self.seats.borrow().get(seat).copied().flatten()
    }

    /// True if a node's disk is sound.
    pub(crate) fn is_sound_node(&self, node: NodeIndex) -> bool {
        self.disk_of(usize::from(node.0)).is_some_and(|disk| self.is_sound(disk))
    }

    /// True if a disk has no fault and holds everything that it should.
    pub(crate) fn is_sound(&self, disk: usize) -> bool {
        self.group().trust(disk) == Trust::Sound && !self.disks[disk].is_ailing.get()
    }

    /// The sound disks that are in step.
    pub(crate) fn disks_in_step(&self, fs: &FileSystem) -> Vec<usize> {
        let seats = self.seats.borrow();
        let in_step = states(fs).zip(seats.iter()).filter(|(state, _)| *state == MemberState::InSync);
        in_step.filter_map(|(_, disk)| *disk).filter(|number| self.is_sound(*number)).collect()
    }

    /// True when a quorum is in step and healthy: then everything works.
    pub(crate) fn must_work(&self, fs: &FileSystem) -> bool {
        self.has_quorum_of(fs, |disk| self.is_sound(disk))
    }

    /// True for a node whose disk takes longer than others.
    pub(crate) fn is_slow(&self, node: NodeIndex) -> bool {
        self.disk_of(node.0.into()).is_some_and(|disk| self.disks[disk].drive.disk.slowness.get() > 1)
    }

    /// True when none of that quorum is slow: then everything works without delay, too, unless room has to be found, as that
    /// waits for all members.
    pub(crate) fn must_be_swift(&self, fs: &FileSystem) -> bool {
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

    /// Notes that everything up to a moment was acknowledged. The nodes in step that don't lag have it.
    pub(crate) fn note_acked(&self, fs: &FileSystem, moment: Moment) {
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

    /// True of a third of all runs, which is drawn by nobody: the others are what they are without workers.
    pub(crate) fn has_workers(&self) -> bool {
        let drawn = self.host.draws_workers() && self.settings.has_fault("workers");
        if drawn {
            self.fault("workers");
        }
        drawn
    }

    /// True with this probability in percent, unless the fault is left out.
    pub(crate) fn chance(&self, name: &str, percent: u64) -> bool {
        self.random.borrow_mut().percent(percent) && self.settings.has_fault(name)
    }

    /// Makes the events happen that are planned before a client's step; returns a task if the client has to do something.
    pub(crate) fn before_step(&self, step: u64) -> Option<Errand> {
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
            return Some(Errand::Resync);
        }
        if plan.change_at == Some(step) {
            return Some(Errand::ChangeMembers);
        }
        if plan.insert_at == Some(step) {
            return Some(Errand::Insert);
        }
        plan.sync_now.replace(false).then_some(Errand::Sync)
    }

    fn strike(&self, seat: usize, kind: FaultKind) {
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
        self.tell(|| What::Fault { name: kind.name().to_owned(), disk: Some(number) });
        if kind != FaultKind::Slow {
            disk.is_ailing.set(true);
        }
        if kind == FaultKind::LyingFlush {
            self.snapshots_lost_by(number);
        } else if kind.is_damaging() {
            self.distrust(number, Trust::Damaged);
        }
        disk.lies.set(disk.lies.get() || kind == FaultKind::LyingFlush);
        if kind.strikes_at_once() {
            self.tally.borrow_mut().fault(kind.name());
        } else {
            disk.under_way.borrow_mut().push((kind, struck));
        }
    }

    /// Runs a session from beginning to end; none if the power went.
    pub(crate) fn run<T>(&self, session: impl Future<Output = Result<T, String>>) -> Result<Option<T>, String> {
        let requests = match self.plan.borrow().crash {
            Crash::InMount(requests) => Some(requests),
            _ => None,
        };
        self.host.power_on();
        self.host.power_until(requests);
        let done = executor::run(self.host, session);
        let by_power_cut = matches!(done, Err(Stopped::PowerCut));
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
        self.tell(|| What::Ended { by_power_cut });
        self.group().snapshots.give_up();
        result
    }

    fn cut_power(&self) {
        self.tally.borrow_mut().crashes += 1;
        log::info!("the power goes");
        self.tell(|| What::PowerCut);
        for (number, disk) in self.disks.iter().enumerate() {
            disk.drive.disk.medium.borrow_mut().cut_power(&mut self.random.borrow_mut());
            if disk.lies.get() {
                self.distrust(number, Trust::Damaged);
            }
        }
    }

    /// Lets everything that is on its way to disks arrive.
    pub(crate) fn settle(&self) {
        self.disks.iter().for_each(|disk| disk.drive.disk.medium.borrow_mut().settle());
    }

    /// Mends failing disks that don't lie, in the middle of a mount.
    pub(crate) fn mend_disks(&self) {
        for (number, disk) in self.disks.iter().enumerate() {
            if self.groups.iter().all(|group| group.trust(number) != Trust::Damaged) && !disk.lies.get() {
                self.end_faults(number);
                disk.drive.plan.release();
            }
        }
    }

    /// Ends the faults of a mount.
    fn heal(&self) {
        for (number, disk) in self.disks.iter().enumerate() {
            self.end_faults(number);
            disk.lies.set(false);
        }
    }

    /// Ends the faults of a disk, and counts those that struck.
    fn end_faults(&self, number: usize) {
        let disk = &self.disks[number];
        let was_slow = disk.drive.disk.slowness.get() > 1;
        disk.end_faults(|kind, has_struck| {
            if has_struck {
                self.tally.borrow_mut().fault(kind.name());
            }
            self.tell(|| What::FaultOver { name: kind.name().to_owned(), disk: number, has_struck });
        });
        if was_slow {
            let name = FaultKind::Slow.name().to_owned();
            self.tell(|| What::FaultOver { name, disk: number, has_struck: true });
        }
    }
}
