//! One run: a cluster's disks, what is known of them, and what happens to them until the end.

use std::cell::{Cell, RefCell};

use hammer2_core::cluster::{MemberState, NewPfs, NodeIndex, PfsOutcome};
use hammer2_core::fs::{FileSystem, TimeSource};
use hammer2_core::media::{PfsKind, Uuid};

use super::clients::Event;
use super::executor::{self, Stopped};
use super::faults::Kind;
use super::history::{History, Moment};
use super::host::Host;
use super::medium::Medium;
use super::model::Model;
use super::mounting::states;
use super::nodes::{self, Drive, LABEL};
use super::plan::{Crash, Plan};
use super::settings::Settings;
use super::snapshots::Snapshots;
use super::tally::Tally;
use hammer2_core::random::{Random, mix};

/// Whether a disk holds what it said it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// All that was ever acknowledged with it.
    Sound,
    /// It is an old copy of itself, or somebody else wrote there: until it is brought in step.
    Forgetful,
    /// Some of it is wrong, nobody knows where.
    Damaged,
}

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

/// A disk of the cluster.
pub(super) struct Disk {
    pub(super) drive: Drive,
    /// Master or slave. The masters are the first disks.
    pub(super) kind: PfsKind,
    pub(super) trust: Cell<Trust>,
    /// Something is wrong with it in this mount.
    pub(super) is_ailing: Cell<bool>,
    /// What its flushes were is a lie, so far without harm.
    pub(super) lies: Cell<bool>,
    /// The kinds of faults under way, and how many requests had been struck before.
    pub(super) under_way: RefCell<Vec<(Kind, u64)>>,
    /// How it once was.
    pub(super) old: Option<Medium>,
}

/// A run.
pub(super) struct World {
    pub(super) host: &'static Host,
    pub(super) settings: Settings,
    pub(super) random: RefCell<Random>,
    pub(super) disks: Vec<Disk>,
    pub(super) model: RefCell<Model>,
    pub(super) history: RefCell<History>,
    pub(super) snapshots: Snapshots,
    pub(super) tally: RefCell<Tally>,
    pub(super) plan: RefCell<Plan>,
    /// The disks of the nodes of the mount, in its order; none for what is no disk of the cluster.
    pub(super) seats: RefCell<Vec<Option<usize>>>,
}

impl World {
    /// A new cluster.
    pub(super) fn new(seed: u64, settings: &Settings) -> Result<Self, String> {
        let mut random = Random::new(mix(seed ^ 0x5eed));
        let drawn = random.pick(&GROUPS);
        let (masters, slaves) = settings.nodes.map_or(drawn, |masters| (masters, 0));
        let size_bytes = random.pick(&[96 << 20, 96 << 20, 96 << 20, 5 << 30]);
        let host = Host::fresh(seed);
        let media: Vec<Medium> =
            (0..masters + slaves).map(|number| nodes::formatted(host, size_bytes, number)).collect();
        // Making the templates is no part of the run: they are there already the next time.
        let host = Host::fresh(seed);
        let disk = |(number, medium)| Disk {
            drive: Drive::new(medium, number),
            kind: if number < masters { PfsKind::Master } else { PfsKind::Slave },
            trust: Cell::new(Trust::Sound),
            is_ailing: Cell::new(false),
            lies: Cell::new(false),
            under_way: RefCell::default(),
            old: None,
        };
        let world = Self {
            host,
            settings: settings.clone(),
            random: RefCell::new(random),
            disks: media.into_iter().enumerate().map(disk).collect(),
            model: RefCell::new(Model::new()),
            history: RefCell::new(History::new(Model::new())),
            snapshots: Snapshots::default(),
            tally: RefCell::default(),
            plan: RefCell::new(Plan::quiet(0)),
            seats: RefCell::default(),
        };
        world.create()?;
        Ok(world)
    }

    fn create(&self) -> Result<(), String> {
        let new = NewPfs {
            label: LABEL,
            kind: PfsKind::Master,
            clid: Uuid([7; 16]),
            fsid: Uuid([9; 16]),
            time: TimeSource::now(self.host),
        };
        let drives: Vec<Drive> = self.disks.iter().map(|disk| disk.drive.clone()).collect();
        let kinds: Vec<PfsKind> = self.disks.iter().map(|disk| disk.kind).collect();
        let made = executor::run(self.host, async {
            let cluster = nodes::open(self.host, &drives, &mut |_, _| ()).await.map_err(|error| error.to_string())?;
            cluster.create_as(&new, &kinds, TimeSource::random(self.host)).await.map_err(|error| error.to_string())
        });
        match made {
            Ok(Ok(PfsOutcome::Done)) => {
                self.settle();
                Ok(())
            }
            other => Err(format!("the cluster can't be created: {other:?}")),
        }
    }

