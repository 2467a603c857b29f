//! Scrubs in parts, with changes, pauses and other mounts between the parts.

use hammer2_core::cluster::{Scrub, ScrubCounts};
use hammer2_core::fs::{Error, FileSystem};

use super::members::Members;
use super::{fill, of_three};

const ALL: [usize; 3] = [0, 1, 2];

/// Scrubs to the end in parts of so many elements, and runs `between` after each part; returns the number of parts.
async fn in_parts(
    fs: &FileSystem,
    part_elements: u64,
    mut between: impl AsyncFnMut(usize) -> Result<(), Error>,
) -> Result<(usize, ScrubCounts), Error> {
    let (mut scrub, mut parts) = (Scrub { part_elements, ..Scrub::default() }, 1);
    loop {
        if let Some(counts) = fs.scrub_on(&mut scrub, &mut |_| false).await? {
            return Ok((parts, counts));
        }
        between(parts).await?;
        parts += 1;
    }
}

fn of_many_files() -> Members {
    let members = of_three();
    members.change_on(&ALL, async |fs| fill(fs, "all", 100).await).unwrap().unwrap();
    members
}

#[test]
fn all_is_read_once_whatever_the_parts() {
    let members = of_many_files();
    members.change_on(&ALL, async |fs| fs.scrub().await).unwrap().unwrap();
    let whole = members.change_on(&ALL, async |fs| fs.scrub().await).unwrap().unwrap();
    assert!(whole.elements > 300 && whole.bytes > 0, "{whole:?}");
    let mut counted = Vec::new();
    for part_elements in [1, 7, 50, 10_000] {
        let scrub = members.change_on(&ALL, async |fs| in_parts(fs, part_elements, async |_| Ok(())).await);
        let (parts, counts) = scrub.unwrap().unwrap();
        assert_eq!(counts, whole, "in parts of {part_elements}");
        counted.push(parts);
    }
    assert!(counted.is_sorted_by(|more, fewer| more > fewer) && counted[3] == 1, "{counted:?}");
}

#[test]
fn a_scrub_goes_on_in_another_mount() {
    let members = of_many_files();
    let whole = members.change_on(&ALL, async |fs| fs.scrub().await).unwrap().unwrap();
    let (mut scrub, mut mounts) = (Scrub { part_elements: 40, ..Scrub::default() }, 1);
    let counts = loop {
        let went_on = members.change_on(&ALL, async |fs| fs.scrub_on(&mut scrub, &mut |_| false).await);
        if let Some(counts) = went_on.unwrap().unwrap() {
            break counts;
        }
        mounts += 1;
    };
    assert!(mounts > 3, "{mounts}");
    assert_eq!(counts, whole);
}

#[test]
fn what_changes_meanwhile_is_no_fault_and_what_rots_is_mended() {
    let members = of_many_files();
    members.flip_bits(1, 3);
    assert_ne!(members.problems(1), Vec::<String>::new());
    let scrub = members.change_on(&ALL, async |fs| {
        fs.attend(async {
            let between = async |part: usize| match part % 5 {
                0 => fill(fs, &format!("between-{part}"), 2).await,
                _ => Ok(()),
            };
            in_parts(fs, 9, between).await
        })
        .await
    });
    let (parts, counts) = scrub.unwrap().unwrap();
    assert!(parts > 10, "{parts}");
    assert!(counts.repaired + counts.rebuilt > 0 && counts.ejected == 0, "{counts:?}");
    assert_eq!(counts.repaired, counts.bad_blocks, "{counts:?}");
    members.expect_alike(&ALL);
    for node in ALL {
        assert_eq!(members.problems(node), Vec::<String>::new(), "node {node}");
    }
}

#[test]
fn what_is_in_memory_is_read_from_the_disks_all_the_same() {
    let members = of_many_files();
    let scrub = members.change_on(&ALL, async |fs| {
        fill(fs, "more", 20).await?;
        fs.scrub().await?;
        members.flip_metadata(1);
        fs.scrub().await
    });
    let counts = scrub.unwrap().unwrap();
    assert!(counts.bad_blocks > 0, "{counts:?}");
    members.expect_alike(&ALL);
    assert_eq!(members.problems(1), Vec::<String>::new());
}
