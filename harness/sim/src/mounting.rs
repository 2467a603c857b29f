//! Mounting, and judging the result.

use hammer2_core::cluster::{Cluster, MemberState, OpError, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError};
use hammer2_core::node::Protocol;

use crate::chronicle::What;
use crate::group::Trust;
use crate::nodes::{self, Drive, HEAP, mount_options};
use crate::sim_workers::SimWorkers;
use crate::states::{name_of_state, name_of_variant, states};
use crate::world::World;

/// A node that is given to a mount.
#[derive(Clone, Debug)]
pub(crate) enum Seat {
    /// A disk of the cluster.
    Member(usize),
    /// Something that looks like one.
    Other(Drive),
}

/// A refused mount, with the name of the reason.
pub(crate) struct Refused(pub(crate) String);

fn drive(world: &World, seat: &Seat) -> Drive {
    match seat {
        Seat::Member(number) => world.disks[*number].drive.clone(),
        Seat::Other(drive) => drive.clone(),
    }
}

/// Opens seats as nodes and notes which disk is which node.
async fn open(world: &World, seats: &[Seat]) -> Result<Cluster, MountError> {
    let drives: Vec<Drive> = seats.iter().map(|seat| drive(world, seat)).collect();
    let mut left_out = Vec::new();
    let cluster = nodes::open(world.host, &drives, &mut |position, _| left_out.push(position)).await?;
    let opened = seats.iter().enumerate().filter(|(position, _)| !left_out.contains(position));
    let disk = |(_, seat): (usize, &Seat)| match seat {
        Seat::Member(number) => Some(*number),
        Seat::Other(_) => None,
    };
    let nodes: Vec<Option<usize>> = opened.map(disk).collect();
    world.tell(|| What::Opened { nodes: nodes.clone(), cluster: world.group().name() });
    *world.seats.borrow_mut() = nodes;
    left_out.iter().for_each(|_| world.verdict("not-a-volume"));
    Ok(cluster)
}

/// Mounts seats for reading.
pub(crate) async fn mount(world: &World, seats: &[Seat]) -> Result<FileSystem, Refused> {
    mount_label(world, seats, world.group().label).await
}

/// The same with another PFS than the clients'.
pub(crate) async fn mount_label(world: &World, seats: &[Seat], label: &[u8]) -> Result<FileSystem, Refused> {
    let mounted = async {
        let cluster = open(world, seats).await?;
        cluster.set_protocol(world.settings.without.map_or(Protocol::default(), Protocol::without));
        let mut fs =
            FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(label), mount_options(seats.len())).await?;
        if world.has_workers() {
            fs.use_workers(SimWorkers::fresh(world.host));
        }
        Ok(fs)
    };
    mounted.await.map_err(|error| refused(world, &error))
}

/// Mounts seats for writing.
pub(crate) async fn mount_writable(world: &World, seats: &[Seat]) -> Result<FileSystem, Refused> {
    let fs = mount(world, seats).await?;
    let mut in_step = 0;
    for state in states(&fs) {
        in_step += usize::from(state == MemberState::InSync);
        world.verdict(&format!("node-{}", name_of_state(state)));
    }
    let fs = fs.make_writable(world.host).await.map_err(|error| refused(world, &error))?;
    world.verdict(if in_step < world.group().quorum() { "rolled-forward" } else { "served" });
    Ok(fs)
}

/// Checks that seats can't be mounted for writing; `wrong` says what it means if they can.
pub(crate) fn must_be_refused(world: &World, seats: &[Seat], wrong: &str) -> Result<(), String> {
    world.run(async {
        match mount_writable(world, seats).await {
            Ok(_) => Err(wrong.to_owned()),
            Err(Refused(_)) => Ok(()),
        }
    })?;
    Ok(())
}

fn refused(world: &World, error: &MountError) -> Refused {
    let name = match error {
        MountError::Op(OpError::Refused(refusal)) => name_of_variant(refusal),
        MountError::Op(OpError::Alarm(alarm)) => name_of_variant(alarm),
        MountError::Op(error) => name_of_variant(error),
        other => name_of_variant(other),
    };
    world.verdict(&name);
    world.host.note(7);
    log::info!("refused: {error}");
    world.tell(|| What::Refused { why: name.clone(), text: error.to_string() });
    Refused(name)
}

/// The sound disks of the cluster among seats.
pub(crate) fn sound_seats(world: &World, seats: &[Seat]) -> Vec<Seat> {
    let is_sound = |seat: &&Seat| match seat {
        Seat::Member(number) => world.group().trust(*number) == Trust::Sound,
        Seat::Other(_) => false,
    };
    seats.iter().filter(is_sound).cloned().collect()
}
