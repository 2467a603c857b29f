//! A freemap that rots on one disk while the cluster is mounted: nothing reads it until something is allocated there.

use hammer2_core::cluster::NodeIndex;
use hammer2_core::fs::Error;
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::{BlockArray, BlockKind, KeyRange};

use super::members::{fill, newest_header, read};
use super::of_three;

/// Where a leaf of the freemap is that the newest header leads to.
fn freemap_leaf(disk: &MemoryDisk) -> u64 {
    let header = newest_header(disk);
    let mut entry = *header.freemap_blockset.iter().find(|entry| !entry.is_empty()).unwrap();
    while entry.kind() != Ok(BlockKind::FreemapLeaf) {
        let block = read(disk, entry.data_off().offset().0, entry.data_off().radix().unwrap().unwrap().bytes());
        let array = BlockArray::new(&block, KeyRange::ALL);
        entry = *array.entries().iter().find(|entry| !entry.is_empty()).unwrap();
    }
    entry.data_off().offset().0
}

#[test]
fn a_scrub_reads_freemaps_and_names_the_bad_one() {
    let members = of_three();
    let scrubs = members.change_on(&[0, 1, 2], async |fs| {
        fill(fs, "a", 10).await?;
        fs.sync().await?;
        let before = fs.scrub().await?;
        let disk = &members.disks[2];
        let leaf = freemap_leaf(disk);
        let flipped = read(disk, leaf, 1)[0] ^ 4;
        disk.write_at(leaf, &[flipped]).unwrap();
        Ok::<_, Error>((before, fs.scrub().await?))
    });
    let (before, after) = scrubs.unwrap().unwrap();
    assert_eq!(before.freemaps_bad.iter().count(), 0, "{before:?}");
    assert_eq!(after.freemaps_bad.iter().collect::<Vec<_>>(), [NodeIndex(2)], "{after:?}");
    assert_eq!((after.bad_blocks, after.ejected), (0, 0), "{after:?}");
}
