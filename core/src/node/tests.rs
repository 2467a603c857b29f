//! A node by itself.

use super::*;
use crate::io::ReadError;
use crate::io::testing::{HEAP, Still, now};
use crate::newfs::NewfsOptions;
use crate::selftest::image::{Image, Spread};

fn node() -> Node {
    let image = now(Image::format(HEAP, &Still, &[1 << 30], &NewfsOptions::default(), Spread::Packed, 7)).unwrap();
    now(open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap()
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
