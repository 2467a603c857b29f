//! Disks that are put in while the cluster is mounted: members that were away, new ones, copies of others.

use hammer2_core::cluster::vote::{Mount, Refusal, State};
use hammer2_core::cluster::{Change, Health, MemberState, NodeIndex, OpError, OpenError, PfsSelector, ReturnError};
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};

use super::members::{HEAP, MEMORY_BYTES, Members, Ticks, fill};
use super::of_three;

/// Opens a disk as one more node.
async fn put_in(members: &Members, fs: &FileSystem, disk: usize) -> NodeIndex {
    let node = fs.open_node(members.node(disk)).await.unwrap();
    let state = fs.member_statuses().nth(usize::from(node.0)).unwrap().state;
    assert!(matches!(state, MemberState::Aside(_)), "{state:?}: nobody has looked at it");
    node
}

fn fail(members: &Members, disk: usize) {
    let all = Operations::WRITE | Operations::READ | Operations::FLUSH;
    members.plans[disk].add(Fault::always(all, Effect::Fail(DeviceError::Io(5)))).unwrap();
}

#[test]
fn a_member_that_was_away_follows_and_votes() {
    let members = of_three();
    members
        .change_on(&[0, 1], async |fs| {
            fill(fs, "without", 10).await.unwrap();
            let node = put_in(&members, fs, 2).await;
            assert!(matches!(fs.look_again(node).await, Ok(MemberState::Behind(_))));
            assert!(fs.missing_members().is_empty());
            fs.resync(node).await.unwrap();
            assert_eq!(fs.cluster_status().unwrap().health, Health::Healthy);
            // Its vote counts, so one of the others can go.
            fail(&members, 0);
            fill(fs, "with", 10).await.unwrap();
            fs.sync().await.unwrap();
        })
        .unwrap();
    members.plans[0].clear();
    assert_eq!(members.expect_alike(&[1, 2]).len(), 23);
    members.resync(&[0, 1, 2]);
    members.expect_alike(&[0, 1, 2]);
}

#[test]
fn a_member_in_an_epoch_of_which_no_quorum_knows_follows() {
    let mut members = of_three();
    // A mount of the last two opens its epoch, but loses its power before that of the last is on its disk.
    members.add_copy(2);
    members.change_on(&[1, 2], async |_| ()).unwrap();
    members
        .change_on(&[0, 3], async |fs| {
            fill(fs, "since", 10).await.unwrap();
            let node = put_in(&members, fs, 1).await;
            let looked = fs.look_again(node).await;
            assert!(matches!(looked, Ok(MemberState::Behind(_))), "{looked:?}");
            fs.resync(node).await.unwrap();
            assert_eq!(fs.cluster_status().unwrap().health, Health::Healthy);
        })
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 3]).len(), 12);
}

#[test]
fn a_member_that_was_forced_to_go_on_elsewhere_is_not_taken_in() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    members
        .change_on(&[0, 1], async |fs| {
            // This mount has opened its epoch, and done nothing in it. An operator goes on with the third, which opens another.
            let forced = members.choosing(Mount::Forced(NodeIndex(0)));
            let other = forced.mount(&[2]).await.unwrap().make_writable(&Ticks).await.unwrap();
            fill(&other, "forced", 3).await.unwrap();
            drop(other.unmount().await.unwrap());
            let node = put_in(&members, fs, 2).await;
            let looked = fs.look_again(node).await;
            let overtaken = OpError::Refused(Refusal::Overtaken { node });
            assert_eq!(looked, Err(ReturnError::Cluster(overtaken)));
            fill(fs, "here", 3).await.unwrap();
        })
        .unwrap();
    let error = members.change_on(&[0, 1, 2], async |_| ()).unwrap_err();
    assert!(error.to_string().contains("`hammer2 cluster force`"), "{error}");
}

#[test]
fn all_disks_are_replaced_while_one_mount_lasts() {
    let mut members = of_three();
    for seed in 0..3 {
        members.add(80 + seed);
    }
    members
        .change_on(&[0, 1, 2], async |fs| {
            fill(fs, "before", 30).await.unwrap();
            for disk in 0..3 {
                let old = fs.member_statuses().nth(disk).unwrap().fsid;
                // The second is dead by the time it is replaced.
                if disk == 1 {
                    fail(&members, disk);
                }
                let node = put_in(&members, fs, 3 + disk).await;
                assert_eq!(fs.look_again(node).await, Ok(MemberState::Aside(State::Apart)));
                let new = fs.add_member(node, &members.new_pfs()).await.unwrap();
                fs.resync(node).await.unwrap();
                fs.change_members(Change::Replace { old, new }).await.unwrap();
                fill(fs, &format!("after-{disk}"), 5).await.unwrap();
            }
            assert_eq!(fs.cluster_status().unwrap().health, Health::Healthy);
        })
        .unwrap();
    members.plans[1].clear();
    assert_eq!(members.expect_alike(&[3, 4, 5]).len(), 50);
    assert!(members.change_on(&[0, 1, 2], async |_| ()).is_err());
}

#[test]
fn a_copy_of_a_member_is_no_part_of_anything() {
    for mounted in [&[0, 1, 2][..], &[0, 1]] {
        for is_original_broken in [false, true] {
            let mut members = of_three();
            members.add_copy(0);
            members
                .change_on(mounted, async |fs| {
                    if is_original_broken {
                        fail(&members, 0);
                        let _ = fs.sync().await;
                    }
                    let node = put_in(&members, fs, 3).await;
                    let _ = fs.look_again(node).await;
                    let state = fs.member_statuses().nth(usize::from(node.0)).unwrap().state;
                    assert!(matches!(state, MemberState::Aside(_)), "{state:?}");
                    members.plans[0].clear();
                    for member in fs.member_statuses().collect::<Vec<_>>() {
                        let _ = fs.look_again(member.node).await;
                        let _ = fs.resync(member.node).await;
                    }
                    fill(fs, "all", 3).await.unwrap();
                })
                .unwrap();
            if mounted.len() < 3 {
                members.resync(&[0, 1, 2]);
            }
            assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 5);
        }
    }
}

#[test]
fn what_takes_in_no_nodes() {
    let members = Members::formatted(2);
    members.run(async {
        let options = MountOptions { memory_bytes: MEMORY_BYTES, spare_nodes: 1 };
        let fs = FileSystem::mount(HEAP, members.node(0), PfsSelector::Default, options).await.unwrap();
        let fs = fs.make_writable(&Ticks).await.unwrap();
        assert_eq!(fs.open_node(members.node(1)).await, Err(OpenError::NoQuorumMount));
        fill(&fs, "alone", 3).await.unwrap();
    });
    let full = Members::formatted(8);
    full.create();
    let all: Vec<usize> = (0..8).collect();
    full.change_on(&all, async |fs| {
        assert_eq!(fs.open_node(full.node(0)).await, Err(OpenError::TooManyNodes));
        fill(fs, "all", 3).await.unwrap();
    })
    .unwrap();
    full.expect_alike(&all);
}
