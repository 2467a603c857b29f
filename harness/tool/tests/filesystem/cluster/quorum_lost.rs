//! Too few nodes are left while the cluster is mounted: nothing is changed until enough have come back, and then the mount goes
//! on with all earlier changes (protocol 5.5, I15).

use hammer2_core::cluster::{Health, MemberState, NodeIndex, ReturnError};
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};

use super::members::{Members, Ticks, fill};

fn of(count: usize) -> Members {
    let members = Members::formatted(count);
    members.create();
    members
}

fn everything_fails() -> Fault {
    Fault::always(Operations::WRITE | Operations::READ | Operations::FLUSH, Effect::Fail(DeviceError::Io(5)))
}

fn fail(members: &Members, node: usize) {
    members.plans[node].add(everything_fails()).unwrap();
}

/// Makes a file.
async fn add(fs: &FileSystem, name: &str) -> Result<Inum, Error> {
    fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await
}

/// Brings back the nodes that left.
async fn bring_back(fs: &FileSystem) {
    let left = || fs.member_statuses().filter(|member| !matches!(member.state, MemberState::InSync));
    // The first node that comes back isn't enough.
    for _ in 0..left().count() {
        for member in left().collect::<Vec<_>>() {
            let _ = fs.look_again(member.node).await;
            if fs.nodes_behind().any(|node| node == member.node) {
                let synced = fs.resync(member.node).await;
                assert!(matches!(synced, Ok(_) | Err(Error::NoQuorum { .. })), "{synced:?}");
            }
        }
    }
}

#[test]
fn changes_stop_and_go_on_without_a_new_mount() {
    for (count, lost) in [(2, vec![1]), (3, vec![0, 2]), (5, vec![0, 1, 2]), (5, vec![1, 2, 3, 4])] {
        let members = of(count);
        let all: Vec<usize> = (0..count).collect();
        members
            .change_on(&all, async |fs| {
                fill(fs, "synced", 10).await.unwrap();
                fs.sync().await.unwrap();
                fill(fs, "not-synced", 10).await.unwrap();
                lost.iter().for_each(|node| fail(&members, *node));
                let Err(Error::NoQuorum { in_sync, voters }) = fs.sync().await else {
                    panic!("synced without a quorum")
                };
                assert_eq!((usize::from(in_sync), usize::from(voters)), (count - lost.len(), count));
                assert_eq!(fs.cluster_status().unwrap().health, Health::Stopped);
                assert!(matches!(fill(fs, "never", 1).await, Err(Error::NoQuorum { .. })), "changed without a quorum");
                let there = fs.lookup(Inum::PFS_ROOT, b"not-synced").await.unwrap();
                assert!(fs.lookup(there, b"file-7").await.is_ok(), "what is there can still be read");
                lost.iter().for_each(|node| members.plans[*node].clear());
                bring_back(fs).await;
                assert_eq!(fs.cluster_status().unwrap().health, Health::Healthy, "{count}, {lost:?}");
                fill(fs, "together", 10).await.unwrap();
            })
            .unwrap();
        assert_eq!(members.expect_alike(&all).len(), 34, "{count}, {lost:?}");
    }
}

/// The answer "there is none" takes a quorum, too: a node that can't look leaves, and changes then fail, too.
#[test]
fn who_cannot_look_leaves_also_when_too_few_are_left() {
    let members = of(3);
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "many", 500).await).unwrap().unwrap();
    members
        .change_on(&[0, 1, 2], async |fs| {
            let many = fs.lookup(Inum::PFS_ROOT, b"many").await.unwrap();
            for node in [0, 2] {
                members.plans[node].add(Fault::always(Operations::READ, Effect::Fail(DeviceError::Gone))).unwrap();
            }
            let found = fs.lookup(many, b"nothing").await;
            assert_eq!(found, Err(Error::NoQuorum { in_sync: 1, voters: 3 }));
            assert_eq!(add(fs, "never").await, Err(Error::NoQuorum { in_sync: 1, voters: 3 }));
            members.plans.iter().for_each(|plan| plan.clear());
            bring_back(fs).await;
            assert_eq!(fs.lookup(many, b"nothing").await, Err(Error::NotFound));
            add(fs, "now").await.unwrap();
        })
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 503);
}

