//! Tests of the `hammer2` tool from the user's side.

mod answers;
mod asleep;
mod blkid;
mod boot;
mod bulkfree;
mod commands;
mod content;
mod destroy;
mod detach;
mod errors;
mod export_server;
mod exports;
mod folder;
mod golden_damage;
mod growfs;
mod habits;
mod installed;
mod lost_freemap;
mod lost_header;
mod mending;
mod mount;
mod naming;
#[path = "../filesystem/perform.rs"]
mod perform;
mod pictures;
mod printed;
mod quota;
mod rivals;
#[path = "../filesystem/runs.rs"]
#[allow(dead_code, reason = "shared with the tests of the filesystem")]
mod runs;
mod scan;
mod simulator;
mod slow_export;
mod strangers;
mod tar;
mod transfer;
mod transfer_model;
mod writing;
