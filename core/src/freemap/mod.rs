//! The freemap: where new blocks go (format 6).
//!
//! Its blocks are chains like all others, below the header's second set, but their places are computed, not allocated. Nothing
//! is freed while the filesystem runs but blocks that no commit ever saw; the rest is bulkfree's.

mod allocator;
mod bulkfree;
mod leaf;
mod lost;
mod record;
mod recount;

pub use allocator::Allocator;
pub use bulkfree::BulkfreeCounts;
pub(crate) use bulkfree::{merge, note_used};
