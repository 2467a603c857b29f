//! The least and the most that a filesystem has: its options and layout are held to these limits, and errors name them.

/// The smallest filesystem with room for anything.
pub const MIN_TOTAL_BYTES: u64 = 32 << 20;
/// Labels newfs makes, LOCAL included: what the super-root's inode holds without an indirect block.
pub const MAX_LABELS: usize = 4;
