//! Snapshots of clusters: read at once, written as clusters of their own.

use hammer2_core::cluster::{NewPfs, NodeIndex};
use hammer2_core::media::Uuid;

use super::members::{LABEL, Members, fill};

const SNAPSHOT: &[u8] = b"SNAPSHOT";

/// Three masters of which a snapshot was taken: that is what is mounted. And its cluster's id.
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
    // The third has the snapshot as it was.
    members.change_on(&[2, 0, 1], async |fs| fs.resync(NodeIndex(1)).await).unwrap().unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 8);
    members.label.set(LABEL);
    assert_eq!(members.expect_alike(&[0, 1, 2]), origin);
}
