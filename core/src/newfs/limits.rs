//! What a filesystem has at the least and at the most: who chooses and lays out is held to it, and errors tell of it.

/// The smallest filesystem with room for anything.
pub const MIN_TOTAL_BYTES: u64 = 32 << 20;
/// Labels newfs makes, LOCAL included: what the super-root's inode holds without an indirect block.
pub const MAX_LABELS: usize = 4;
