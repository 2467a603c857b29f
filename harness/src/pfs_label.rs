//! Labels of PFSs.

use hammer2_core::media::inode::INODE_NAME_BYTES;

/// True for a label that a PFS can have, and that can be named on the command line.
pub(crate) fn is_valid(label: &[u8]) -> bool {
    (1..INODE_NAME_BYTES).contains(&label.len()) && !label.iter().any(|byte| matches!(byte, b'/' | b'@' | b':'))
}
