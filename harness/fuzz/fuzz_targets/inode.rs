//! Inodes, and the arrays in their bodies.
#![no_main]

use hammer2_core::media::{Inode, Key};
use hammer2_fuzz::arrays;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((key, block)) = input.split_first_chunk::<8>() else { return };
    let Ok(inode) = Inode::in_block(block) else { return };
    let meta = &inode.meta;
    let _ = (meta.label(), meta.mode(), meta.pfs_kind(), meta.pfs_subkind(), meta.mtime().nanoseconds());
    if inode.check().is_ok() {
        assert!(meta.name().is_ok_and(|name| name.len() < 256) && meta.kind().is_ok());
        assert!(inode.block_array().is_some() || meta.size() <= inode.body.len() as u64);
    }
    if let Some(array) = inode.block_array() {
        arrays::check(array, Key(u64::from_le_bytes(*key)));
    }
});
