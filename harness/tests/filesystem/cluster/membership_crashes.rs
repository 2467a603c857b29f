//! The power goes while the members are changed: whichever headers of a commit landed, two sets of disks that have none in common
//! never can both be changed afterwards, and all disks together always can.

use hammer2_core::cluster::{Change, Ingredient, NodeIndex, Protocol};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::Uuid;

use super::crash_states::{DISKS, Writes};
use super::members::{CLID, Members, fill};
use super::snapshots::snapshot_of_three;

/// Three masters, and a fourth disk that is a slave in step.
fn three_and_a_slave() -> Members {
    let members = Members::formatted(DISKS);
    members.create_as(&[0, 1, 2], &[]);
    members
        .change_on(&[0, 1, 2, 3], async |fs| {
            fill(fs, "all", 3).await?;
            fs.add_member(NodeIndex(3), &members.new_pfs()).await?;
            fs.resync(NodeIndex(3)).await
        })
        .unwrap()
        .unwrap();
    members
}

fn fsids(fs: &FileSystem) -> Vec<Uuid> {
    fs.member_statuses().map(|member| member.fsid).collect()
}

/// Crashes a change of members everywhere; the states after which two halves of the disks could both be changed.
fn halves_after(
    mounted: &[usize],
    protocol: Protocol,
    work: impl AsyncFnOnce(&FileSystem) -> Result<(), Error>,
) -> Vec<String> {
    let members = three_and_a_slave();
    members.protocol.set(protocol);
    halves_of(&members, CLID, mounted, &[0, 1, 2, 3], work)
}

/// Crashes a change of a cluster everywhere; the states after which two halves of the disks could both be changed. Afterwards all
/// disks of it always can.
fn halves_of(
    members: &Members,
    clid: Uuid,
    mounted: &[usize],
    all: &[usize],
    work: impl AsyncFnOnce(&FileSystem) -> Result<(), Error>,
) -> Vec<String> {
    let before = members.copied();
    let lines = before.content(all).len();
    let writes = Writes::of(members, || {
        members.change_on(mounted, async |fs| work(fs).await).unwrap().unwrap();
    });
    let states = writes.crashes(clid);
    assert!(states.len() >= 10, "{states:?}");
    let mut halves = Vec::new();
    for state in states {
        let left = writes.cut(&before, &state);
        let can_change = |nodes: usize| {
            let nodes: Vec<usize> = all.iter().copied().filter(|disk| nodes >> disk & 1 == 1).collect();
            left.copied().change_on(&nodes, async |_| ()).is_ok()
        };
        let every = (1 << all.len()) - 1;
        for one in 1..=every / 2 {
            if can_change(one) && can_change(every - one) {
                halves.push(format!("{state:?}: {one:04b} and {:04b}", every - one));
            }
        }
        // With everything there it goes on, and loses nothing.
        let filled = left.change_on(all, async |fs| fill(fs, "after", 1).await);
        assert_eq!(filled, Ok(Ok(())), "{state:?}");
        assert_eq!(left.content(all).len(), lines + 2, "{state:?}");
    }
    halves
}

async fn replace_by_slave(fs: &FileSystem) -> Result<(), Error> {
    let all = fsids(fs);
    let missing = fs.missing_members().first().map(|member| member.fsid);
    // The slave is the last of those that are there.
    let new = all[all.len() - 1];
    fs.change_members(Change::Replace { old: missing.unwrap_or(all[2]), new }).await
}

#[test]
fn a_promotion_is_safe_wherever_it_is_cut() {
    let halves = halves_after(&[0, 1, 2, 3], Protocol::default(), async |fs| {
        fs.change_members(Change::Promote(fsids(fs)[3])).await
    });
    assert_eq!(halves, Vec::<String>::new());
}

#[test]
fn a_removal_is_safe_wherever_it_is_cut() {
    let halves = halves_after(&[0, 1, 2, 3], Protocol::default(), async |fs| {
        fs.change_members(Change::Remove(fsids(fs)[1])).await
    });
    assert_eq!(halves, Vec::<String>::new());
}

#[test]
fn a_replacement_is_safe_wherever_it_is_cut() {
    assert_eq!(halves_after(&[0, 1, 2, 3], Protocol::default(), replace_by_slave), Vec::<String>::new());
    assert_eq!(halves_after(&[0, 1, 3], Protocol::default(), replace_by_slave), Vec::<String>::new());
}

#[test]
fn without_the_quorum_of_those_before_it_is_not() {
    let halves = halves_after(&[0, 1, 3], Protocol::without(Ingredient::Joint), replace_by_slave);
    assert_ne!(halves, Vec::<String>::new());
}

#[test]
fn a_snapshot_becomes_a_cluster_wherever_that_is_cut() {
    let (members, clid) = snapshot_of_three();
    let halves = halves_of(&members, clid, &[0, 1, 2], &[0, 1, 2], async |_| Ok(()));
    assert_eq!(halves, Vec::<String>::new());
}
