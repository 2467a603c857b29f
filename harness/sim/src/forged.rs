//! One disk holds something else than the others, with a record that says it is the same. A reader that comes across it makes the
//! disk leave, a scrub always finds it, and the disk is made equal again.

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::FileSystem;

use crate::mounting::{Seat, mount_writable};
use crate::nodes::{self, FOREIGN};
use crate::plan::Plan;
use crate::served;
use crate::states::{name_of_state, states};
use crate::watching::watching;
use crate::working::work;
use crate::world::World;

/// True when the others are enough to decide against one.
pub(crate) fn is_possible(world: &World) -> bool {
    world.all_are_sound() && world.group().spare() > 0 && !world.is_tight()
}

/// Forges the content of one disk, and then lets readers and a scrub come across it.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let group = world.group();
    let members: Vec<usize> = (0..world.disks.len()).filter(|disk| group.role(*disk).is_some()).collect();
    let seats: Vec<Seat> = members.iter().copied().map(Seat::Member).collect();
    // All disks must be in step, as a copy from a forged disk would be forged, too.
    work(world, &seats, Plan::quiet(2))?;
    // The forged disk isn't the one that answers first: nobody doubts its answers.
    let place = 1 + world.random.borrow_mut().index(members.len() - 1);
    let drive = &world.disks[members[place]].drive;
    let forged = world.run(async { Ok(nodes::forge(world.host, drive, group.label).await) })?;
    if forged != Some(Ok(())) {
        return Err(format!("a disk can't be forged: {forged:?}"));
    }
    world.snapshots_lost_by(members[place]);
    world.fault_of("forged", members[place]);
    world.run(async {
        let fs = mount_writable(world, &seats).await.map_err(|refused| format!("I33: not mounted: {}", refused.0))?;
        watching(world, &fs, make_equal(world, &fs, &members, place)).await
    })?;
    Ok(())
}

/// Lets a reader or a scrub come across the forged member, and makes it equal again.
async fn make_equal(world: &World, fs: &FileSystem, members: &[usize], place: usize) -> Result<(), String> {
    if !served::check(world, fs).await? {
        return Err("I14: a quorum is healthy and not readable".to_owned());
    }
    // A disk that lags is asked last, and a slow one isn't waited for: then another may answer first.
    fs.level().await.map_err(|error| format!("I14: {error}"))?;
    let is_first_swift = world.disks[members[0]].drive.disk.slowness.get() == 1;
    let is_asked = world.random.borrow_mut().percent(50) && is_first_swift;
    if is_asked && fs.attributes(FOREIGN).await.is_ok() {
        return Err("I13: an inode is there that a quorum doesn't have".to_owned());
    }
    let scrubbed = fs.scrub().await.map_err(|error| format!("I16: not scrubbed: {error}"))?;
    if scrubbed.rebuilt > 0 {
        world.verdict("rebuilt");
    }
    for (node, state) in (0..).map(NodeIndex).zip(states(fs).collect::<Vec<_>>()) {
        if let MemberState::Ejected(_) = state {
            world.verdict(&name_of_state(state));
            fs.look_again(node).await.map_err(|error| format!("I17: not looked at: {error}"))?;
            fs.resync(node).await.map_err(|error| format!("I17: not brought in step: {error}"))?;
        }
    }
    match states(fs).nth(place) {
        Some(MemberState::InSync) => Ok(()),
        state => Err(format!("I17: a forged disk is {state:?} after all")),
    }
}
