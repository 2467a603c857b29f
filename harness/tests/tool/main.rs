//! The `hammer2` tool as its user meets it.

mod answers;
mod boot;
mod bulkfree;
mod content;
mod destroy;
mod export_server;
mod exports;
mod folder;
mod growfs;
mod habits;
mod installed;
mod lost_freemap;
mod lost_header;
mod naming;
mod quota;
mod scan;
mod transfer;
mod transfer_model;
mod writing;
