//! Changes of the members, made by clients while others work, and what mounts find of them afterwards.

use hammer2_core::cluster::{Change, MemberState, NodeIndex};
use hammer2_core::fs::{Error, FileSystem, TimeSource};
use hammer2_core::media::PfsKind;

use super::clients::Session;
use super::group::{Parts, Trust, is_safe};
use super::plan::Crash;
use super::world::World;

/// A change that an administrator may want.
#[derive(Clone, Copy)]
enum Wish {
    /// A new disk becomes a slave, and then perhaps more.
    Add {
        disk: usize,
        then: Then,
    },
    Promote(usize),
    Remove(usize),
    Replace {
        old: usize,
        new: usize,
    },
}

/// What a new slave becomes.
#[derive(Clone, Copy)]
enum Then {
    Slave,
    Master,
    InsteadOf(usize),
}

impl Session<'_> {
    /// Changes the members in some way that makes sense.
    pub(super) async fn change_members(&self) {
        let Some(wish) = self.some_wish() else { return };
        match wish {
            Wish::Add { disk, then } => {
                if !self.add(disk).await {
                    return;
                }
                match then {
                    Then::Slave => {}
                    Then::Master => self.promote(disk).await,
                    Then::InsteadOf(old) => self.replace(old, disk).await,
                }
            }
            Wish::Promote(disk) => self.promote(disk).await,
            Wish::Remove(disk) => {
                let change = Change::Remove(self.world.group().fsid(disk));
                let after = self.parts_with(&[(disk, None)]);
                self.make_change("removed", after, self.fs.change_members(change), &[]).await;
            }
            Wish::Replace { old, new } => self.replace(old, new).await,
        }
    }

    fn some_wish(&self) -> Option<Wish> {
        let group = self.world.group();
        let mut random = self.random.borrow_mut();
        let mut some = |disks: &[usize]| (!disks.is_empty()).then(|| random.pick(disks));
        let masters = group.masters();
        let (master, slave) = (some(&masters), some(&group.members(PfsKind::Slave)));
        let mounted: Vec<usize> = self.world.seats.borrow().iter().flatten().copied().collect();
        let new = some(&mounted.iter().copied().filter(|disk| self.world.may_join(*disk)).collect::<Vec<_>>());
        // Most of all those that aren't there.
        let absent = some(&masters.iter().copied().filter(|disk| !mounted.contains(disk)).collect::<Vec<_>>());
        let choices = [
            new.map(|disk| Wish::Add { disk, then: Then::Slave }),
            new.map(|disk| Wish::Add { disk, then: Then::Master }),
            new.zip(master).map(|(disk, old)| Wish::Add { disk, then: Then::InsteadOf(old) }),
            new.zip(absent).map(|(disk, old)| Wish::Add { disk, then: Then::InsteadOf(old) }),
            slave.map(Wish::Promote),
            slave.zip(master).map(|(new, old)| Wish::Replace { old, new }),
            slave.zip(absent).map(|(new, old)| Wish::Replace { old, new }),
            slave.map(Wish::Remove),
            master.filter(|_| masters.len() > 2).map(Wish::Remove),
        ];
        let choices: Vec<Wish> = choices.into_iter().flatten().collect();
        (!choices.is_empty()).then(|| random.pick(&choices))
    }

    fn parts_with(&self, changed: &[(usize, Option<PfsKind>)]) -> Parts {
        let mut parts = self.world.group().parts()[0].clone();
        changed.iter().for_each(|(disk, part)| parts[*disk] = *part);
        parts
    }

    async fn add(&self, disk: usize) -> bool {
        let Some(node) = self.world.node_of(disk) else { return false };
        let group = self.world.group();
        let new = group.new_pfs(disk, TimeSource::now(self.host));
        group.set_trust(disk, Trust::Forgetful);
        // How it was before it was a member, it isn't given back.
        self.world.disks[disk].old.take();
        let after = self.parts_with(&[(disk, Some(PfsKind::Slave))]);
        self.make_change("added", after, self.fs.add_member(node, &new), &[disk]).await
            && self.bring_in_step(node).await
    }

    async fn promote(&self, disk: usize) {
        let Some(node) = self.world.node_of(disk) else { return };
        if self.bring_in_step(node).await {
            let change = Change::Promote(self.world.group().fsid(disk));
            let after = self.parts_with(&[(disk, Some(PfsKind::Master))]);
            self.make_change("promoted", after, self.fs.change_members(change), &[disk]).await;
        }
    }

    async fn replace(&self, old: usize, new: usize) {
        let Some(node) = self.world.node_of(new) else { return };
        if self.bring_in_step(node).await {
            let group = self.world.group();
            let change = Change::Replace { old: group.fsid(old), new: group.fsid(new) };
            let after = self.parts_with(&[(old, None), (new, group.part(old))]);
            self.make_change("replaced", after, self.fs.change_members(change), &[new]).await;
        }
    }

    /// Brings one node in step if it isn't; false if it can't be.
    async fn bring_in_step(&self, node: NodeIndex) -> bool {
        if self.fs.nodes_behind().any(|behind| behind == node) {
            self.resync(node).await;
        }
        !self.is_over.get() && super::mounting::states(self.fs).nth(usize::from(node.0)) == Some(MemberState::InSync)
    }

    /// Makes one change; `about` are disks whose faults are an excuse. False if it wasn't made.
    async fn make_change<T>(
        &self,
        name: &str,
        after: Parts,
        change: impl Future<Output = Result<T, Error>>,
        about: &[usize],
    ) -> bool {
        let group = self.world.group();
        let is_unsound = |disk| self.world.is_unsound(disk);
        // Another client is at it, or what is lost by now would be too much.
        if self.is_over.get() || group.is_unsettled() || !is_safe(&after, is_unsound) {
            return false;
        }
        if let Crash::InChange(requests) = self.world.plan.borrow().crash
            && self.random.borrow_mut().percent(if name == "replaced" { 100 } else { 30 })
        {
            self.host.power_until(Some(requests));
        }
        let before = group.parts()[0].clone();
        group.may_become(after.clone());
        self.world.tally.borrow_mut().fault("member-change");
        log::info!("member {name}: {after:?}");
        let changed = self.committed(change).await;
        match changed {
            Ok(_) => {
                group.settle(after);
                self.world.tally.borrow_mut().verdict(&format!("member-{name}"));
                true
            }
            Err(Error::Membership(why)) => {
                log::info!("not {name}: {why}");
                group.settle(before);
                self.world.tally.borrow_mut().verdict("membership-refused");
                false
            }
            Err(error) => {
                if about.iter().all(|disk| self.world.is_sound(*disk)) {
                    self.judge(name, &error, true);
                }
                // Whatever came of it, the next mount will tell.
                self.is_over.set(true);
                false
            }
        }
    }
}

