//! A node by itself.

extern crate std;

use std::vec::Vec;

use super::survey::Since;
use super::*;
use crate::chain::Container;
use crate::io::ReadError;
use crate::io::testing::{HEAP, Still, now};
use crate::media::freemap::FREEMAP_BLOCK_BYTES;
use crate::media::{BlockKind, FileKind, Inode, MediaOffset, Radix};
use crate::newfs::NewfsOptions;
use crate::selftest::image::{Image, Spread};

fn image() -> Image {
    now(Image::format(HEAP, &Still, &[1 << 30], &NewfsOptions::default(), Spread::Packed, 7)).unwrap()
}

fn open_image(image: &Image) -> Node {
    now(open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap()
}

fn node() -> Node {
    open_image(&image())
}

#[test]
fn the_limit_of_modified_memory_is_on_again_after_a_failure() {
    let node = node();
    let mut calls = 0;
    let failed = now(node.drive_change(|topology, _, _| {
        calls += 1;
        // Everything was written for it, and it still fails.
        assert_eq!(topology.manner.over_limit, calls == 2);
        let no_memory = ChainError::new(&Blockref::EMPTY, ReadError::NoMemory);
        Err::<(), _>(if calls == 1 { Stop::Full } else { Stop::Failed(no_memory) })
    }));
    assert_eq!((failed, calls), (Err(NodeError::NoMemory), 2));
    assert!(!node.topology.borrow().manner.over_limit);
}

/// Makes a PFS of no content, which takes room for its inode.
fn add_pfs(node: &Node, key: Key) {
    let mut inode = Inode::new(FileKind::Directory);
    inode.meta.set_name_key(key);
    let create = Modification::CreatePfs { inode: &inode, key, origin: None };
    assert_eq!(now(node.modify(node.next_super_tid(), create)), Ok(Outcome::Done));
}

/// The leaf of the freemap, as it was written last.
fn leaf(node: &Node) -> Blockref {
    let found = now(node.change_over_limit(|topology, _, blocks| {
        let (container, index) = topology.descend(blocks, Container::FreemapSet, Key(0))?;
        Ok(index.map(|index| topology.array(container).entries()[index]))
    }));
    found.unwrap().unwrap()
}

/// A place of one chunk; none where none is known to be free.
fn allocate(node: &Node) -> Option<MediaOffset> {
    let chunk = Radix::holding(CHUNK_BYTES as usize).unwrap();
    let place = node.with_freemap(|topology, allocator, blocks| {
        allocator.allocate(topology, blocks, BlockKind::Data, chunk, Key(0))
    });
    now(place).unwrap_or_default().map(|place| place.offset())
}

#[test]
fn what_a_header_on_its_way_commits_stays_in_use_when_its_freemap_is_lost() {
    let image = image();
    let node = open_image(&image);
    (0..100).for_each(|number| add_pfs(&node, Key(1 << 63 | number << 32)));
    assert_eq!(now(node.fix()), Ok(true));
    // The freemap's leaf is on the disk, and rots, before the header is there.
    now(node.settle()).unwrap();
    let place = leaf(&node).data_off().offset();
    image.disks()[0].write_at(place.0, &[0xff; 16]).unwrap();
    node.blocks.invalidate(place, FREEMAP_BLOCK_BYTES);
    assert_eq!(allocate(&node), None, "nobody can tell yet what is free");
    assert_eq!(now(node.land()), Ok(true));
    assert_eq!(now(node.free_lost()), Ok(true), "what is committed tells it");
    let given: Vec<_> = (0..1000).map(|_| allocate(&node).unwrap()).collect();
    now(node.survey(Since::Ever, &mut |bref| {
        let chunk = MediaOffset(bref.data_off().offset().0 / CHUNK_BYTES * CHUNK_BYTES);
        assert!(!given.contains(&chunk), "{} was given away", bref.name());
    }))
    .unwrap();
}
