//! The end of a run: all disks that can be are brought in step, and each is read alone.

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::FileSystem;
use hammer2_core::media::PfsKind;

use super::group::Trust;
use super::mounting::{Seat, states};
use super::nodes;
use super::plan::Plan;
use super::reading::{difference, read_all};
use super::world::World;

impl World {
    pub(super) fn end(&self) -> Result<(), String> {
        (0..self.group_count()).try_for_each(|group| {
            self.current.set(group);
            self.end_of_group()
        })?;
        (0..self.disks.len()).try_for_each(|disk| self.check_volume(disk, false))
    }

    /// Checks a whole disk that is mounted now and then, unless something was done to it that nothing mends; its headers may be
    /// torn after a power cut.
    pub(super) fn check_volume(&self, number: usize, is_cut: bool) -> Result<(), String> {
        if !self.is_sound_in_all(number) || !self.is_member(number) {
            return Ok(());
        }
        let drive = &self.disks[number].drive;
        let problems = self.run(async { Ok(nodes::problems(self.host, drive, is_cut).await) })?.unwrap_or_default();
        let first = problems
            .first()
            .map(|first| format!("I29: disk {number}: {} problems, the first: {first}", problems.len()));
        first.map_or(Ok(()), Err)
    }

    fn end_of_group(&self) -> Result<(), String> {
        let group = self.group();
        let usable = |number: &usize| group.trust(*number) != Trust::Damaged;
        let is_seated = |number: &usize| !group.is_alone || group.part(*number).is_some();
        let mut numbers: Vec<usize> =
            (0..self.disks.len()).filter(|number| usable(number) && is_seated(number)).collect();
        let seats: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
        *self.plan.borrow_mut() = Plan::quiet(0);
        let mut in_step = Vec::new();
        self.run(async {
            let mounted = self.mount_writable(&seats).await;
            let fs = mounted.map_err(|refused| format!("I33: at the end, not mounted: {}", refused.0))?;
            if !self.check_served(&fs).await? {
                return Err("I14: at the end, not readable".to_owned());
            }
            let behind: Vec<_> = fs.nodes_behind().collect();
            for node in behind {
                self.may_lose_snapshots(node);
                match fs.resync(node).await {
                    Err(_) if self.is_tight() => self.tally.borrow_mut().verdict("no-space-to-resync"),
                    done => {
                        done.map_err(|error| {
                            format!("I17: at the end, node {} isn't brought in step: {error}", node.0)
                        })?;
                    }
                }
            }
            let is_member = |node: usize| self.seats.borrow()[node].is_some_and(|disk| group.part(disk).is_some());
            let is_out = |(node, state): &(usize, MemberState)| {
                is_member(*node) && *state != MemberState::InSync && !self.is_tight()
            };
            if let Some((node, state)) = states(&fs).enumerate().find(is_out) {
                return Err(format!("I17: at the end, node {node} is {state:?}"));
            }
            fs.sync().await.map_err(|error| format!("I14: at the end: {error}"))?;
            in_step.extend(self.disks_in_step(&fs));
            self.complete_all(&fs, &in_step).await?;
            fs.level().await.map_err(|error| format!("I14: at the end: {error}"))?;
            self.compare_all(&fs).await
        })?;
        let wanted = group.model.borrow().clone();
        numbers.retain(|number| in_step.contains(number));
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
        }
        self.check_snapshots()
    }

    /// Has a scrub compare all members in step, with what it looks at and readers don't: by which operation each element was
    /// changed. Who is brought in step from one that says otherwise misses something one day.
    async fn compare_all(&self, fs: &FileSystem) -> Result<(), String> {
        let scrubbed = fs.scrub().await.map_err(|error| format!("I16: at the end: {error}"))?;
        if scrubbed.ejected + scrubbed.rebuilt > 0 && !self.is_tight() {
            return Err(format!("I36: at the end, a scrub finds members that differ: {scrubbed:?}"));
        }
        Ok(())
    }

    /// Gives all nodes in step the snapshots they lack, if they have room for them.
    async fn complete_all(&self, fs: &FileSystem, in_step: &[usize]) -> Result<(), String> {
        let mut lacking = 0;
        for node in fs.member_statuses().filter(|member| member.state == MemberState::InSync) {
            let completed = fs.complete(node.node).await;
            let counts = completed.map_err(|error| format!("I17: at the end, node {}: {error}", node.node.0))?;
            lacking += counts.snapshots_lacking;
        }
        let group = self.group();
        let votes = |disk: &usize| group.part(*disk) == Some(PfsKind::Master);
        let voters: Vec<usize> = (0..self.disks.len()).filter(votes).collect();
        if lacking == 0 && group.snapshots.given(&voters, in_step) > 0 {
            self.tally.borrow_mut().verdict("snapshots-given");
        }
        Ok(())
    }
}
