//! The rounds of a run: disks are tampered with, some are mounted, clients work, the power goes.

use std::cell::{Cell, RefCell};
use std::pin::Pin;

use hammer2_core::media::PfsKind;

use super::clients::Session;
use super::executor;
use super::group::Trust;
use super::medium::Medium;
use super::mounting::{Refused, Seat, name_of_state, states};
use super::nodes::{self, Drive};
use super::plan::Plan;
use super::resuming::Stopped;
use super::world::World;

/// Steps of one round, about.
const ROUND_STEPS: u64 = 60;
/// However it goes, a run ends.
const MAX_ROUNDS: u64 = 40;

impl World {
    /// Everything but the end.
    pub(super) fn rounds(&self) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            if self.tally.borrow().operations >= self.settings.steps {
                break;
            }
            self.round()?;
        }
        Ok(())
    }

    fn round(&self) -> Result<(), String> {
        let other = self.random.borrow_mut().percent(30);
        let current = if other { self.random.borrow_mut().index(self.group_count()) } else { 0 };
        self.current.set(current);
        if current > 0 {
            self.tally.borrow_mut().verdict(if self.group().is_alone { "soft-mount" } else { "other-cluster" });
        }
        self.tamper()?;
        let is_alone = self.group().is_alone;
        if self.chance("halves", if self.group().is_unsettled() { 90 } else { 2 })
            && self.voters_are_sound()
            && !is_alone
        {
            return self.halves();
        }
        let is_whole = !is_alone && !self.group().is_unsettled();
        if self.chance("forked", 2)
            && is_whole
            && !self.is_tight()
            && self.all_are_sound()
            && self.group().masters().len() > 1
        {
            return self.fork();
        }
        if self.chance("forged", 3) && is_whole && self.can_be_forged() {
            return self.forged();
        }
        if self.chance("rewound", 2) && is_whole && !self.is_tight() && self.can_be_rewound() {
            return self.rewound();
        }
        if self.chance("spoiled", 2) && is_whole && !self.is_tight() && self.can_be_spoiled() {
            return self.spoiled();
        }
        let is_there = !self.group().masters().is_empty();
        if self.chance("rivals", 4) && is_whole && is_there && !self.is_tight() && self.all_are_sound() {
            return self.rivals();
        }
        if self.chance("minority", 12) && is_whole && self.group().quorum() > 1 {
            return self.minority();
        }
        let seats = self.choose_seats();
        let steps = ROUND_STEPS.min(self.settings.steps);
        let plan = Plan::draw(&mut self.random.borrow_mut(), seats.len(), steps, &self.settings);
        self.keep_old();
        let served = self.session(&seats, plan)?;
        if served.is_none() {
            // What a power cut leaves is whole before anybody mounts it: a mount mends much, and hides that it had to.
            let number = self.random.borrow_mut().index(self.disks.len());
            self.check_volume(number, true)?;
        }
        if served == Some(false) {
            // Whatever stood in the way, without it there is nothing to refuse.
            let seats = self.sound_seats(&seats);
            self.session(&seats, Plan::quiet(10))?;
        }
        Ok(())
    }

    /// Something happens this often of a hundred times, unless it is left out.
    pub(super) fn chance(&self, name: &str, percent: u64) -> bool {
        self.random.borrow_mut().percent(percent) && self.settings.has_fault(name)
    }

    /// What is done to disks while they aren't mounted.
    fn tamper(&self) -> Result<(), String> {
        let number = self.random.borrow_mut().index(self.disks.len());
        let (returns_old, is_written) = (self.chance("returned-old", 12), self.chance("foreign-write", 8));
        if !self.can_do_without(number) {
            return Ok(());
        }
        let group = self.group();
        let disk = &self.disks[number];
        if returns_old && let Some(old) = &*disk.old.borrow() {
            *disk.drive.disk.medium.borrow_mut() = old.image();
            self.distrust(number, Trust::Forgetful);
            self.tally.borrow_mut().fault("returned-old");
        } else if is_written
            && !group.is_unsettled()
            && group.part(number).is_some()
            && group.trust(number) == Trust::Sound
        {
            let drive = disk.drive.clone();
            *self.plan.borrow_mut() = Plan::quiet(0);
            let written = self.run(async { Ok(nodes::write_as_foreigner(self.host, &drive, group.label).await) })?;
            if let Some(Err(error)) = written {
                return Err(format!("a foreigner can't write to a disk: {error:?}"));
            }
            group.set_trust(number, Trust::Forgetful);
            self.tally.borrow_mut().fault("foreign-write");
        }
        Ok(())
    }

    /// Remembers how a disk is, to have it back one day.
    fn keep_old(&self) {
        let number = self.random.borrow_mut().index(self.disks.len());
        if self.random.borrow_mut().percent(30) && self.is_sound_in_all(number) {
            let image = self.disks[number].drive.disk.medium.borrow().image();
            *self.disks[number].old.borrow_mut() = Some(image);
        }
    }

    /// The disks to mount: a quorum of sound ones at least, in any order, and now and then something else.
    fn choose_seats(&self) -> Vec<Seat> {
        let group = self.group();
        if group.is_alone {
            return group.masters().into_iter().map(Seat::Member).collect();
        }
        let count = self.disks.len();
        let mut numbers: Vec<usize> = (0..count).collect();
        self.random.borrow_mut().shuffle(&mut numbers);
        let some = (count - group.quorum()).max(1);
        let is_complete = group.is_unsettled() || !self.chance("absent", 65);
        let absent = if is_complete { 0 } else { 1 + self.random.borrow_mut().index(some) };
        let counts = |number: usize| group.part(number) == Some(PfsKind::Master) && group.trust(number) == Trust::Sound;
        let mut sound = (0..count).filter(|number| counts(*number)).count();
        let mut left = absent;
        numbers.retain(|number| {
            let counts = counts(*number);
            if left == 0 || counts && sound <= group.quorum() {
                return true;
            }
            left -= 1;
            sound -= usize::from(counts);
            false
        });
        let mut tally = self.tally.borrow_mut();
        if numbers.iter().filter(|number| group.part(**number).is_some()).count() < group.member_count() {
            tally.fault("absent");
        }
        if self.chance("swapped", 50) {
            tally.fault("swapped");
        } else {
            numbers.sort_unstable();
        }
        let is_full = numbers.len() == count;
        let mut seats: Vec<Seat> = numbers.into_iter().map(Seat::Member).collect();
        let can_be_cloned = self.all_are_sound() && group.spare() > 0 && is_full && !group.is_unsettled();
        let other = if self.chance("cloned", 4) && can_be_cloned {
            tally.fault("cloned");
            // Who is no member has no copy that matters.
            let number = self.random.borrow_mut().index(group.member_count());
            Some(self.disks[group.by_part()[number]].drive.disk.medium.borrow().image())
        } else if self.chance("blank", 5) {
            tally.fault("blank");
            let size_bytes = self.disks[0].drive.disk.medium.borrow().size_bytes();
            Some(Medium::new(size_bytes))
        } else {
            None
        };
        if let Some(medium) = other
            && seats.len() < hammer2_core::cluster::MAX_NODES
        {
            let at = self.random.borrow_mut().index(seats.len() + 1);
            seats.insert(at, Seat::Other(Drive::new(medium, count)));
        }
        seats
    }

    /// Mounts, works, and stops in one way or another. False if it couldn't be mounted because of disks that aren't sound;
    /// none if the power went.
    pub(super) fn session(&self, seats: &[Seat], plan: Plan) -> Result<Option<bool>, String> {
        log::info!("mounting {seats:?}");
        *self.plan.borrow_mut() = plan;
        self.run(async {
            let fs = match self.mount_writable(seats).await {
                Ok(fs) => fs,
                Err(Refused(name)) => {
                    let is_excused = self.sound_seats(seats).len() < seats.len() || self.is_tight();
                    let why = format!("I33: a quorum of sound disks isn't mounted: {name}");
                    return if is_excused { Ok(false) } else { Err(why) };
                }
            };
            if !self.check_served(&fs).await? {
                return Ok(true);
            }
            let (steps, clients, unmounts, keeps) = {
                let plan = self.plan.borrow();
                (plan.steps, plan.clients, plan.unmounts, plan.keeps)
            };
            let session = Session {
                world: self,
                host: self.host,
                fs: &fs,
                random: RefCell::new(self.random.borrow_mut().fork()),
                steps,
                steps_begun: Cell::new(0),
                is_over: Cell::new(false),
                is_stopped: Cell::new(false),
                stopped: Stopped::default(),
                administered: Cell::new((0, 0)),
                suspicion: RefCell::new(None),
                wrong: RefCell::new(None),
            };
            let clients = (0..clients).map(|_| Box::pin(session.client()) as Pin<Box<dyn Future<Output = ()>>>);
            let clients = executor::all(clients.collect());
            if keeps {
                session.keeping(clients).await;
            } else {
                fs.attend(clients).await;
            }
            if unmounts && !session.is_over.get() && !session.is_stopped.get() {
                session.sync().await;
                // Whoever unmounts waits for laggards, too.
                let _ = fs.attend(fs.level()).await;
            }
            let wrong = session.wrong.take();
            for state in states(&fs) {
                if let hammer2_core::cluster::MemberState::Ejected(_) = state {
                    self.tally.borrow_mut().verdict(&name_of_state(state));
                }
            }
            wrong.map_or(Ok(true), Err)
        })
    }

    /// Too few disks are there: nothing may be changed, but what one of them holds can be looked at.
    fn minority(&self) -> Result<(), String> {
        let mut numbers: Vec<usize> = (0..self.disks.len()).filter(|number| self.is_known(*number)).collect();
        self.random.borrow_mut().shuffle(&mut numbers);
        let mut masters = 1 + self.random.borrow_mut().index(self.group().quorum() - 1);
        numbers.retain(|number| {
            let is_master = self.group().part(*number) == Some(PfsKind::Master);
            let is_left_out = is_master && masters == 0;
            masters -= usize::from(is_master && !is_left_out);
            !is_left_out
        });
        let mut seats: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
        self.tally.borrow_mut().fault("minority");
        if self.chance("copied-minority", 40) && seats.len() < hammer2_core::cluster::MAX_NODES {
            self.tally.borrow_mut().fault("copied-minority");
            let number = numbers[self.random.borrow_mut().index(numbers.len())];
            let image = self.disks[number].drive.disk.medium.borrow().image();
            seats.push(Seat::Other(Drive::new(image, number)));
        }
        log::info!("a minority of {}: {seats:?}", String::from_utf8_lossy(self.group().label));
        *self.plan.borrow_mut() = Plan::quiet(0);
        self.run(async {
            match self.mount_writable(&seats).await {
                Ok(_) => Err(format!("I15: {} of {} disks are mounted to be changed", seats.len(), self.disks.len())),
                Err(_) => Ok(()),
            }
        })?;
        Ok(())
    }
}
