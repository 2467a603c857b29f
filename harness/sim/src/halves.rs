//! Two sets of disks that have none in common: never may both be changed, however a change of the members was cut.

use super::group::Trust;
use super::mounting::Seat;
use super::nodes::Drive;
use super::plan::Plan;
use super::world::World;

/// Ways to part the disks that are tried at a time.
const SPLITS: usize = 8;

impl World {
    /// Tries it on copies: what is mounted is changed by that.
    pub(super) fn halves(&self) -> Result<(), String> {
        self.tally.borrow_mut().fault("halves");
        *self.plan.borrow_mut() = Plan::quiet(0);
        for _ in 0..SPLITS {
            let mut halves = [Vec::new(), Vec::new()];
            for number in (0..self.disks.len()).filter(|number| self.is_known(*number)) {
                let image = self.disks[number].drive.disk.medium.borrow().image();
                let half = self.random.borrow_mut().index(2);
                halves[half].push(Seat::Other(Drive::new(image, number)));
            }
            log::info!("halves: {halves:?}");
            let mut changed = 0;
            for seats in halves.iter().filter(|seats| !seats.is_empty()) {
                let is_mounted = self.run(async { Ok(self.mount_writable(seats).await.is_ok()) })?;
                changed += usize::from(is_mounted == Some(true));
            }
            if changed > 1 {
                return Err("I21: two sets of disks without any in common can be changed".to_owned());
            }
        }
        Ok(())
    }

    /// True for a disk of which it is known what it is to the cluster. A soft member is mounted by itself. Who was a member, and
    /// a member or itself as it once was, may be a quorum of that time: no code can tell.
    pub(super) fn is_known(&self, disk: usize) -> bool {
        let group = self.group();
        let is_sound = |disk| group.trust(disk) == Trust::Sound;
        let members = || (0..self.disks.len()).filter(|disk| group.part(*disk).is_some());
        !self.is_soft(disk) && (group.part(disk).is_some() || is_sound(disk) && members().all(is_sound))
    }
}
