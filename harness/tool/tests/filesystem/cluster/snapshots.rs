//! Snapshots of clusters: they can be read at once, written as clusters of their own, and are copied to nodes that lack them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::select;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{Ejection, MemberState, NewPfs, NodeIndex, PfsOutcome};
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum, KeyRange, Uuid};

use super::members::{LABEL, Members, fill, noise};
use super::membership::{fsid, replace};

const SNAPSHOT: &[u8] = b"SNAPSHOT";

/// Three masters with a snapshot, which is the PFS to mount; and its cluster's id.
pub(crate) fn snapshot_of_three() -> (Members, Uuid) {
    let members = Members::formatted(4);
    members.create_as(&[0, 1, 2], &[]);
    let clid = Uuid([0x5a; 16]);
    members
        .change_on(&[0, 1, 2], async |fs| {
            fill(fs, "all", 3).await?;
            fs.snapshot(&NewPfs { label: SNAPSHOT, clid, ..members.new_pfs() }).await?;
            fill(fs, "later", 1).await
        })
        .unwrap()
        .unwrap();
    members.label.set(SNAPSHOT);
    (members, clid)
}

#[test]
fn a_snapshot_is_written_by_a_quorum_and_its_origin_stays() {
    let (members, _) = snapshot_of_three();
    members.label.set(LABEL);
    let origin = members.expect_alike(&[0, 1, 2]);
    members.label.set(SNAPSHOT);
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 5);
    let refused = members.change_on(&[1], async |_| ()).unwrap_err();
    assert!(refused.to_string().contains("no quorum: 1 of 3"), "{refused}");
    members.change_on(&[1, 2], async |fs| fill(fs, "copy", 2).await).unwrap().unwrap();
    assert_eq!(members.content(&[1, 2]).len(), 8);
    // The third has the snapshot in its old state.
    members.change_on(&[2, 0, 1], async |fs| fs.resync(NodeIndex(1)).await).unwrap().unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 8);
    members.label.set(LABEL);
    assert_eq!(members.expect_alike(&[0, 1, 2]), origin);
}

#[test]
fn what_there_is_is_told_by_others_when_the_first_disk_can_not_be_read() {
    let (members, _) = snapshot_of_three();
    members.label.set(LABEL);
    let labels = ["A", "B", "C", "D", "E", "F"];
    let snapshots = async |fs: &FileSystem| {
        for (number, label) in (0..).zip(labels) {
            let clid = Uuid([number; 16]);
            fs.snapshot(&NewPfs { label: label.as_bytes(), clid, ..members.new_pfs() }).await?;
        }
        Ok::<_, Error>(())
    };
    members.change_on(&[0, 1, 2], snapshots).unwrap().unwrap();
    let listed = members.run(async {
        let fs = members.mount(&[0, 1, 2]).await.unwrap();
        members.plans[0].add(Fault::always(Operations::READ, Effect::Fail(DeviceError::Io(5)))).unwrap();
        let (mut listed, mut rest) = (Vec::new(), Some(KeyRange::ALL));
        while let Some(range) = rest {
            let Some((pfs, after)) = fs.next_pfs(range).await.unwrap() else { break };
            listed.push(String::from_utf8(pfs.label.to_vec()).unwrap());
            rest = after;
        }
        listed
    });
    members.plans[0].clear();
    assert!(labels.iter().all(|label| listed.iter().any(|other| other == label)), "{listed:?}");
}

/// Labels of snapshots, the oldest first.
const SERIES: [&[u8]; 3] = [b"OLDEST", b"OLDER", b"NEWEST"];
const LARGE_BYTES: usize = 24 << 20;

/// Writes the large file anew, so that it shares nothing with its old content.
async fn overwrite(fs: &FileSystem, generation: u8) -> Result<(), Error> {
    overwrite_each(fs, generation, 1).await
}

/// The same with several files that are as large together.
async fn overwrite_each(fs: &FileSystem, generation: u8, files: usize) -> Result<(), Error> {
    let content: Vec<u8> = noise(LARGE_BYTES / files).iter().map(|byte| byte ^ generation).collect();
    for number in 0..files {
        let name = format!("large{number}");
        let file = match fs.lookup(Inum::PFS_ROOT, name.as_bytes()).await {
            Err(Error::NotFound) => {
                fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o600)).await?
            }
            found => found?,
        };
        fs.write(file, 0, &content).await?;
    }
    Ok(())
}

/// Three masters, the last of them on a disk with just enough room for as many generations of the file as there are snapshots.
fn with_a_small_disk() -> Members {
    let mut members = Members::formatted(2);
    members.add_of(112 << 20, 2);
    members.create();
    let snapshots = async |fs: &FileSystem| {
        for (label, generation) in SERIES.iter().zip(1..) {
            overwrite(fs, generation).await?;
            let new = NewPfs { label, clid: Uuid([generation; 16]), ..members.new_pfs() };
            fs.snapshot(&new).await?;
        }
        Ok::<_, Error>(())
    };
    members.change_on(&[0, 1, 2], snapshots).unwrap().unwrap();
    members
}

