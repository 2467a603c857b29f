//! Clusters of volumes in memory: nodes that fail, stay away and come back, and what is on each alone afterwards.

mod members;
mod torn_headers;

use hammer2_core::fs::{Error, MountError, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};
use members::{Members, fill};

fn of_three() -> Members {
    let members = Members::formatted(3);
    members.create();
    members
}

#[test]
fn three_masters_hold_the_same() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "a", 40).await).unwrap().unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 42);
    // In any order, and after changes of what is there.
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
