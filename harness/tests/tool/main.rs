//! The `hammer2` tool as its user meets it.

mod answers;
mod bulkfree;
mod content;
mod exports;
mod folder;
mod growfs;
mod naming;
mod writing;