/// The disks that have a snapshot and can read it alone.
fn holders(members: &Members, label: &'static [u8]) -> Vec<usize> {
    members.label.set(label);
    let holders = (0..3).filter(|disk| members.run(members.mount(&[*disk])).is_ok()).collect();
    members.label.set(LABEL);
    holders
}

#[test]
fn a_full_node_does_without_its_oldest_snapshot() {
    let members = with_a_small_disk();
    members.change_on(&[0, 1], async |fs| overwrite(fs, 4).await).unwrap().unwrap();
    let counts = members.resync(&[0, 1, 2]);
    assert_eq!(counts.snapshots_removed, 1);
    members.expect_alike(&[0, 1, 2]);
    assert_eq!(SERIES.map(|label| holders(&members, label)), [vec![0, 1], vec![0, 1, 2], vec![0, 1, 2]]);
    members.label.set(SERIES[0]);
    assert_eq!(members.expect_alike(&[0, 1]).len(), 2);
}

#[test]
fn snapshots_that_others_lack_stay() {
    let members = with_a_small_disk();
    // One of the others has none, and a snapshot must be on two of three.
    for label in SERIES {
        let deleted = members.run(async {
            let cluster = members.open(&[1]).await;
            cluster.delete_pfs(label).await
        });
        assert_eq!(deleted, Ok(PfsOutcome::Done));
    }
    members.change_on(&[0, 1], async |fs| overwrite(fs, 4).await).unwrap().unwrap();
    let resynced = members.change_on(&[0, 1, 2], async |fs| fs.resync(NodeIndex(2)).await).unwrap();
    assert_eq!(resynced, Err(Error::Resync(Ejection::NoSpace)));
    assert_eq!(SERIES.map(|label| holders(&members, label)), [(); 3].map(|()| vec![0, 2]));
}

#[test]
fn what_nothing_leads_to_goes_before_any_snapshot() {
    let mut members = Members::formatted(2);
    members.add_of(112 << 20, 2);
    members.create();
    let new = || NewPfs { label: SERIES[0], clid: Uuid([9; 16]), ..members.new_pfs() };
    let fill_up = async |fs: &FileSystem| {
        fs.snapshot(&new()).await?;
        overwrite(fs, 1).await?;
        overwrite(fs, 2).await?;
        overwrite(fs, 3).await
    };
    members.change_on(&[0, 1, 2], fill_up).unwrap().unwrap();
    members.change_on(&[0, 1], async |fs| overwrite(fs, 4).await).unwrap().unwrap();
    assert_eq!(members.resync(&[0, 1, 2]).snapshots_removed, 0);
    assert_eq!(holders(&members, SERIES[0]), [0, 1, 2]);
    members.expect_alike(&[0, 1, 2]);
}

/// Takes snapshots of three generations of some files, each on these nodes.
fn take_series(members: &Members, nodes: &[usize], files: usize) {
    let snapshots = async |fs: &FileSystem| {
        for (label, generation) in SERIES.iter().zip(1..) {
            fill(fs, &format!("of{generation}"), 3).await?;
            overwrite_each(fs, generation, files).await?;
            let new = NewPfs { label, clid: Uuid([generation; 16]), ..members.new_pfs() };
            fs.snapshot(&new).await?;
            let directory = fs.lookup(Inum::PFS_ROOT, format!("of{generation}").as_bytes()).await?;
            fs.unlink(directory, b"file-0").await?;
        }
        overwrite_each(fs, 4, files).await
    };
    members.change_on(nodes, snapshots).unwrap().unwrap();
}

/// Checks that each of these disks, by itself, holds the same in each snapshot.
fn expect_series(members: &Members, disks: &[usize]) {
    for (label, generation) in SERIES.iter().zip(1..) {
        members.label.set(label);
        let found = members.expect_alike(disks);
        assert!(found.iter().any(|line| line.contains(&format!("of{generation}/file-0"))), "{found:?}");
        assert!(!found.iter().any(|line| line.contains(&format!("of{}", generation + 1))), "{found:?}");
    }
    members.label.set(LABEL);
}

#[test]
fn a_node_that_was_away_is_given_the_snapshots_taken_meanwhile() {
    let members = Members::formatted(3);
    members.create();
    take_series(&members, &[0, 1], 1);
    let counts = members.resync(&[0, 1, 2]);
    assert_eq!((counts.snapshots_copied, counts.snapshots_lacking), (3, 0));
    members.expect_alike(&[0, 1, 2]);
    expect_series(&members, &[0, 1, 2]);
    // The node has them now.
    let again = members.change_on(&[0, 1, 2], async |fs| fs.complete(NodeIndex(2)).await).unwrap();
    assert_eq!(again, Ok(ResyncCounts::default()));
}

