//! The end of a run: all disks are brought in step if possible, and each is read alone.

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::FileSystem;
use hammer2_core::media::PfsKind;

use crate::alone::{check_snapshots, check_volume};
use crate::chronicle::What;
use crate::group::Trust;
use crate::mounting::{Seat, mount, mount_writable};
use crate::plan::Plan;
use crate::reading::{difference, read_all};
use crate::served;
use crate::states::states;
use crate::watching::watching;
use crate::world::World;

/// Ends the run for each cluster, and then checks each disk.
pub(crate) fn end(world: &World) -> Result<(), String> {
    (0..world.groups().len()).try_for_each(|group| {
        world.current.set(group);
        end_of_group(world)
    })?;
    (0..world.disks.len()).try_for_each(|disk| check_volume(world, disk, false))
}

fn end_of_group(world: &World) -> Result<(), String> {
    let group = world.group();
    let usable = |number: &usize| group.trust(*number) != Trust::Damaged;
    let is_seated = |number: &usize| !group.is_alone || group.role(*number).is_some();
    let mut numbers: Vec<usize> = (0..world.disks.len()).filter(|number| usable(number) && is_seated(number)).collect();
    let seats: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
    *world.plan.borrow_mut() = Plan::quiet(0);
    let mut in_step = Vec::new();
    world.tell(|| What::Round { name: "end", cluster: group.name() });
    world.run(async {
        let mounted = mount_writable(world, &seats).await;
        let fs = mounted.map_err(|refused| format!("I33: at the end, not mounted: {}", refused.0))?;
        watching(world, &fs, bring_all_in_step(world, &fs, &mut in_step)).await
    })?;
    let wanted = group.model.borrow().clone();
    numbers.retain(|number| in_step.contains(number));
    for number in numbers {
        let alone = [Seat::Member(number)];
        let found = world.run(async {
            let fs = mount(world, &alone).await.map_err(|refused| format!("disk {number} alone: {}", refused.0))?;
            read_all(&fs).await.map_err(|error| format!("I29: disk {number} alone: {error}"))?
        })?;
        if let Some(found) = found
            && found != wanted
        {
            return Err(format!("I3: disk {number} alone: {}", difference(&found, &wanted)));
        }
    }
    check_snapshots(world)
}

/// Brings all members in step, and compares them; adds those in step to `in_step`.
async fn bring_all_in_step(world: &World, fs: &FileSystem, in_step: &mut Vec<usize>) -> Result<(), String> {
    let group = world.group();
    if !served::check(world, fs).await? {
        return Err("I14: at the end, not readable".to_owned());
    }
    let behind: Vec<_> = fs.nodes_behind().collect();
    for node in behind {
        world.may_lose_snapshots(node);
        match fs.resync(node).await {
            Err(_) if world.is_tight() => world.verdict("no-space-to-resync"),
            done => {
                done.map_err(|error| format!("I17: at the end, node {} isn't brought in step: {error}", node.0))?;
            }
        }
    }
    let is_member = |node: usize| world.seats.borrow()[node].is_some_and(|disk| group.role(disk).is_some());
    let is_out =
        |(node, state): &(usize, MemberState)| is_member(*node) && *state != MemberState::InSync && !world.is_tight();
    if let Some((node, state)) = states(fs).enumerate().find(is_out) {
        return Err(format!("I17: at the end, node {node} is {state:?}"));
    }
    fs.sync().await.map_err(|error| format!("I14: at the end: {error}"))?;
    in_step.extend(world.disks_in_step(fs));
    complete_all(world, fs, in_step).await?;
    fs.level().await.map_err(|error| format!("I14: at the end: {error}"))?;
    compare_all(world, fs).await
}

/// Compares all members in step by a scrub, which, unlike readers, also looks at which operation changed each element. A member
/// that is brought in step from one with a wrong operation could miss a change.
async fn compare_all(world: &World, fs: &FileSystem) -> Result<(), String> {
    let scrubbed = fs.scrub().await.map_err(|error| format!("I16: at the end: {error}"))?;
    if scrubbed.ejected + scrubbed.rebuilt > 0 && !world.is_tight() {
        return Err(format!("I36: at the end, a scrub finds members that differ: {scrubbed:?}"));
    }
    Ok(())
}

/// Gives all nodes in step the snapshots they lack, if they have room for them.
async fn complete_all(world: &World, fs: &FileSystem, in_step: &[usize]) -> Result<(), String> {
    let mut lacking = 0;
    for node in fs.member_statuses().filter(|member| member.state == MemberState::InSync) {
        let completed = fs.complete(node.node).await;
        let counts = completed.map_err(|error| format!("I17: at the end, node {}: {error}", node.node.0))?;
        lacking += counts.snapshots_lacking;
    }
    let group = world.group();
    let votes = |disk: &usize| group.role(*disk) == Some(PfsKind::Master);
    let voters: Vec<usize> = (0..world.disks.len()).filter(votes).collect();
    if lacking == 0 && group.snapshots.given(&voters, in_step) > 0 {
        world.verdict("snapshots-given");
    }
    Ok(())
}
