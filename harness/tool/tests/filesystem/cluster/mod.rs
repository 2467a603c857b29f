//! Clusters of volumes in memory: nodes that fail, stay away and come back, and the content of each alone afterwards.

mod advice;
mod advised;
mod crash_states;
mod freemaps;
mod headers;
mod lag;
mod lag_crashes;
pub(crate) mod members;
mod membership;
mod membership_crashes;
mod memory;
mod mount_crashes;
mod online;
mod put_in;
mod quorum_lost;
mod quotas;
pub(crate) mod rot;
mod scrubs;
mod slaves;
mod slow;
mod snapshots;
mod split_brain;
mod taking_over;
mod tool;
mod torn_headers;

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::{Error, MountError, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};
use members::{Members, fill};

fn of_three() -> Members {
    Members::masters(3)
}

#[test]
fn three_masters_hold_the_same() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "a", 40).await).unwrap().unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 42);
    // The order doesn't matter, also after changes of the content.
    members
        .change_on(&[2, 0, 1], async |fs| {
            let directory = fs.lookup(Inum::PFS_ROOT, b"a").await?;
            fs.unlink(directory, b"file-7").await?;
            let file = fs.lookup(directory, b"file-30").await?;
            fs.truncate(file, 70_000).await?;
            fs.write(file, 10, b"in place").await?;
            fs.rename(directory, b"file-9", Inum::PFS_ROOT, b"moved").await
        })
        .unwrap()
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 41);
}

#[test]
fn two_of_three_go_on_and_bring_the_third_back() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 20).await).unwrap().unwrap();
    members.change_on(&[0, 2], async |fs| fill(fs, "without-1", 5).await).unwrap().unwrap();
    let newer = members.expect_alike(&[0, 2]);
    assert_ne!(members.content(&[1]), newer, "it stayed away");
    assert_eq!(members.content(&[0, 1, 2]), newer, "whoever stayed away isn't asked");
    assert_eq!(members.content(&[1, 0, 2]), newer);
    let counts = members.resync(&[0, 1, 2]);
    assert!(counts.copied > 0 && counts.copied < 20, "only what changed: {counts:?}");
    assert_eq!(members.expect_alike(&[0, 1, 2]), newer);
    assert_eq!(members.change_on(&[0, 1, 2], async |fs| fs.nodes_behind().count()).unwrap(), 0);
}

#[test]
fn one_of_three_changes_nothing() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    let error = members.change_on(&[1], async |_| ()).unwrap_err();
    assert!(matches!(error, MountError::Op(_)), "{error}");
    assert!(error.to_string().starts_with("no quorum: 1 of 3"), "{error}");
    assert_eq!(members.content(&[1]).len(), 5, "but can be looked at");
}

#[test]
fn a_node_that_fails_while_writing_leaves() {
    for effect in [Effect::Fail(DeviceError::Io(5)), Effect::Hang] {
        for operations in [Operations::WRITE, Operations::FLUSH] {
            let members = of_three();
            members
                .change_on(&[0, 1, 2], async |fs| {
                    fill(fs, "before", 10).await?;
                    fs.sync().await?;
                    members.plans[1].add(Fault::always(operations, effect)).unwrap();
                    fill(fs, "while", 10).await?;
                    fs.sync().await?;
                    fill(fs, "after", 10).await
                })
                .unwrap()
                .unwrap();
            members.plans[1].clear();
            let newer = members.expect_alike(&[0, 2]);
            assert!(members.content(&[1]).len() < newer.len());
            members.resync(&[0, 1, 2]);
            assert_eq!(members.expect_alike(&[0, 1, 2]), newer, "{effect:?} {operations:?}");
        }
    }
}

#[test]
fn two_that_fail_end_all_writing() {
    let members = of_three();
    let synced = members.run(async {
        let fs = members.mount(&[0, 1, 2]).await.unwrap().make_writable(&members::Ticks).await.unwrap();
        fill(&fs, "before", 4).await.unwrap();
        fs.sync().await.unwrap();
        for plan in &members.plans[..2] {
            plan.add(Fault::always(Operations::WRITE, Effect::Fail(DeviceError::Io(5)))).unwrap();
        }
        let _ = fill(&fs, "lost", 4).await;
        let synced = fs.sync().await;
        let new = NewFile::new(FileKind::Regular, 0o644);
        assert!(matches!(fs.create(Inum::PFS_ROOT, b"more", &new).await, Err(Error::NoQuorum { .. })));
        synced
    });
    assert_eq!(synced, Err(Error::NoQuorum { in_sync: 1, voters: 3 }));
    members.plans.iter().for_each(|plan| plan.clear());
    assert_eq!(members.content(&[0, 1, 2]).len(), 6);
}

