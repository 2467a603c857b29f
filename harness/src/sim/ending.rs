//! The end of a run: all disks that can be are brought in step, and each is read alone.

use hammer2_core::cluster::MemberState;

use super::mounting::{Seat, states};
use super::nodes;
use super::plan::Plan;
use super::reading::{difference, read_all};
use super::world::{Trust, World};

impl World {
    pub(super) fn end(&self) -> Result<(), String> {
        let usable = |number: &usize| self.disks[*number].trust.get() != Trust::Damaged;
        let numbers: Vec<usize> = (0..self.disks.len()).filter(usable).collect();
        let seats: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
        *self.plan.borrow_mut() = Plan::quiet(0);
        self.run(async {
            let mounted = self.mount_writable(&seats).await;
            let fs = mounted.map_err(|refused| format!("I33: at the end, not mounted: {}", refused.0))?;
            if !self.check_served(&fs).await? {
                return Err("I14: at the end, not readable".to_owned());
            }
            let behind: Vec<_> = fs.nodes_behind().collect();
            for node in behind {
                let done = fs.resync(node).await;
                done.map_err(|error| format!("I17: at the end, node {} isn't brought in step: {error}", node.0))?;
            }
            if let Some((node, state)) = states(&fs).enumerate().find(|(_, s)| *s != MemberState::InSync) {
                return Err(format!("I17: at the end, node {node} is {state:?}"));
            }
            fs.sync().await.map_err(|error| format!("I14: at the end: {error}"))?;
            Ok(())
        })?;
        let wanted = self.model.borrow().clone();
        for number in numbers {
            let alone = [Seat::Member(number)];
            let found = self.run(async {
                let fs = self.mount(&alone).await.map_err(|refused| format!("disk {number} alone: {}", refused.0))?;
                read_all(&fs).await.map_err(|error| format!("I29: disk {number} alone: {error}"))?
            })?;
            if let Some(found) = found
                && found != wanted
            {
                return Err(format!("I3: disk {number} alone: {}", difference(&found, &wanted)));
            }
            let drive = &self.disks[number].drive;
            let problems = self.run(async { Ok(nodes::problems(self.host, drive).await) })?.unwrap_or_default();
            if let Some(problem) = problems.first() {
                return Err(format!("I29: disk {number}: {} problems, the first: {problem}", problems.len()));
            }
        }
        self.check_snapshots()
    }
}
