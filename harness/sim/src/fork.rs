//! The disks of a cluster are imaged, and both sets used: two histories that must never be mixed.

use hammer2_core::cluster::Change;
use hammer2_core::fs::FileSystem;

use crate::marks;
use crate::mounting::{Seat, mount_writable, must_be_refused};
use crate::plan::Plan;
use crate::served;
use crate::working::work;
use crate::world::World;

/// True when each set can have a master.
pub(crate) fn is_possible(world: &World) -> bool {
    !world.is_tight() && world.all_are_sound() && world.group().masters().len() > 1
}

/// Lets each set go on by itself, and then mounts a mix of them.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let numbers = world.group().by_role();
    let originals: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
    world.fault("forked");
    // All disks must be in step, as a disk that neither set writes to belongs to both.
    work(world, &originals, Plan::quiet(2))?;
    let copies: Vec<Seat> = numbers.iter().map(|number| Seat::Other(world.disks[*number].drive.copy())).collect();
    // Each set may have gone on with other members.
    let masters = world.group().masters();
    let (first, last) = (masters[0], masters[masters.len() - 1]);
    let change_members = masters.len() > 2 && world.chance("member-change", 50);
    let served = world.run(async {
        let Ok(fs) = mount_writable(world, &originals).await else { return Err("I33: all disks are refused".into()) };
        if !served::check(world, &fs).await? {
            return Ok(());
        }
        if change_members {
            let mut roles = world.group().roles()[0].clone();
            roles[first] = None;
            world.tell_members("removed", &roles, "begun");
            world.group().may_become(roles.clone());
            remove(world, &fs, first).await?;
            world.tell_members("removed", &roles, "made");
            world.group().settle(roles);
        }
        marks::leave(world, &fs, "mine", true).await
    })?;
    if served.is_none() {
        return Ok(());
    }
    world.run(async {
        let Ok(fs) = mount_writable(world, &copies).await else { return Err("I33: all copies are refused".into()) };
        if change_members {
            remove(world, &fs, last).await?;
        }
        marks::leave(world, &fs, "theirs", false).await
    })?;
    // The mix has at least one master of each set, and a quorum altogether.
    let from_copies = 1 + world.random.borrow_mut().index(masters.len() - 1);
    let mixed: Vec<Seat> = copies[..from_copies].iter().chain(&originals[from_copies..]).cloned().collect();
    must_be_refused(world, &mixed, "two histories are mounted as one")
}

async fn remove(world: &World, fs: &FileSystem, disk: usize) -> Result<(), String> {
    let removed = fs.change_members(Change::Remove(world.group().fsid(disk))).await;
    removed.map_err(|error| format!("I14: remove: \"{error}\" though all is well"))
}
