//! Masters that all return to an old state of theirs within one mount: what was acknowledged since then is only on disks without
//! a vote, or on too few. Then nothing may be changed.

use crate::marks;
use crate::mounting::{Refused, Seat, mount_writable, must_be_refused};
use crate::plan::Plan;
use crate::served;
use crate::working::work;
use crate::world::World;

/// True when some disk can know better than a quorum of old masters.
pub(crate) fn is_possible(world: &World) -> bool {
    !world.is_tight() && world.all_are_sound() && world.group().member_count() > world.group().quorum()
}

/// Mounts masters in an old state together with disks that know better.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let (numbers, masters) = (world.group().by_role(), world.group().masters());
    let quorum = world.group().quorum();
    let originals: Vec<Seat> = numbers[..world.group().member_count()].iter().copied().map(Seat::Member).collect();
    world.fault("rewound");
    work(world, &originals, Plan::quiet(2))?;
    let copies = world.run(async {
        let Ok(fs) = mount_writable(world, &originals).await else { return Err("I33: all disks are refused".into()) };
        if !served::check(world, &fs).await? {
            return Err("I14: all disks are sound and not readable".to_owned());
        }
        marks::leave(world, &fs, "kept", true).await?;
        let image = |number: &usize| world.disks[*number].drive.copy();
        let copies: Vec<Seat> = masters.iter().map(image).map(Seat::Other).collect();
        // A commit says which earlier one was acknowledged, so the last commit alone would prove nothing.
        marks::leave(world, &fs, "lost", true).await?;
        marks::leave(world, &fs, "proof", true).await?;
        Ok(copies)
    })?;
    let Some(copies) = copies else { return Ok(()) };
    // Without slaves, or a tail of their own, the mount would only be rolled forward from the masters that know better.
    let beside_slaves =
        world.group().spare() == 0 || originals.len() > copies.len() && world.random.borrow_mut().percent(50);
    if !beside_slaves || world.random.borrow_mut().percent(50) {
        world.run(async {
            match mount_writable(world, &copies).await {
                Ok(fs) => marks::leave(world, &fs, "other", false).await,
                Err(Refused(name)) => Err(format!("I33: masters that are old are refused by themselves: {name}")),
            }
        })?;
    }
    let mixed: Vec<Seat> = if beside_slaves {
        copies.iter().chain(&originals[copies.len()..]).cloned().collect()
    } else {
        copies[..quorum].iter().chain(&originals[quorum..copies.len()]).cloned().collect()
    };
    must_be_refused(world, &mixed, "I1: what was acknowledged is known, and changes are made without it")
}
