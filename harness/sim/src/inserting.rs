//! Disks that are put in while the cluster is in use: members that were away, disks that may become members, copies of others.

use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{MAX_NODES, MemberState, NodeIndex};

use super::clients::Session;
use super::group::Trust;
use super::mounting::{name_of_state, states};
use super::nodes::Drive;

impl Session<'_> {
    /// Puts a disk in, and brings it in step if it is a member.
    pub(super) async fn insert(&self) {
        let world = self.world;
        let count = world.disks.len();
        if world.group().is_alone || world.seats.borrow().len() == MAX_NODES {
            return;
        }
        if world.chance("inserted-copy", 15) {
            return self.insert_copy().await;
        }
        let absent: Vec<usize> = (0..count).filter(|disk| world.node_of(*disk).is_none()).collect();
        if absent.is_empty() || !world.settings.has_fault("inserted") {
            return;
        }
        let disk = self.random.borrow_mut().pick(&absent);
        let Some(node) = self.open(&world.disks[disk].drive, Some(disk)).await else { return };
        world.tally.borrow_mut().fault("inserted");
        let looked = self.fs.look_again(node).await;
        log::info!("disk {disk} is node {}: {looked:?}", node.0);
        let is_member = world.group().part(disk).is_some() && !world.group().is_unsettled();
        match looked {
            Ok(MemberState::Behind(_)) => self.resync(node).await,
            Ok(MemberState::Aside(_)) if !is_member => {}
            Ok(state) if is_member && world.is_sound(disk) => {
                self.violation(format!("I21: disk {disk}, a member, is {} when it is put in", name_of_state(state)));
            }
            Err(error) if is_member && world.is_sound(disk) && world.must_work(self.fs) => {
                self.violation(format!("I33: disk {disk}, a member, can't be put in: {error}"));
            }
            _ => {}
        }
    }

    /// Puts in what says that it is a member which is there already: it must be no part of anything.
    async fn insert_copy(&self) {
        let world = self.world;
        let mounted: Vec<usize> = world.seats.borrow().iter().flatten().copied().collect();
        let is_member =
            |disk: &usize| world.group().part(*disk).is_some() && world.group().trust(*disk) == Trust::Sound;
        let members: Vec<usize> = mounted.into_iter().filter(is_member).collect();
        if members.is_empty() || world.group().is_unsettled() {
            return;
        }
        let disk = self.random.borrow_mut().pick(&members);
        let image = world.disks[disk].drive.disk.medium.borrow().image();
        let Some(node) = self.open(&Drive::new(image, world.disks.len()), None).await else { return };
        world.tally.borrow_mut().fault("inserted-copy");
        let looked = self.fs.look_again(node).await;
        log::info!("a copy of disk {disk} is node {}: {looked:?}", node.0);
        let state = states(self.fs).nth(usize::from(node.0)).expect("it was opened");
        if !matches!(state, MemberState::Aside(State::Twin | State::Apart | State::Outside | State::Damaged(_))) {
            self.violation(format!("I20: a copy of disk {disk} is {}", name_of_state(state)));
        }
    }

    /// Opens a disk as a node, beside what others do.
    async fn open(&self, drive: &Drive, disk: Option<usize>) -> Option<NodeIndex> {
        match self.fs.open_node(drive.open(self.host)).await {
            Ok(node) => {
                let mut seats = self.world.seats.borrow_mut();
                seats.resize(usize::from(node.0), None);
                seats.push(disk);
                Some(node)
            }
            Err(error) => {
                log::info!("{drive:?} can't be opened: {error}");
                if disk.is_some_and(|disk| self.world.is_sound(disk)) {
                    self.violation(format!("{drive:?} can't be opened though all is well with it: {error}"));
                }
                None
            }
        }
    }
}
