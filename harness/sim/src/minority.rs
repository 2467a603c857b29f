//! Too few disks are there: nothing may be changed, but the content of one of them can be read.

use hammer2_core::cluster::MAX_NODES;
use hammer2_core::media::PfsKind;

use crate::mounting::{Seat, mount_writable};
use crate::plan::Plan;
use crate::world::World;

/// Mounts too few disks, sometimes with a copy of one of them.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let mut numbers: Vec<usize> = (0..world.disks.len()).filter(|number| world.is_known(*number)).collect();
    world.random.borrow_mut().shuffle(&mut numbers);
    let mut masters = 1 + world.random.borrow_mut().index(world.group().quorum() - 1);
    numbers.retain(|number| {
        let is_master = world.group().role(*number) == Some(PfsKind::Master);
        let is_left_out = is_master && masters == 0;
        masters -= usize::from(is_master && !is_left_out);
        !is_left_out
    });
    let mut seats: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
    world.fault("minority");
    if world.chance("copied-minority", 40) && seats.len() < MAX_NODES {
        world.fault("copied-minority");
        let number = numbers[world.random.borrow_mut().index(numbers.len())];
        seats.push(Seat::Other(world.disks[number].drive.copy()));
    }
    log::info!("a minority of {}: {seats:?}", String::from_utf8_lossy(world.group().label));
    *world.plan.borrow_mut() = Plan::quiet(0);
    world.run(async {
        match mount_writable(world, &seats).await {
            Ok(_) => Err(format!("I15: {} of {} disks are mounted to be changed", seats.len(), world.disks.len())),
            Err(_) => Ok(()),
        }
    })?;
    Ok(())
}
