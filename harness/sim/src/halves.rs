//! Two sets of disks that have none in common must never both be changed, however a change of the members was cut.

use crate::mounting::{Seat, mount_writable};
use crate::plan::Plan;
use crate::world::World;

/// How many ways to part the disks are tried at a time.
const SPLITS: usize = 8;

/// Tries it on copies, as mounting changes disks.
pub(crate) fn run(world: &World) -> Result<(), String> {
    world.fault("halves");
    *world.plan.borrow_mut() = Plan::quiet(0);
    for _ in 0..SPLITS {
        let mut halves = [Vec::new(), Vec::new()];
        for number in (0..world.disks.len()).filter(|number| world.is_known(*number)) {
            let half = world.random.borrow_mut().index(2);
            halves[half].push(Seat::Other(world.disks[number].drive.copy()));
        }
        log::info!("halves: {halves:?}");
        let mut changed = 0;
        for seats in halves.iter().filter(|seats| !seats.is_empty()) {
            let is_mounted = world.run(async { Ok(mount_writable(world, seats).await.is_ok()) })?;
            changed += usize::from(is_mounted == Some(true));
        }
        if changed > 1 {
            return Err("I21: two sets of disks without any in common can be changed".to_owned());
        }
    }
    Ok(())
}
