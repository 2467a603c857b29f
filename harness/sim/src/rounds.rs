//! The rounds of a run: disks are tampered with, some are mounted, clients work, the power goes.

use hammer2_core::cluster::MAX_NODES;
use hammer2_core::media::PfsKind;

use crate::alone::check_volume;
use crate::chronicle::What;
use crate::forged;
use crate::fork;
use crate::group::Trust;
use crate::halves;
use crate::medium::Medium;
use crate::minority;
use crate::mounting::{Seat, sound_seats};
use crate::nodes::{self, Drive};
use crate::plan::Plan;
use crate::rewound;
use crate::rivals;
use crate::spoiled;
use crate::working::work;
use crate::world::World;

/// About how many steps a round has.
const ROUND_STEPS: u64 = 60;
/// The most rounds, so that every run ends.
const MAX_ROUNDS: u64 = 40;

/// Runs rounds until clients have done enough steps: everything except the end.
pub(crate) fn run(world: &World) -> Result<(), String> {
    for _ in 0..MAX_ROUNDS {
        if world.tally.borrow().operations >= world.settings.steps {
            break;
        }
        round(world)?;
    }
    Ok(())
}

fn round(world: &World) -> Result<(), String> {
    let other = world.random.borrow_mut().percent(30);
    let current = if other { world.random.borrow_mut().index(world.groups().len()) } else { 0 };
    world.current.set(current);
    if current > 0 {
        world.verdict(if world.group().is_alone { "soft-mount" } else { "other-cluster" });
    }
    tamper(world)?;
    let is_alone = world.group().is_alone;
    if world.chance("halves", if world.group().is_unsettled() { 90 } else { 2 })
        && world.voters_are_sound()
        && !is_alone
    {
        return aside(world, "halves", halves::run);
    }
    let is_whole = !is_alone && !world.group().is_unsettled();
    if world.chance("forked", 2) && is_whole && fork::is_possible(world) {
        return aside(world, "forked", fork::run);
    }
    if world.chance("forged", 3) && is_whole && forged::is_possible(world) {
        return aside(world, "forged", forged::run);
    }
    if world.chance("rewound", 2) && is_whole && rewound::is_possible(world) {
        return aside(world, "rewound", rewound::run);
    }
    if world.chance("spoiled", 2) && is_whole && spoiled::is_possible(world) {
        return aside(world, "spoiled", spoiled::run);
    }
    if world.chance("rivals", 4) && is_whole && rivals::is_possible(world) {
        return aside(world, "rivals", rivals::run);
    }
    if world.chance("minority", 12) && is_whole && world.group().quorum() > 1 {
        return aside(world, "minority", minority::run);
    }
    let seats = choose_seats(world);
    let steps = ROUND_STEPS.min(world.settings.steps);
    let plan = Plan::draw(&mut world.random.borrow_mut(), seats.len(), steps, &world.settings);
    keep_old(world);
    begin(world, "work");
    let served = work(world, &seats, plan)?;
    if served.is_none() {
        // After a power cut, a disk must be whole before it is mounted, as a mount mends much and would hide damage.
        let number = world.random.borrow_mut().index(world.disks.len());
        check_volume(world, number, true)?;
    }
    if served == Some(false) {
        // Without the unsound disks, there is no reason to refuse.
        let seats = sound_seats(world, &seats);
        work(world, &seats, Plan::quiet(10))?;
    }
    Ok(())
}

/// A round for another purpose than the work of clients.
fn aside(world: &World, name: &'static str, run: fn(&World) -> Result<(), String>) -> Result<(), String> {
    begin(world, name);
    run(world)
}

fn begin(world: &World, name: &'static str) {
    world.tell(|| What::Round { name, cluster: world.group().name() });
}

/// Tampers with disks while they aren't mounted.
fn tamper(world: &World) -> Result<(), String> {
    let number = world.random.borrow_mut().index(world.disks.len());
    let (returns_old, is_written) = (world.chance("returned-old", 12), world.chance("foreign-write", 8));
    if !world.can_do_without(number) {
        return Ok(());
    }
    let group = world.group();
    let disk = &world.disks[number];
    if returns_old && let Some(old) = &*disk.old.borrow() {
        *disk.drive.disk.medium.borrow_mut() = old.image();
        world.distrust(number, Trust::Forgetful);
        world.fault_of("returned-old", number);
    } else if is_written && !group.is_unsettled() && group.role(number).is_some() && group.trust(number) == Trust::Sound
    {
        let drive = disk.drive.clone();
        *world.plan.borrow_mut() = Plan::quiet(0);
        let written = world.run(async { Ok(nodes::write_as_foreigner(world.host, &drive, group.label).await) })?;
        if let Some(Err(error)) = written {
            return Err(format!("a foreigner can't write to a disk: {error:?}"));
        }
        group.set_trust(number, Trust::Forgetful);
        world.fault_of("foreign-write", number);
    }
    Ok(())
}

/// Remembers the state of a disk, to bring it back later.
fn keep_old(world: &World) {
    let number = world.random.borrow_mut().index(world.disks.len());
    if world.random.borrow_mut().percent(30) && world.is_sound_in_all(number) {
        let image = world.disks[number].drive.disk.medium.borrow().image();
        *world.disks[number].old.borrow_mut() = Some(image);
    }
}

/// The disks to mount: at least a quorum of sound ones, in any order, and sometimes something else.
fn choose_seats(world: &World) -> Vec<Seat> {
    let group = world.group();
    if group.is_alone {
        return group.masters().into_iter().map(Seat::Member).collect();
    }
    let count = world.disks.len();
    let mut numbers: Vec<usize> = (0..count).collect();
    world.random.borrow_mut().shuffle(&mut numbers);
    let some = (count - group.quorum()).max(1);
    let is_complete = group.is_unsettled() || !world.chance("absent", 65);
    let absent = if is_complete { 0 } else { 1 + world.random.borrow_mut().index(some) };
    let counts = |number: usize| group.role(number) == Some(PfsKind::Master) && group.trust(number) == Trust::Sound;
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
    if numbers.iter().filter(|number| group.role(**number).is_some()).count() < group.member_count() {
        world.fault("absent");
    }
    if world.chance("swapped", 50) {
        world.fault("swapped");
    } else {
        numbers.sort_unstable();
    }
    let is_full = numbers.len() == count;
    let mut seats: Vec<Seat> = numbers.into_iter().map(Seat::Member).collect();
    let can_be_cloned = world.all_are_sound() && group.spare() > 0 && is_full && !group.is_unsettled();
    let other = if world.chance("cloned", 4) && can_be_cloned {
        world.fault("cloned");
        // Only a copy of a member matters.
        let number = world.random.borrow_mut().index(group.member_count());
        Some(world.disks[group.by_role()[number]].drive.disk.medium.borrow().image())
    } else if world.chance("blank", 5) {
        world.fault("blank");
        let size_bytes = world.disks[0].drive.disk.medium.borrow().size_bytes();
        Some(Medium::new(size_bytes))
    } else {
        None
    };
    if let Some(medium) = other
        && seats.len() < MAX_NODES
    {
        let at = world.random.borrow_mut().index(seats.len() + 1);
        seats.insert(at, Seat::Other(Drive::new(medium, count)));
    }
    seats
}
