//! Checks of a mount's content: it must be no older than the last acknowledged state, must have existed, and the members must be
//! possible.

use hammer2_core::cluster::MemberState;
use hammer2_core::cluster::vote::State;
use hammer2_core::fs::FileSystem;
use hammer2_core::media::PfsKind;

use crate::chronicle::What;
use crate::group::Roles;
use crate::reading::{difference, read_all};
use crate::world::World;

/// Checks that a quorum serves no state older than the last acknowledged one, and none that never existed. From here on the
/// served state counts as acknowledged.
pub(crate) async fn check(world: &World, fs: &FileSystem) -> Result<bool, String> {
    let found = match read_all(fs).await {
        Ok(found) => found?,
        Err(error) if world.must_work(fs) => return Err(format!("I14: reading everything: \"{error}\"")),
        Err(_) => return Ok(false),
    };
    learn(world, fs)?;
    let mut history = world.group().history.borrow_mut();
    if !history.may_be_served(&found) {
        history.tell_differences("what is served", &found);
        return Err(format!(
            "I1: neither what was acknowledged nor later: {}",
            difference(&found, history.last_acked())
        ));
    }
    history.found(&found);
    let now = history.now();
    drop(history);
    *world.group().model.borrow_mut() = found;
    world.note_acked(fs, now);
    world.tell(|| What::Served);
    Ok(true)
}

/// Learns the roles of the disks from a mount; an error if they are impossible.
fn learn(world: &World, fs: &FileSystem) -> Result<(), String> {
    let group = world.group();
    if group.is_alone {
        return Ok(());
    }
    let missing = fs.missing_members();
    let role = |disk: usize| {
        let fsid = group.fsid(disk);
        let is_listed = |state| !matches!(state, MemberState::Aside(aside) if is_no_part(aside));
        let mut mounted = fs.member_statuses().filter(|member| member.fsid == fsid && is_listed(member.state));
        let listed = missing.iter().find(|member| member.fsid == fsid);
        let kind = mounted.next().map(|member| member.role.kind()).or(listed.map(|member| member.role));
        kind.filter(|kind| matches!(kind, PfsKind::Master | PfsKind::Slave))
    };
    let found: Roles = (0..world.disks.len()).map(role).collect();
    let known = group.roles().to_vec();
    if !known.contains(&found) {
        return Err(format!("I21: the members are {found:?}, should be one of {known:?}"));
    }
    if known.len() > 1 {
        world.tell_members("found", &found, "found so by a mount");
        let verdict = if found == known[0] { "change-undone" } else { "change-finished" };
        world.verdict(verdict);
    }
    group.settle(found);
    Ok(())
}

/// True for the state of a node that is in no list of members.
fn is_no_part(state: State) -> bool {
    matches!(state, State::Outside | State::Apart)
}
