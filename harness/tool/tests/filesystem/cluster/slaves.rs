//! Slaves: they are kept up with the masters and can be read, but have no vote.

use hammer2_core::fs::{MountError, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum, PfsKind};

use super::members::{Members, fill, noise};

/// Two masters and a slave.
fn two_and_one() -> Members {
    let members = Members::formatted(3);
    members.create_as(&[0, 1, 2], &[PfsKind::Master, PfsKind::Master, PfsKind::Slave]);
    members
}

#[test]
fn a_slave_follows_every_commit() {
    let members = two_and_one();
    members
        .change_on(&[2, 1, 0], async |fs| {
            fill(fs, "a", 20).await?;
            fs.sync().await?;
            fill(fs, "b", 5).await
        })
        .unwrap()
        .unwrap();
    assert_eq!(members.expect_alike(&[0, 1, 2]).len(), 28);
}

#[test]
fn a_slave_has_no_vote() {
    let members = two_and_one();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
    for nodes in [&[0, 2][..], &[1, 2]] {
        let error = members.change_on(nodes, async |_| ()).unwrap_err();
        assert!(error.to_string().starts_with("no quorum: 1 of 2"), "{error}");
    }
    let error = members.change_on(&[2], async |_| ()).unwrap_err();
    assert!(matches!(error, MountError::Op(_)) && error.to_string().starts_with("no master"), "{error}");
    assert_eq!(members.content(&[2]).len(), 5, "it can be looked at");
}

#[test]
fn a_slave_that_was_away_is_brought_back() {
    let members = two_and_one();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 20).await).unwrap().unwrap();
    members.change_on(&[0, 1], async |fs| fill(fs, "without", 5).await).unwrap().unwrap();
    assert_eq!(members.content(&[2]).len(), 22);
    let counts = members.resync(&[2, 0, 1]);
    assert!(counts.copied > 0 && counts.copied < 20, "only what changed: {counts:?}");
    members.expect_alike(&[0, 1, 2]);
}

#[test]
fn a_slave_that_fails_leaves_the_masters_alone() {
    let members = two_and_one();
    members
        .change_on(&[0, 1, 2], async |fs| {
            fill(fs, "before", 10).await?;
            members.plans[2].add(Fault::always(Operations::WRITE, Effect::Fail(DeviceError::Io(5)))).unwrap();
            fs.sync().await?;
            fill(fs, "after", 10).await
        })
        .unwrap()
        .unwrap();
    members.plans[2].clear();
    let newer = members.expect_alike(&[0, 1]);
    members.resync(&[0, 1, 2]);
    assert_eq!(members.expect_alike(&[0, 1, 2]), newer);
}

#[test]
fn a_slave_lends_its_copy() {
    let members = two_and_one();
    members
        .change_on(&[0, 1, 2], async |fs| {
            let file = fs.create(Inum::PFS_ROOT, b"noise", &NewFile::new(FileKind::Regular, 0o644)).await?;
            fs.write(file, 0, &noise(4 << 20)).await
        })
        .unwrap()
        .unwrap();
    let before = members.expect_alike(&[0, 1, 2]);
    // Every block of file content of both masters is bad.
    members.flip_noise(0);
    members.flip_noise(1);
    assert!(members.problems(0).len() >= 64 && members.problems(1).len() >= 64);
    assert_eq!(members.content(&[0, 1, 2]), before);
    let counts = members.change_on(&[0, 1, 2], async |fs| fs.scrub().await).unwrap().unwrap();
    assert!(counts.repaired > 0 && counts.repaired == counts.bad_blocks, "{counts:?}");
    assert_eq!(members.expect_alike(&[0, 1, 2]), before);
}

#[test]
fn a_soft_master_is_mounted_by_itself() {
    let members = Members::formatted(3);
    members.create_as(&[0, 1, 2], &[PfsKind::Master, PfsKind::Master, PfsKind::SoftMaster]);
    members.change_on(&[2], async |fs| fill(fs, "own", 3).await).unwrap().unwrap();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "masters", 5).await).unwrap().unwrap();
    assert_eq!(members.content(&[2]).len(), 5, "its own history");
    assert_eq!(members.expect_alike(&[0, 1]).len(), 7, "and that of the others");
}
