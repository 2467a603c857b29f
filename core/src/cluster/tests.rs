//! A cluster by itself.

use super::{Cluster, NodeOptions, OpError};
use crate::io::testing::{HEAP, Still, now};
use crate::media::Inum;
use crate::newfs::NewfsOptions;
use crate::selftest::image::{Image, Spread};

#[test]
fn a_cluster_has_only_so_many_slots() {
    let image = now(Image::format(HEAP, &Still, &[1 << 30], &NewfsOptions::default(), Spread::Packed, 7)).unwrap();
    let options = NodeOptions { slots: 100, ..NodeOptions::default() };
    let cluster = now(Cluster::open_one(HEAP, image.open(HEAP, &Still).unwrap(), options)).unwrap();
    let (root, _) = now(cluster.open_pfs(b"DATA")).unwrap().unwrap();
    let mut opened = (0..options.slots).map(|_| now(cluster.open_inode(root, Inum::PFS_ROOT)));
    let refused = opened.find(Result::is_err);
    assert!(matches!(refused, Some(Err(OpError::TooManyOpen))), "there is no end to them");
}
