//! Putting disks in while the cluster is in use: members that were away, disks that may become members, copies of others.

use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{MAX_NODES, MemberState, NodeIndex};

use crate::group::Trust;
use crate::nodes::Drive;
use crate::session::Session;
use crate::states::{name_of_state, states};

/// Puts a disk in, and brings it in step if it is a member.
pub(crate) async fn insert(session: &Session<'_>) {
    let world = session.world;
    let count = world.disks.len();
    if world.group().is_alone || world.seats.borrow().len() == MAX_NODES {
        return;
    }
    if world.chance("inserted-copy", 15) {
        return insert_copy(session).await;
    }
    let absent: Vec<usize> = (0..count).filter(|disk| world.node_of(*disk).is_none()).collect();
    if absent.is_empty() || !world.settings.has_fault("inserted") {
        return;
    }
    let disk = session.random.borrow_mut().pick(&absent);
    let Some(node) = open(session, &world.disks[disk].drive, Some(disk)).await else { return };
    world.fault_of("inserted", disk);
    let looked = session.fs.look_again(node).await;
    log::info!("disk {disk} is node {}: {looked:?}", node.0);
    let is_member = world.group().role(disk).is_some() && !world.group().is_unsettled();
    match looked {
        Ok(MemberState::Behind(_)) => session.resync(node).await,
        Ok(MemberState::Aside(_)) if !is_member => {}
        Ok(state) if is_member && world.is_sound(disk) => {
            session.violation(format!("I21: disk {disk}, a member, is {} when it is put in", name_of_state(state)));
        }
        Err(error) if is_member && world.is_sound(disk) && world.must_work(session.fs) => {
            session.violation(format!("I33: disk {disk}, a member, can't be put in: {error}"));
        }
        _ => {}
    }
}

/// Puts in a copy of a member that is there already: it must not take part in anything.
async fn insert_copy(session: &Session<'_>) {
    let world = session.world;
    let mounted: Vec<usize> = world.seats.borrow().iter().flatten().copied().collect();
    let is_member = |disk: &usize| world.group().role(*disk).is_some() && world.group().trust(*disk) == Trust::Sound;
    let members: Vec<usize> = mounted.into_iter().filter(is_member).collect();
    if members.is_empty() || world.group().is_unsettled() {
        return;
    }
    let disk = session.random.borrow_mut().pick(&members);
    let image = world.disks[disk].drive.disk.medium.borrow().image();
    let Some(node) = open(session, &Drive::new(image, world.disks.len()), None).await else { return };
    world.fault_of("inserted-copy", disk);
    let looked = session.fs.look_again(node).await;
    log::info!("a copy of disk {disk} is node {}: {looked:?}", node.0);
    let state = states(session.fs).nth(usize::from(node.0)).expect("it was opened");
    if !matches!(state, MemberState::Aside(State::Twin | State::Apart | State::Outside | State::Damaged(_))) {
        session.violation(format!("I20: a copy of disk {disk} is {}", name_of_state(state)));
    }
}

/// Opens a disk as a node, beside the work of others.
async fn open(session: &Session<'_>, drive: &Drive, disk: Option<usize>) -> Option<NodeIndex> {
    match session.fs.open_node(drive.open(session.host)).await {
        Ok(node) => {
            let mut seats = session.world.seats.borrow_mut();
            seats.resize(usize::from(node.0), None);
            seats.push(disk);
            Some(node)
        }
        Err(error) => {
            log::info!("{drive:?} can't be opened: {error}");
            if disk.is_some_and(|disk| session.world.is_sound(disk)) {
                session.violation(format!("{drive:?} can't be opened though all is well with it: {error}"));
            }
            None
        }
    }
}