/// An operation under way when the quorum is lost is done or not, and reports which.
#[test]
fn what_is_under_way_is_done_or_not() {
    const FILES: usize = 12;
    let mut stopped = 0;
    for skip in 0..40 {
        let members = of(3);
        let mut expected = Vec::new();
        members
            .change_on(&[0, 1, 2], async |fs| {
                for node in [1, 2] {
                    members.plans[node].add(Fault { skip, ..everything_fails() }).unwrap();
                }
                for number in 0..FILES {
                    let (old, new) = (format!("n{number}"), format!("moved{number}"));
                    let made = add(fs, &old).await;
                    let content = vec![b'0' + number as u8; 9_000 * number];
                    let written = match made {
                        Ok(file) => fs.write(file, 0, &content).await,
                        Err(_) => Ok(()),
                    };
                    let moved = fs.rename(Inum::PFS_ROOT, old.as_bytes(), Inum::PFS_ROOT, new.as_bytes()).await;
                    let synced = if number % 3 == 0 { fs.sync().await } else { Ok(()) };
                    let outcomes = [made.map(drop), written, moved, synced];
                    assert!(!outcomes.contains(&Err(Error::Lost)), "{outcomes:?}");
                    if outcomes.iter().any(|done| matches!(done, Err(Error::NoQuorum { .. }))) {
                        stopped += 1;
                        members.plans.iter().for_each(|plan| plan.clear());
                        bring_back(fs).await;
                    }
                    let size = if written.is_ok() { content.len() } else { 0 };
                    if made.is_ok() {
                        expected.push(format!("{} Regular {size} 1", if moved.is_ok() { new } else { old }));
                    }
                }
                // A node that lags may come to it only now.
                if let Err(Error::NoQuorum { .. }) = fs.sync().await {
                    stopped += 1;
                    members.plans.iter().for_each(|plan| plan.clear());
                    bring_back(fs).await;
                }
                members.plans.iter().for_each(|plan| plan.clear());
            })
            .unwrap();
        let found = members.expect_alike(&[0, 1, 2]);
        let words = |line: &String| line.split(' ').take(4).collect::<Vec<_>>().join(" ");
        let mut found: Vec<String> = found.iter().map(words).filter(|line| line.contains("Regular")).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "after {skip} requests");
    }
    assert!(stopped > 30, "it was lost {stopped} times only");
}

/// A node that has come back has executed everything but committed nothing: a power cut right then loses no synced content.
#[test]
fn who_comes_back_commits_nothing_before_a_quorum_does() {
    let members = of(5);
    members
        .change_on(&[0, 1, 2, 3, 4], async |fs| {
            fill(fs, "synced", 5).await.unwrap();
            fs.sync().await.unwrap();
            fill(fs, "not-synced", 5).await.unwrap();
            (2..5).for_each(|node| fail(&members, node));
            fs.sync().await.unwrap_err();
            (2..5).for_each(|node| members.plans[node].clear());
            let synced = members.copied();
            // Three of five are there, but two were never heard of again.
            let _ = fs.look_again(NodeIndex(3)).await.unwrap();
            fail(&members, 3);
            assert!(fs.resync(NodeIndex(3)).await.is_err());
            assert_eq!(fs.cluster_status().unwrap().health, Health::Stopped);
            assert_eq!(members.copied().content(&[2, 3, 4]), synced.content(&[2, 3, 4]));
            members.plans[3].clear();
            bring_back(fs).await;
        })
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2, 3, 4]).len(), 13);
}

/// The other nodes weren't away but in another mount, with a quorum there: this mount stops for good.
#[test]
fn a_mount_that_was_overtaken_does_not_go_on() {
    let members = of(3);
    members.run(async {
        let fs = members.mount(&[0, 1, 2]).await.unwrap().make_writable(&Ticks).await.unwrap();
        fill(&fs, "synced", 5).await.unwrap();
        fs.sync().await.unwrap();
        fill(&fs, "lost", 5).await.unwrap();
        let elsewhere = members.elsewhere();
        [1, 2].iter().for_each(|node| fail(&members, *node));
        fs.sync().await.unwrap_err();
        let other = elsewhere.mount(&[1, 2]).await.unwrap().make_writable(&Ticks).await.unwrap();
        fill(&other, "kept", 5).await.unwrap();
        drop(other.unmount().await.unwrap());
        members.plans.iter().for_each(|plan| plan.clear());
        for node in [1, 2] {
            let again = fs.look_again(NodeIndex(node)).await;
            assert!(matches!(again, Err(ReturnError::Cluster(_))), "{again:?}");
        }
        assert!(matches!(fs.sync().await, Err(Error::NoQuorum { .. })));
    });
    members.resync(&[0, 1, 2]);
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 13, "what a quorum had");
}

/// No node is left that knows the changes since the last commit.
#[test]
fn a_mount_without_any_node_says_that_it_is_over() {
    let members = of(3);
    members.run(async {
        let fs = members.mount(&[0, 1, 2]).await.unwrap().make_writable(&Ticks).await.unwrap();
        fill(&fs, "synced", 5).await.unwrap();
        fs.sync().await.unwrap();
        fill(&fs, "lost", 5).await.unwrap();
        (0..3).for_each(|node| fail(&members, node));
        assert_eq!(fs.sync().await, Err(Error::Lost));
        members.plans.iter().for_each(|plan| plan.clear());
        for node in 0..3 {
            let _ = fs.look_again(NodeIndex(node)).await;
            let _ = fs.resync(NodeIndex(node)).await;
        }
        assert_eq!(fs.sync().await, Err(Error::Lost));
        assert_eq!(fill(&fs, "never", 1).await, Err(Error::Lost));
    });
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 7);
}
