//! Disks that were written separately, each part with a quorum of its own: nothing is mixed, and the operator decides.

use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::vote::Mount;
use hammer2_core::fs::{Error, FileSystem};

use super::members::{Members, fill};
use super::of_three;

/// Three masters of which one was copied, so that there were two quorums: 0 with 1, and the copy of 1 with 2. Both went on. The
/// disks 0 and 2 are one from each.
fn written_apart() -> Members {
    let mut members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "common", 3).await).unwrap().unwrap();
    members.add_copy(1);
    members.change_on(&[0, 1], async |fs| fill(fs, "one", 3).await).unwrap().unwrap();
    members.change_on(&[3, 2], async |fs| fill(fs, "other", 7).await).unwrap().unwrap();
    members
}

async fn resync_all(fs: &FileSystem) -> Result<(), Error> {
    let behind: Vec<_> = fs.nodes_behind().collect();
    for node in behind {
        fs.resync(node).await?;
    }
    Ok(())
}

#[test]
fn two_that_were_written_apart_are_not_mixed() {
    let members = written_apart();
    let (one, other) = (members.content(&[0, 1]), members.content(&[3, 2]));
    for nodes in [&[0, 1, 2][..], &[2, 0], &[0, 3, 2]] {
        let before = members.copied();
        let error = members.change_on(nodes, async |_| ()).unwrap_err();
        assert!(error.to_string().contains("split brain") && error.to_string().contains("force"), "{error}");
        let error = members.run(members.mount(nodes)).err().expect("neither is shown for the other");
        assert!(error.to_string().contains("split brain"), "{error}");
        nodes.iter().for_each(|node| assert_eq!(members.content(&[*node]), before.content(&[*node])));
    }
    // Each side can be looked at among the others.
    assert_eq!(members.choosing(Mount::AsOf(Some(NodeIndex(0)))).content(&[0, 1, 2]), one);
    let as_of = members.choosing(Mount::AsOf(Some(NodeIndex(2))));
    assert_eq!(as_of.content(&[0, 1, 2]), other);
    let error = as_of.change_on(&[0, 1, 2], async |_| ()).unwrap_err();
    assert!(error.to_string().contains("split brain"), "what is looked at isn't changed: {error}");
    // Each side by itself goes on.
    members.change_on(&[0, 1], async |fs| fill(fs, "more", 1).await).unwrap().unwrap();
    members.change_on(&[2, 3], async |fs| fill(fs, "more", 1).await).unwrap().unwrap();
}

#[test]
fn the_operator_chooses_a_side_and_the_other_is_copied() {
    for (keep, kept) in [(0, [0, 1]), (2, [3, 2])] {
        let members = written_apart();
        let before = members.content(&kept);
        let forced = members.choosing(Mount::Forced(NodeIndex(keep)));
        forced.change_on(&[0, 1, 2], async |fs| fill(fs, "decided", 1).await).unwrap().unwrap();
        // From then on the split is over.
        members.change_on(&[0, 1, 2], resync_all).unwrap().unwrap();
        let after = members.expect_alike(&[0, 1, 2]);
        assert_eq!(after.len(), before.len() + 2);
        // All old content is there, except the root, which has one more entry.
        assert!(before[1..].iter().all(|line| after.contains(line)), "{before:#?}\n{after:#?}");
    }
}

#[test]
fn one_of_three_goes_on_by_force_and_the_others_come_back_as_slaves() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    let forced = members.choosing(Mount::Forced(NodeIndex(0)));
    forced.change_on(&[1], async |fs| fill(fs, "alone", 3).await).unwrap().unwrap();
    members.change_on(&[1], async |fs| fill(fs, "again", 3).await).unwrap().unwrap();
    let newer = members.content(&[1]);
    // The other disks have no changes of their own, and follow.
    assert_eq!(members.content(&[0, 1, 2]), newer);
    let roles = members.change_on(&[0, 1, 2], async |fs| {
        resync_all(fs).await.unwrap();
        fs.member_statuses().map(|member| member.role.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(roles.unwrap(), ["SLAVE", "MASTER", "SLAVE"]);
    assert_eq!(members.expect_alike(&[0, 1, 2]), newer);
}

#[test]
fn force_against_a_quorum_that_went_on_stops_when_they_meet() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    members.change_on(&[0, 1], async |fs| fill(fs, "two", 3).await).unwrap().unwrap();
    let forced = members.choosing(Mount::Forced(NodeIndex(0)));
    forced.change_on(&[2], async |fs| fill(fs, "forced", 3).await).unwrap().unwrap();
    for nodes in [&[0, 1, 2][..], &[2, 0]] {
        let error = members.change_on(nodes, async |_| ()).unwrap_err();
        assert!(error.to_string().contains("`hammer2 cluster force`"), "{error}");
    }
}
