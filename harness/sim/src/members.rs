//! Changes of the members, made by clients while others work.

use hammer2_core::cluster::{Change, MemberState, NodeIndex};
use hammer2_core::fs::{Error, TimeSource};
use hammer2_core::media::PfsKind;

use crate::group::{Roles, Trust, is_safe};
use crate::plan::Crash;
use crate::session::Session;
use crate::states::states;
use crate::world::World;

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

/// Changes the members in a random way that makes sense.
pub(crate) async fn change(session: &Session<'_>) {
    let Some(wish) = some_wish(session) else { return };
    match wish {
        Wish::Add { disk, then } => {
            if !add(session, disk).await {
                return;
            }
            match then {
                Then::Slave => {}
                Then::Master => promote(session, disk).await,
                Then::InsteadOf(old) => replace(session, old, disk).await,
            }
        }
        Wish::Promote(disk) => promote(session, disk).await,
        Wish::Remove(disk) => {
            let change = Change::Remove(session.world.group().fsid(disk));
            let after = roles_with(session, &[(disk, None)]);
            make_change(session, "removed", after, session.fs.change_members(change), &[]).await;
        }
        Wish::Replace { old, new } => replace(session, old, new).await,
    }
}

fn some_wish(session: &Session<'_>) -> Option<Wish> {
    let group = session.world.group();
    let mut random = session.random.borrow_mut();
    let mut some = |disks: &[usize]| (!disks.is_empty()).then(|| random.pick(disks));
    let masters = group.masters();
    let (master, slave) = (some(&masters), some(&group.members(PfsKind::Slave)));
    let mounted: Vec<usize> = session.world.seats.borrow().iter().flatten().copied().collect();
    let new = some(&mounted.iter().copied().filter(|disk| may_join(session.world, *disk)).collect::<Vec<_>>());
    // Preferably a master that isn't there.
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

fn roles_with(session: &Session<'_>, changed: &[(usize, Option<PfsKind>)]) -> Roles {
    let mut roles = session.world.group().roles()[0].clone();
    changed.iter().for_each(|(disk, role)| roles[*disk] = *role);
    roles
}

async fn add(session: &Session<'_>, disk: usize) -> bool {
    let Some(node) = session.world.node_of(disk) else { return false };
    let group = session.world.group();
    let new = group.new_pfs(disk, TimeSource::now(session.host));
    group.set_trust(disk, Trust::Forgetful);
    // A state from before it was a member is never given back to it.
    session.world.disks[disk].old.take();
    let after = roles_with(session, &[(disk, Some(PfsKind::Slave))]);
    make_change(session, "added", after, session.fs.add_member(node, &new), &[disk]).await
        && bring_in_step(session, node).await
}

async fn promote(session: &Session<'_>, disk: usize) {
    let Some(node) = session.world.node_of(disk) else { return };
    if bring_in_step(session, node).await {
        let change = Change::Promote(session.world.group().fsid(disk));
        let after = roles_with(session, &[(disk, Some(PfsKind::Master))]);
        make_change(session, "promoted", after, session.fs.change_members(change), &[disk]).await;
    }
}

async fn replace(session: &Session<'_>, old: usize, new: usize) {
    let Some(node) = session.world.node_of(new) else { return };
    if bring_in_step(session, node).await {
        let group = session.world.group();
        let change = Change::Replace { old: group.fsid(old), new: group.fsid(new) };
        let after = roles_with(session, &[(old, None), (new, group.role(old))]);
        make_change(session, "replaced", after, session.fs.change_members(change), &[new]).await;
    }
}

/// Brings one node in step if it isn't; false if it can't be.
async fn bring_in_step(session: &Session<'_>, node: NodeIndex) -> bool {
    if session.fs.nodes_behind().any(|behind| behind == node) {
        session.resync(node).await;
    }
    !session.is_over.get() && states(session.fs).nth(usize::from(node.0)) == Some(MemberState::InSync)
}

/// Makes one change; faults of the disks in `about` excuse a failure. False if it wasn't made.
async fn make_change<T>(
    session: &Session<'_>,
    name: &str,
    after: Roles,
    change: impl Future<Output = Result<T, Error>>,
    about: &[usize],
) -> bool {
    let group = session.world.group();
    let is_unsound = |disk| session.world.is_unsound(disk);
    // Another client is changing the members, or too many disks are unsound by now.
    if session.is_over.get() || group.is_unsettled() || !is_safe(&after, is_unsound) {
        return false;
    }
    if let Crash::InChange(requests) = session.world.plan.borrow().crash
        && session.random.borrow_mut().percent(if name == "replaced" { 100 } else { 30 })
    {
        session.host.power_until(Some(requests));
    }
    let before = group.roles()[0].clone();
    group.may_become(after.clone());
    session.world.fault("member-change");
    log::info!("member {name}: {after:?}");
    session.world.tell_members(name, &after, "begun");
    let changed = session.committed(change).await;
    match changed {
        Ok(_) => {
            session.world.tell_members(name, &after, "made");
            group.settle(after);
            session.world.verdict(&format!("member-{name}"));
            true
        }
        Err(Error::Membership(why)) => {
            log::info!("not {name}: {why}");
            session.world.tell_members(name, &before, "refused");
            group.settle(before);
            session.world.verdict("membership-refused");
            false
        }
        Err(error) => {
            if about.iter().all(|disk| session.world.is_sound(*disk)) {
                session.judge(name, &error, true);
            }
            // The next mount will show whether it was made.
            session.is_over.set(true);
            false
        }
    }
}

/// True for a disk that can become a member: no other PFS on it has the label, and the disk doesn't lie.
fn may_join(world: &World, disk: usize) -> bool {
    let group = world.group();
    group.role(disk).is_none() && group.trust(disk) != Trust::Damaged && !world.is_soft(disk)
}
