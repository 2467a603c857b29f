//! Changes of the members: nodes are added, removed, replaced and promoted.

use hammer2_core::cluster::vote::Mount;
use hammer2_core::cluster::{Change, MemberState, MembershipError, NodeIndex};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{Inum, PfsKind, Uuid};

use super::crash_states::{Cut, Writes};
use super::members::{CLID, Members, fill};
use super::of_three;

/// The id of the member at a place among the mounted nodes.
pub(crate) fn fsid(fs: &FileSystem, node: u8) -> Uuid {
    let member = fs.member_statuses().find(|member| member.node == NodeIndex(node));
    member.expect("it is mounted").fsid
}

/// Takes a node in, brings it in step, and makes it vote.
async fn add_master(members: &Members, fs: &FileSystem, node: u8) -> Result<(), Error> {
    let fsid = fs.add_member(NodeIndex(node), &members.new_pfs()).await?;
    fs.resync(NodeIndex(node)).await?;
    fs.change_members(Change::Promote(fsid)).await
}

/// Puts a new node in the place of another.
pub(crate) async fn replace(members: &Members, fs: &FileSystem, old: Uuid, node: u8) -> Result<(), Error> {
    let new = fs.add_member(NodeIndex(node), &members.new_pfs()).await?;
    fs.resync(NodeIndex(node)).await?;
    fs.change_members(Change::Replace { old, new }).await
}

#[test]
fn a_filesystem_becomes_a_cluster_and_grows() {
    let members = Members::formatted(3);
    members.make_plain(0);
    members.change_on(&[0], async |fs| fill(fs, "alone", 20).await).unwrap().unwrap();
    members.change_on(&[0], async |fs| fs.found_cluster().await).unwrap().unwrap();
    members.change_on(&[0, 1], async |fs| add_master(&members, fs, 1).await).unwrap().unwrap();
    let error = members.change_on(&[0], async |_| ()).unwrap_err();
    assert!(error.to_string().starts_with("no quorum: 1 of 2"), "{error}");
    members.change_on(&[0, 1, 2], async |fs| add_master(&members, fs, 2).await).unwrap().unwrap();
    members.change_on(&[2, 1], async |fs| fill(fs, "two", 5).await).unwrap().unwrap();
    members.resync(&[0, 1, 2]);
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 28);
}

#[test]
fn a_member_goes_and_leaves_nothing() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 5).await).unwrap().unwrap();
    members
        .change_on(&[0, 1, 2], async |fs| {
            fs.change_members(Change::Remove(fsid(fs, 1))).await?;
            fill(fs, "after", 5).await
        })
        .unwrap()
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 2]).len(), 13);
    assert_eq!(members.problems(1), Vec::<String>::new());
    assert!(members.run(members.mount(&[1])).is_err(), "it has nothing of the cluster");
    // Two of two are a quorum; the removed disk doesn't make one with either.
    assert!(members.change_on(&[0, 1], async |_| ()).is_err());
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "more", 1).await).unwrap().unwrap();
}

#[test]
fn a_missing_member_is_removed() {
    let members = of_three();
    members
        .change_on(&[0, 2], async |fs| {
            let missing = fs.missing_members()[0].fsid;
            fs.change_members(Change::Remove(missing)).await
        })
        .unwrap()
        .unwrap();
    members.change_on(&[0, 2], async |fs| fill(fs, "two", 3).await).unwrap().unwrap();
    // It comes back as a former member, which counts for no quorum.
    let states = members.change_on(&[0, 1, 2], async |fs| {
        fs.member_statuses().map(|member| format!("{:?}", member.state)).collect::<Vec<_>>()
    });
    assert_eq!(states.unwrap(), ["InSync", "Aside(Outside)", "InSync"]);
    assert!(members.change_on(&[1], async |_| ()).is_err());
    assert!(members.change_on(&[1, 2], async |_| ()).is_err());
}

#[test]
fn all_disks_are_replaced_one_after_the_other() {
    let mut members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 40).await).unwrap().unwrap();
    let mut seats = [0, 1, 2];
    for place in 0..3 {
        members.add(70 + place as u8);
        let new = members.disks.len() - 1;
        // The first goes while it works. The second is dead. The third is there again.
        let mounted: Vec<usize> =
            seats.iter().copied().filter(|seat| place != 1 || *seat != seats[1]).chain([new]).collect();
        members
            .change_on(&mounted, async |fs| {
                let old = fs.missing_members().first().map(|member| member.fsid);
                let old = old.unwrap_or_else(|| fsid(fs, place as u8));
                fill(fs, &format!("before-{place}"), 2).await?;
                replace(&members, fs, old, mounted.len() as u8 - 1).await?;
                fill(fs, &format!("after-{place}"), 2).await
            })
            .unwrap()
            .unwrap();
        seats[place] = new;
        assert_eq!(members.expect_alike(&seats).len(), 42 + (place + 1) * 6);
    }
    assert_eq!(seats, [3, 4, 5]);
    // The former members decide nothing.
    assert!(members.change_on(&[0, 1, 2], async |_| ()).is_err());
    assert!(members.change_on(&[2, 3], async |_| ()).is_err());
    members.change_on(&[3, 2, 5], async |fs| fill(fs, "at last", 1).await).unwrap().unwrap();
}