#[test]
fn a_scrub_repairs_what_another_node_has() {
    for every in [1, 3, 40] {
        let members = of_three();
        members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 250).await).unwrap().unwrap();
        let before = members.expect_alike(&[0, 1, 2]);
        members.flip_bits(1, every);
        assert_ne!(members.problems(1), Vec::<String>::new());
        let counts = members.change_on(&[0, 1, 2], async |fs| fs.scrub().await).unwrap().unwrap();
        assert!(counts.repaired + counts.rebuilt > 0 && counts.ejected == 0, "{counts:?}");
        assert_eq!(counts.repaired, counts.bad_blocks);
        assert_eq!(members.expect_alike(&[0, 1, 2]), before, "{counts:?}");
    }
}

#[test]
fn a_node_that_left_comes_back_without_a_new_mount() {
    let members = of_three();
    members
        .change_on(&[0, 1, 2], async |fs| {
            fill(fs, "before", 10).await?;
            fs.sync().await?;
            let failing = Fault::always(Operations::WRITE | Operations::READ, Effect::Fail(DeviceError::Io(5)));
            members.plans[2].add(failing).unwrap();
            fill(fs, "without-2", 10).await?;
            fs.sync().await?;
            assert_eq!(fs.nodes_behind().count(), 0, "it left");
            assert!(fs.look_again(NodeIndex(2)).await.is_err(), "and still fails");
            members.plans[2].clear();
            assert!(matches!(fs.look_again(NodeIndex(2)).await, Ok(MemberState::Behind(_))));
            fill(fs, "meanwhile", 10).await?;
            fs.resync(NodeIndex(2)).await?;
            fill(fs, "together", 10).await
        })
        .unwrap()
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 45);
}

#[test]
fn it_is_told_how_much_there_is_to_bring_a_node_in_step() {
    for has_something in [true, false] {
        let members = of_three();
        let with = if has_something { &[0, 1, 2][..] } else { &[0, 1] };
        members.change_on(with, async |fs| fill(fs, "before", 30).await).unwrap().unwrap();
        members.change_on(&[0, 1], async |fs| fill(fs, "after", 30).await).unwrap().unwrap();
        let told = members.change_on(&[0, 1, 2], async |fs| {
            let mut told = Vec::new();
            fs.resync_showing(NodeIndex(2), &mut |_| told.extend(fs.catching_up(NodeIndex(2)))).await?;
            assert_eq!(fs.catching_up(NodeIndex(2)), None, "nobody does it any more");
            Ok::<_, Error>(told)
        });
        let told = told.unwrap().unwrap();
        let expected_bytes = told[0].expected_bytes;
        assert!(told.iter().all(|catch_up| catch_up.expected_bytes == expected_bytes), "{told:?}");
        assert!(told.is_sorted_by_key(|catch_up| catch_up.seen_bytes), "{told:?}");
        // The last file is looked at after the last report.
        let seen_bytes = told.last().unwrap().seen_bytes;
        assert!(seen_bytes <= expected_bytes && seen_bytes > expected_bytes / 10 * 9, "{told:?}");
    }
}

#[test]
fn a_copy_of_a_member_and_a_stranger_are_not_taken_in() {
    let mut members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    members.add_copy(1);
    let error = members.change_on(&[0, 1, 3], async |_| ()).unwrap_err();
    assert!(error.to_string().contains("copies of one member"), "{error}");
    members.add(77);
    let synced = members.change_on(&[0, 1, 4], async |fs| fill(fs, "two", 2).await).unwrap();
    assert_eq!(synced, Ok(()));
    assert_eq!(members.content(&[0, 1]).len(), 8);
}

#[test]
fn an_old_copy_put_back_is_brought_up_to_date() {
    let mut members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    members.add_copy(2);
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "more", 3).await).unwrap().unwrap();
    let newer = members.expect_alike(&[0, 1, 2]);
    // A copy of node 2 takes its place.
    assert_eq!(members.content(&[0, 1, 3]), newer);
    members.resync(&[0, 1, 3]);
    assert_eq!(members.expect_alike(&[0, 1, 3]), newer);
}
