//! Headers and their twins that rot while they are in use: a scrub writes them again from memory, and each disk is whole by
//! itself afterwards.

use hammer2_core::io::MemoryDisk;
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{VolumeHeader, is_zero};
use hammer2_core::random::Random;
use zerocopy::FromBytes;

use super::members::{Members, fill, read};
use crate::runs;

/// Volumes with one copy of the header, two, and four.
const SIZES: [u64; 3] = [256 << 20, 3 << 30, 7 << 30];

/// The places of headers and twins on a disk that were written already.
fn written_places(disk: &MemoryDisk) -> Vec<u64> {
    let places = (0..HEADER_COPIES).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset));
    let places = places.filter(|place| place + VOLUME_HEADER_BYTES as u64 <= disk.size_bytes());
    places.filter(|place| !is_zero(&read(disk, *place, VOLUME_HEADER_BYTES))).collect()
}

fn is_good(disk: &MemoryDisk, place: u64) -> bool {
    let header = VolumeHeader::read_from_bytes(&read(disk, place, VOLUME_HEADER_BYTES)).unwrap();
    header.check_identity().is_ok()
}

/// Flips a bit of some headers, of all of them now and then; true if any was hit.
fn rot(disk: &MemoryDisk, random: &mut Random) -> bool {
    let percent = random.pick(&[0, 30, 60, 100]);
    let mut is_hit = false;
    for place in written_places(disk) {
        if random.percent(percent) {
            let at = place + random.below(VOLUME_HEADER_BYTES as u64);
            disk.write_at(at, &[read(disk, at, 1)[0] ^ 1 << random.below(8)]).unwrap();
            is_hit = true;
        }
    }
    is_hit
}

fn rot_and_scrub(seed: u64) {
    println!("H2_SEED={seed}");
    let mut random = Random::new(seed);
    let (members, all) = Members::drawn(&mut random, &SIZES);
    let scrubbed = members.change_on(&all, async |fs| {
        for round in 0..random.below(4) {
            fill(fs, &format!("before {round}"), 3).await?;
            fs.sync().await?;
        }
        // No header may land on a place that is about to rot.
        fs.level().await?;
        let hit: Vec<bool> = members.disks.iter().map(|disk| rot(disk, &mut random)).collect();
        let mended = fs.scrub().await?.headers_mended;
        let mended: Vec<usize> = mended.iter().map(|index| usize::from(index.0)).collect();
        let hit: Vec<usize> = all.iter().copied().filter(|number| hit[*number]).collect();
        assert_eq!(mended, hit);
        for disk in &members.disks {
            assert!(written_places(disk).into_iter().all(|place| is_good(disk, place)));
        }
        assert!(fs.scrub().await?.headers_mended.is_empty());
        fill(fs, "after", 3).await?;
        fs.sync().await
    });
    scrubbed.unwrap().unwrap();
    members.expect_alike(&all);
    for number in all {
        assert_eq!(members.problems(number), [""; 0]);
    }
}

#[test]
fn headers_that_rot_are_written_again_by_a_scrub() {
    runs::for_each_seed(20, 500, rot_and_scrub);
}
