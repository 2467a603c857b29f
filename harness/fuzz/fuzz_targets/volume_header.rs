//! Volume headers of one volume, and of a set of two.
#![no_main]

use std::rc::Rc;

use hammer2_core::io::MemoryDisk;
use hammer2_core::media::VolumeHeader;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::node::{self, NodeOptions};
use hammer2_fuzz::medium::{self, HEAP};
use hammer2_fuzz::run;
use libfuzzer_sys::fuzz_target;
use zerocopy::{FromBytes, IntoBytes};

/// The part of a header that has fields.
const FIELDS_BYTES: usize = 0x1000;
const OPTIONS: NodeOptions = NodeOptions { cache_bytes: 1 << 20, modified_bytes: 64 << 10, slots: 16 };

fuzz_target!(|input: &[u8]| {
    let Some((sizes, fields)) = input.split_first_chunk::<4>() else { return };
    let mut disks = Vec::new();
    for (bytes, size) in fields.chunks(FIELDS_BYTES).take(2).zip(sizes.chunks(2)) {
        let size = u64::from(u16::from_le_bytes([size[0], size[1]])) << 23;
        disks.extend(volume(bytes, size));
    }
    run::run(async {
        let Ok(drives) = medium::open(run::heap(), &disks) else { return };
        if let Ok(node) = node::open(run::heap(), drives, OPTIONS).await {
            let total = node.volumes().total_bytes();
            assert!(total <= disks.iter().map(|disk| disk.size_bytes()).sum());
            assert_eq!(node.volumes().iter().count(), node.header().volume_count());
        }
    });
});

/// A disk with a header of these fields, with good check codes.
fn volume(fields: &[u8], size_bytes: u64) -> Option<Rc<MemoryDisk>> {
    let mut bytes = vec![0; VOLUME_HEADER_BYTES];
    bytes[..fields.len()].copy_from_slice(fields);
    let header = VolumeHeader::mut_from_bytes(&mut bytes).ok()?;
    header.seal();
    if header.check_identity().is_ok() && header.check_fields(size_bytes).is_ok() {
        assert!(header.volu_size() <= size_bytes && header.next_copy(0) < 4);
    }
    let disk = MemoryDisk::new(HEAP, size_bytes);
    disk.write_at(0, header.as_bytes()).ok()?;
    Some(Rc::new(disk))
}
