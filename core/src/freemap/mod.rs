//! The freemap: where new blocks go (format 6).
//!
//! Its blocks are chains like all others, below the header's second set, but their places are computed, not allocated. While the
//! filesystem runs, only blocks that no commit ever saw are freed; bulkfree frees the rest.

mod allocator;
mod bulkfree;
mod leaf;
mod lost;
mod record;
mod recount;

pub(crate) use allocator::Allocator;
pub use bulkfree::BulkfreeCounts;
pub(crate) use bulkfree::{merge, note_used};
