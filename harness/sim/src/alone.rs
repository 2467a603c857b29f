//! Checks of disks by themselves, and of their snapshots.

use hammer2_model::Model;

use crate::mounting::{Seat, mount_label};
use crate::nodes;
use crate::reading::{difference, read_all};
use crate::snapshots::Taken;
use crate::world::World;

/// Checks a whole disk that is mounted now and then, unless it has damage that nothing mends; its headers may be torn after a
/// power cut.
pub(crate) fn check_volume(world: &World, number: usize, is_cut: bool) -> Result<(), String> {
    if !world.is_sound_in_all(number) || !world.is_member(number) {
        return Ok(());
    }
    let drive = &world.disks[number].drive;
    let problems = world.run(async { Ok(nodes::problems(world.host, drive, is_cut).await) })?.unwrap_or_default();
    let first =
        problems.first().map(|first| format!("I29: disk {number}: {} problems, the first: {first}", problems.len()));
    first.map_or(Ok(()), Err)
}

/// Reads every snapshot on each disk that must have it: it must hold one of its possible states, and the same on all disks.
pub(crate) fn check_snapshots(world: &World) -> Result<(), String> {
    for Taken { label, states, holders } in world.group().snapshots.take_all() {
        let mut first: Option<Model> = None;
        for number in holders {
            let alone = [Seat::Member(number)];
            let found = world.run(async {
                let mounted = mount_label(world, &alone, label.as_bytes()).await;
                let fs = mounted.map_err(|refused| format!("snapshot {label} on disk {number}: {}", refused.0))?;
                let read = read_all(&fs).await;
                read.map_err(|error| format!("I29: snapshot {label} on disk {number}: {error}"))?
            })?;
            let Some(found) = found else { continue };
            if !states.contains(&found) {
                let nearest = states.last().map(|last| difference(&found, last)).unwrap_or_default();
                return Err(format!("snapshot {label} on disk {number} holds what never was: {nearest}"));
            }
            if first.get_or_insert_with(|| found.clone()) != &found {
                return Err(format!("I3: snapshot {label} on disk {number} is another than on those before"));
            }
            world.verdict("snapshot-read");
        }
    }
    Ok(())
}
