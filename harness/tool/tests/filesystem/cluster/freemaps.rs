//! Freemaps that rot: space behind an unreadable part counts as in use, nothing is lost or allocated twice, and bulkfree gives
//! the space back.

use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::Error;
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::{BlockArray, BlockKind, Blockref, KeyRange};
use hammer2_core::random::Random;

use super::members::{Members, fill, newest_header, read};
use super::of_three;
use crate::runs;

/// The blocks of the freemap that the newest header leads to.
fn freemap(disk: &MemoryDisk) -> Vec<Blockref> {
    let mut pending = newest_header(disk).freemap_blockset.to_vec();
    let mut found = Vec::new();
    while let Some(entry) = pending.pop() {
        let (place, Ok(Some(radix))) = (entry.data_off().offset().0, entry.data_off().radix()) else { continue };
        if entry.is(BlockKind::FreemapNode) {
            let block = read(disk, place, radix.bytes());
            pending.extend_from_slice(BlockArray::new(&block, KeyRange::ALL).entries());
        }
        found.push(entry);
    }
    found
}

/// Flips a bit of a block.
fn rot(disk: &MemoryDisk, block: &Blockref, at: u64) {
    let place = block.data_off().offset().0 + at;
    disk.write_at(place, &[read(disk, place, 1)[0] ^ 4]).unwrap();
}

#[test]
fn a_scrub_reads_freemaps_and_mends_the_bad_one() {
    let members = of_three();
    let scrubs = members.change_on(&[0, 1, 2], async |fs| {
        fill(fs, "a", 10).await?;
        fs.sync().await?;
        let before = fs.scrub().await?;
        let leaf = *freemap(&members.disks[2]).last().unwrap();
        rot(&members.disks[2], &leaf, 0);
        Ok::<_, Error>((before, fs.scrub().await?, fs.scrub().await?))
    });
    let (before, mended, after) = scrubs.unwrap().unwrap();
    assert_eq!(mended.freemaps_mended.iter().collect::<Vec<_>>(), [NodeIndex(2)], "{mended:?}");
    for counts in [before, mended, after] {
        assert_eq!((counts.bad_blocks, counts.ejected), (0, 0), "{counts:?}");
    }
    assert_eq!(before.freemaps_mended.len() + after.freemaps_mended.len(), 0, "{before:?}, {after:?}");
    members.expect_alike(&[0, 1, 2]);
}

/// Volumes with one leaf, several below the header, and several below a node.
const SIZES: [u64; 3] = [256 << 20, 3 << 30, 6 << 30];

#[test]
fn freemaps_that_rot_lose_nothing_and_no_space() {
    runs::for_each_seed(12, 300, rot_and_go_on);
}

fn rot_and_go_on(seed: u64) {
    println!("H2_SEED={seed}");
    let mut random = Random::new(seed);
    let (members, all) = Members::drawn(&mut random, &SIZES);
    let prepared = members.change_on(&all, async |fs| {
        fill(fs, "a", 60).await?;
        fill(fs, "gone", 40).await?;
        fs.sync().await?;
        fs.bulkfree().await
    });
    prepared.unwrap().unwrap();
    let free = |number: usize| newest_header(&members.disks[number]).allocator_free();
    let free_before: Vec<u64> = all.iter().map(|number| free(*number)).collect();
    for disk in &members.disks {
        for block in freemap(disk) {
            if random.below(2) == 0 {
                rot(disk, &block, random.below(32 << 10));
            }
        }
    }
    // Sometimes nothing is free before bulkfree has looked, or bulkfree is the first to meet the damage.
    let looks_first = random.below(2) == 0;
    let went_on = members.change_on(&all, async |fs| {
        if looks_first {
            fs.bulkfree().await?;
            fs.bulkfree().await?;
        }
        match fill(fs, "b", 50).await {
            Err(Error::NoSpace) if !looks_first => {}
            filled => filled?,
        }
        fs.sync().await
    });
    went_on.unwrap().unwrap();
    members.expect_alike(&all);
    let given_back = members.change_on(&all, async |fs| {
        let left = fs.member_statuses().filter(|member| member.state != MemberState::InSync);
        assert_eq!(left.count(), 0, "nobody leaves for its freemap");
        fs.bulkfree().await?;
        fs.bulkfree().await
    });
    given_back.unwrap().unwrap();
    members.expect_alike(&all);
    for number in all {
        // Content written meanwhile takes less.
        assert!(
            free(number) + (8 << 20) > free_before[number],
            "{} bytes free, {} before",
            free(number),
            free_before[number]
        );
    }
}