#[test]
fn a_node_that_missed_only_a_snapshot_is_given_it() {
    let members = Members::formatted(3);
    members.create();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "file", 3).await).unwrap().unwrap();
    let new = || NewPfs { label: SNAPSHOT, clid: Uuid([9; 16]), ..members.new_pfs() };
    members.change_on(&[0, 1], async |fs| fs.snapshot(&new()).await).unwrap().unwrap();
    let counts = members.change_on(&[0, 1, 2], async |fs| {
        let mut sum = ResyncCounts::default();
        for (_, resynced) in fs.resync_all(&mut |_, _| {}).await? {
            sum += resynced?;
        }
        Ok::<_, Error>(sum)
    });
    let counts = counts.unwrap().unwrap();
    // All its content was there already.
    assert_eq!((counts.snapshots_copied, counts.bytes), (1, 0));
    members.label.set(SNAPSHOT);
    members.expect_alike(&[0, 1, 2]);
}

#[test]
fn a_disk_that_replaces_another_is_given_the_snapshots() {
    let mut members = Members::formatted(3);
    members.create();
    take_series(&members, &[0, 1, 2], 1);
    let mut disks = vec![0, 1, 2];
    for place in 0..3 {
        members.add(0x40 + place as u8);
        let new = members.disks.len() - 1;
        // The second is dead, the others go while they work.
        let left: Vec<usize> = disks.iter().copied().filter(|disk| place != 1 || *disk != disks[1]).collect();
        let mounted = [&left[..], &[new]].concat();
        members
            .change_on(&mounted, async |fs| {
                let missing = fs.missing_members().first().map(|member| member.fsid);
                let old = missing.unwrap_or_else(|| fsid(fs, place as u8));
                replace(&members, fs, old, left.len() as u8).await
            })
            .unwrap()
            .unwrap();
        disks[place] = new;
    }
    members.expect_alike(&disks);
    expect_series(&members, &disks);
}

#[test]
fn a_copy_made_later_has_no_vote_of_a_snapshot() {
    let (members, _) = snapshot_of_three();
    // It lost the snapshot, and is given it again.
    let deleted = members.run(async { members.open(&[2]).await.delete_pfs(SNAPSHOT).await });
    assert_eq!(deleted, Ok(PfsOutcome::Done));
    members.label.set(LABEL);
    let given = members.change_on(&[0, 1, 2], async |fs| fs.complete(NodeIndex(2)).await).unwrap().unwrap();
    assert_eq!(given.snapshots_copied, 1);
    members.label.set(SNAPSHOT);
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 5);
    // With a copy that was there from the beginning it makes no quorum: the other two may be elsewhere.
    let refused = members.change_on(&[0, 2], async |_| ()).unwrap_err();
    assert!(refused.to_string().contains("no quorum: 1 of 3"), "{refused}");
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "copy", 2).await).unwrap().unwrap();
    assert_eq!(members.expect_alike(&[0, 1]).len(), 8);
}

#[test]
fn a_deleted_snapshot_does_not_come_back() {
    let (members, _) = snapshot_of_three();
    let deleted = members.run(async { members.open(&[0, 1]).await.delete_pfs(SNAPSHOT).await });
    assert_eq!(deleted, Ok(PfsOutcome::Done));
    members.label.set(LABEL);
    for node in [0, 1] {
        let given = members.change_on(&[0, 1, 2], async |fs| fs.complete(NodeIndex(node)).await).unwrap();
        assert_eq!(given, Ok(ResyncCounts::default()));
    }
    assert_eq!(holders(&members, SNAPSHOT), [2]);
}

#[test]
fn a_copy_that_is_given_up_midway_leaves_nothing() {
    let members = Members::formatted(3);
    members.create();
    take_series(&members, &[0, 1], 1);
    // The disk gets the file in as many blocks as there are writes, and then the snapshots.
    for skip in [400, 700, 1000, 1300] {
        let members = members.copied();
        let plan = &members.plans[2];
        plan.add(Fault { skip, ..Fault::always(Operations::WRITE, Effect::Hang) }).unwrap();
        members
            .change_on(&[0, 1, 2], async |fs| {
                let node = NodeIndex(2);
                let hangs = poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if plan.struck() > 0 { Poll::Ready(()) } else { Poll::Pending }
                });
                select(pin!(fs.resync(node)), pin!(hangs)).await;
                assert_ne!(fs.member_statuses().nth(2).unwrap().state, MemberState::InSync);
                plan.clear();
                if let MemberState::Ejected(_) = fs.member_statuses().nth(2).unwrap().state {
                    fs.look_again(node).await.unwrap();
                }
                if fs.nodes_behind().count() > 0 {
                    fs.resync(node).await.unwrap();
                }
            })
            .unwrap();
        members.expect_alike(&[0, 1, 2]);
        expect_series(&members, &[0, 1, 2]);
    }
}

#[test]
fn a_node_without_room_goes_without_the_snapshots() {
    let mut members = Members::formatted(2);
    members.add_of(80 << 20, 2);
    members.create();
    take_series(&members, &[0, 1], 24);
    let counts = members.resync(&[0, 1, 2]);
    // The newest would fit, but leave too little for later changes.
    assert_eq!((counts.snapshots_copied, counts.snapshots_lacking), (0, 3));
    members.expect_alike(&[0, 1, 2]);
    // No partial copy is left.
    assert_eq!(members.problems(2), Vec::<String>::new());
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "more", 3).await).unwrap().unwrap();
    members.expect_alike(&[0, 1, 2]);
}