#[test]
fn a_former_master_that_is_a_slave_makes_no_quorum_of_its_time() {
    let mut members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 5).await).unwrap().unwrap();
    members.add(70);
    // The third is away while the fourth takes the place of the second, which then comes back as a slave.
    members
        .change_on(&[0, 1, 3], async |fs| {
            let old = fsid(fs, 1);
            replace(&members, fs, old, 2).await
        })
        .unwrap()
        .unwrap();
    members
        .change_on(&[0, 1, 3], async |fs| {
            fs.add_member(NodeIndex(1), &members.new_pfs()).await?;
            fs.resync(NodeIndex(1)).await
        })
        .unwrap()
        .unwrap();
    // By the third's record, the two would be a quorum.
    assert!(members.change_on(&[1, 2], async |_| ()).is_err());
    members.change_on(&[0, 3], async |fs| fill(fs, "more", 1).await).unwrap().unwrap();
}

#[test]
fn what_is_refused() {
    let members = Members::formatted(4);
    members.create_as(&[0, 1, 2], &[PfsKind::Master, PfsKind::Slave, PfsKind::Slave]);
    members.change_on(&[0, 1], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    members
        .change_on(&[0, 1, 2, 3], async |fs| {
            let refused = async |change| match fs.change_members(change).await {
                Err(Error::Membership(error)) => error,
                other => panic!("{other:?}"),
            };
            let (master, slave, behind) = (fsid(fs, 0), fsid(fs, 1), fsid(fs, 2));
            assert_eq!(refused(Change::Remove(master)).await, MembershipError::LastMaster);
            assert_eq!(refused(Change::Promote(master)).await, MembershipError::NoSlave(master));
            assert_eq!(refused(Change::Promote(behind)).await, MembershipError::NotInSync(behind));
            let stranger = Uuid([1; 16]);
            assert_eq!(refused(Change::Remove(stranger)).await, MembershipError::NoMember(stranger));
            let again = fs.add_member(NodeIndex(1), &members.new_pfs()).await;
            assert_eq!(again, Err(Error::Membership(MembershipError::IsMember(NodeIndex(1)))));
            // It doesn't stand in the way of possible changes.
            fs.change_members(Change::Replace { old: master, new: slave }).await.unwrap();
        })
        .unwrap();
    assert!(members.run(members.mount(&[0])).is_err());
    assert_eq!(members.expect_alike(&[1]).len(), 5);
    members.resync(&[1, 2]);
    members.expect_alike(&[1, 2]);
}

#[test]
fn a_former_member_forgets_that_it_was_one() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 5).await).unwrap().unwrap();
    let before = members.copied();
    let writes =
        Writes::of(&members, || members.change_on(&[0, 1, 2], async |fs| fill(fs, "lost", 5).await).unwrap().unwrap());
    // The last commit reaches only the second disk, which then is away while it is removed.
    let cuts = writes.crashes(CLID);
    let whole = *cuts.iter().max_by_key(|cut| cut.iter().sum::<usize>()).unwrap();
    let is_last = |cut: &&Cut| cut[1] == whole[1] && cut[0] < whole[0] && cut[2] < whole[2];
    let cut = cuts.iter().filter(is_last).max_by_key(|cut| cut[0] + cut[2]).unwrap();
    let members = writes.cut(&before, cut);
    members
        .change_on(&[0, 2], async |fs| {
            fs.change_members(Change::Remove(fs.missing_members()[0].fsid)).await?;
            fill(fs, "kept", 5).await
        })
        .unwrap()
        .unwrap();
    members.change_on(&[0, 1, 2], async |fs| fs.add_member(NodeIndex(1), &members.new_pfs()).await).unwrap().unwrap();
    // Its extra content isn't taken for something that the others have lost.
    members.resync(&[0, 1, 2]);
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 13);
}

#[test]
fn who_has_failed_is_not_written_to_when_it_is_removed() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 300).await).unwrap().unwrap();
    members
        .change_on(&[0, 1, 2], async |fs| {
            // A member that lags isn't asked.
            fs.level().await.unwrap();
            members.plans[0].add(Fault::always(Operations::READ, Effect::Fail(DeviceError::Gone))).unwrap();
            let all = fs.lookup(Inum::PFS_ROOT, b"all").await.unwrap();
            fs.lookup(all, b"file-7").await.unwrap();
            let state = fs.member_statuses().next().unwrap().state;
            assert!(matches!(state, MemberState::Ejected(_)), "{state:?}");
            // Its disk would take writes again, or another disk has its place.
            members.plans[0].clear();
            fs.change_members(Change::Remove(fsid(fs, 0))).await.unwrap();
        })
        .unwrap();
    let alone = members.choosing(Mount::AsOf(None));
    assert!(alone.run(alone.mount(&[0])).is_ok(), "what it held is still there");
    // A removed member that is in step forgets that it was one.
    members.change_on(&[1, 2], async |fs| fs.change_members(Change::Remove(fsid(fs, 1))).await).unwrap().unwrap();
    assert!(alone.run(alone.mount(&[2])).is_err());
}