impl World {
    /// True for a disk that can become a member: nothing else has the label there, and it does what it says.
    fn may_join(&self, disk: usize) -> bool {
        let group = self.group();
        group.part(disk).is_none() && group.trust(disk) != Trust::Damaged && !self.is_soft(disk)
    }

    /// Learns from a mount what the disks are; wrong if they can't be that.
    pub(super) fn learn(&self, fs: &FileSystem) -> Result<(), String> {
        let group = self.group();
        if group.is_alone {
            return Ok(());
        }
        let missing = fs.missing_members();
        let part = |disk: usize| {
            let fsid = group.fsid(disk);
            let is_listed = |state| !matches!(state, MemberState::Aside(aside) if is_no_part(aside));
            let mut mounted = fs.member_statuses().filter(|member| member.fsid == fsid && is_listed(member.state));
            let listed = missing.iter().find(|member| member.fsid == fsid);
            let kind = mounted.next().map(|member| member.role.kind()).or(listed.map(|member| member.role));
            kind.filter(|kind| matches!(kind, PfsKind::Master | PfsKind::Slave))
        };
        let found: Parts = (0..self.disks.len()).map(part).collect();
        let known = group.parts().to_vec();
        if !known.contains(&found) {
            return Err(format!("I21: the members are {found:?}, should be one of {known:?}"));
        }
        if known.len() > 1 {
            let verdict = if found == known[0] { "change-undone" } else { "change-finished" };
            self.tally.borrow_mut().verdict(verdict);
        }
        group.settle(found);
        Ok(())
    }
}

/// True for what no list of members has.
fn is_no_part(state: hammer2_core::cluster::vote::State) -> bool {
    use hammer2_core::cluster::vote::State;
    matches!(state, State::Outside | State::Apart)
}