    pub(super) fn quorum(&self) -> usize {
        self.masters().count() / 2 + 1
    }

    pub(super) fn masters(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().filter(|disk| disk.is_master())
    }

    /// Masters that may be bad at a time without anything being lost.
    pub(super) fn spare(&self) -> usize {
        self.masters().count() - self.quorum()
    }

    /// True if nothing is lost when this disk can't be relied on any more.
    pub(super) fn can_do_without(&self, disk: &Disk) -> bool {
        let unsound = |disk: &&Disk| disk.is_unsound();
        disk.is_unsound() || !disk.is_master() || self.masters().filter(unsound).count() < self.spare()
    }

    pub(super) fn all_are_sound(&self) -> bool {
        !self.disks.iter().any(Disk::is_unsound)
    }

    /// The disk behind a node of the mount.
    fn disk_of(&self, seat: usize) -> Option<&Disk> {
        let number = self.seats.borrow().get(seat).copied().flatten()?;
        self.disks.get(number)
    }

    /// True if all is well with a node's disk.
    pub(super) fn is_sound(&self, node: NodeIndex) -> bool {
        self.disk_of(usize::from(node.0)).is_some_and(Disk::is_sound)
    }

    /// True when a quorum is in step and healthy: then everything works.
    pub(super) fn must_work(&self, fs: &FileSystem) -> bool {
        let in_step = states(fs).enumerate().filter(|(_, state)| *state == MemberState::InSync);
        let is_good = |disk: &Disk| disk.is_master() && disk.is_sound();
        in_step.filter(|(seat, _)| self.disk_of(*seat).is_some_and(is_good)).count() >= self.quorum()
    }

    /// What was done up to a moment was acknowledged. The nodes in step have it.
    pub(super) fn note_acked(&self, fs: &FileSystem, moment: Moment) {
        self.history.borrow_mut().acked(moment);
        for (seat, state) in states(fs).enumerate() {
            if let (MemberState::InSync, Some(disk)) = (state, self.disk_of(seat))
                && disk.trust.get() == Trust::Forgetful
            {
                disk.trust.set(Trust::Sound);
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
        plan.sync_now.replace(false).then_some(Event::Sync)
    }

    fn strike(&self, seat: usize, kind: Kind) {
        let Some(disk) = self.disk_of(seat) else { return };
        if kind.is_damaging() && !self.can_do_without(disk) {
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
        if kind.is_damaging() {
            self.snapshots.lost_by(disk.drive.number);
        }
        if kind.is_damaging() && kind != Kind::LyingFlush {
            disk.trust.set(Trust::Damaged);
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
        self.snapshots.give_up();
        result
    }

    fn cut_power(&self) {
        self.tally.borrow_mut().crashes += 1;
        log::info!("the power goes");
        for disk in &self.disks {
            disk.drive.disk.medium.borrow_mut().cut_power(&mut self.random.borrow_mut());
            if disk.lies.get() {
                disk.trust.set(Trust::Damaged);
            }
        }
    }

    /// Everything that is on its way to a disk arrives.
    fn settle(&self) {
        self.disks.iter().for_each(|disk| disk.drive.disk.medium.borrow_mut().settle());
    }

    /// The faults of a mount end with it.
    fn heal(&self) {
        for disk in &self.disks {
            let struck = disk.drive.plan.struck();
            for (kind, before) in disk.under_way.borrow_mut().drain(..) {
                if struck > before {
                    self.tally.borrow_mut().fault(kind.name());
                }
            }
            disk.drive.plan.clear();
            disk.drive.disk.slowness.set(1);
            disk.is_ailing.set(false);
            disk.lies.set(false);
        }
    }
}

impl Disk {
    pub(super) fn is_master(&self) -> bool {
        self.kind == PfsKind::Master
    }

    fn is_unsound(&self) -> bool {
        self.trust.get() != Trust::Sound || self.lies.get()
    }

    pub(super) fn is_sound(&self) -> bool {
        self.trust.get() == Trust::Sound && !self.is_ailing.get()
    }
}
