//! The beginning of a run: how many disks there are, their sizes, and the clusters on them.

use hammer2_core::cluster::{MAX_NODES, NewPfs, NodeIndex, PfsOutcome};
use hammer2_core::fs::TimeSource;
use hammer2_core::media::PfsKind;
use hammer2_core::random::{Random, mix};

use crate::executor;
use crate::group::{Group, Roles};
use crate::host::Host;
use crate::medium::Medium;
use crate::nodes::{self, Drive, SMALL_BYTES};
use crate::settings::Settings;
use crate::world::{Disk, World};

/// Possible numbers of masters and slaves.
const GROUPS: [(usize, usize); 16] = [
    (3, 0),
    (3, 0),
    (3, 0),
    (3, 0),
    (3, 0),
    (1, 0),
    (2, 0),
    (4, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (8, 0),
    (2, 1),
    (3, 1),
    (3, 2),
    (1, 1),
];

/// New clusters.
pub(crate) fn found(seed: u64, settings: &Settings) -> Result<World, String> {
    let mut random = Random::new(mix(seed ^ 0x5eed));
    let groups = draw_groups(&mut random, settings);
    let count = groups[0].roles()[0].len();
    let host = Host::fresh(seed);
    let sizes = draw_sizes(&mut random, count);
    let size = |number: usize| sizes[number];
    let media: Vec<Medium> = (0..count).map(|number| nodes::formatted(host, size(number), number)).collect();
    // Making the templates isn't part of the run, as they exist already the next time.
    let host = Host::fresh(seed);
    let disk = |(number, medium)| Disk::new(Drive::new(medium, number));
    let disks = media.into_iter().enumerate().map(disk).collect();
    let world = World::new(host, settings, random, disks, groups);
    world.groups().iter().filter(|group| !group.is_alone).try_for_each(|group| create(&world, group))?;
    Ok(world)
}

fn create(world: &World, group: &Group) -> Result<(), String> {
    let soft = world.groups().iter().filter(|other| other.is_alone && other.label == group.label);
    let mut kinds: Vec<(usize, PfsKind)> = soft.map(|soft| (soft.masters()[0], PfsKind::SoftMaster)).collect();
    let roles = group.roles()[0].clone();
    kinds.extend(roles.iter().enumerate().filter_map(|(disk, role)| Some((disk, (*role)?))));
    kinds.sort_unstable_by_key(|(disk, _)| *disk);
    let drives: Vec<Drive> = kinds.iter().map(|(disk, _)| world.disks[*disk].drive.clone()).collect();
    let new = NewPfs { fsid: group.uuid(3, 0), ..group.new_pfs(0, TimeSource::now(world.host)) };
    (0..).map(NodeIndex).zip(&kinds).for_each(|(node, (disk, _))| group.made_as(&new, *disk, node));
    let kinds: Vec<PfsKind> = kinds.iter().map(|(_, kind)| *kind).collect();
    let made = executor::run(world.host, async {
        let cluster = nodes::open(world.host, &drives, &mut |_, _| ()).await.map_err(|error| error.to_string())?;
        let made = cluster.create_as(&new, &kinds, TimeSource::random(world.host)).await;
        made.map_err(|error| error.to_string())
    });
    match made {
        Ok(Ok(PfsOutcome::Done)) => {
            world.settle();
            Ok(())
        }
        other => Err(format!("the cluster can't be created: {other:?}")),
    }
}

/// The sizes of disks: mostly there is room, but sometimes one or all of them have too little.
fn draw_sizes(random: &mut Random, count: usize) -> Vec<u64> {
    let usual = random.pick(&[96 << 20, 96 << 20, 96 << 20, 5 << 30]);
    let mut sizes = vec![usual; count];
    match random.below(100) {
        0..4 => sizes.fill(SMALL_BYTES),
        4..8 => sizes[random.index(count)] = SMALL_BYTES,
        _ => {}
    }
    sizes
}

/// The clusters of a run.
fn draw_groups(random: &mut Random, settings: &Settings) -> Vec<Group> {
    let (masters, slaves) = settings.nodes.map_or_else(|| random.pick(&GROUPS), |masters| (masters, 0));
    let most = MAX_NODES - (masters + slaves);
    let others = random.pick(&[0, 0, 1, 1, 2]).min(most);
    let count = masters + slaves + others;
    let kind = |disk: usize| match disk {
        _ if disk < masters => Some(PfsKind::Master),
        _ if disk < masters + slaves => Some(PfsKind::Slave),
        _ => None,
    };
    let mut groups = vec![Group::new(0, b"WORK", (0..count).map(kind).collect())];
    let only = |disk: usize| -> Roles { (0..count).map(|other| (other == disk).then_some(PfsKind::Master)).collect() };
    if others > 0 && random.percent(30) {
        groups.push(Group::alone(1, b"WORK", only(count - 1)));
    }
    if random.percent(30) {
        let masters = 1 + random.index(count.min(4));
        let first = random.index(count - masters + 1);
        let is_member = |disk: usize| (first..first + masters).contains(&disk).then_some(PfsKind::Master);
        groups.push(Group::new(2, b"MORE", (0..count).map(is_member).collect()));
    }
    groups
}
