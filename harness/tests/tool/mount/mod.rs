//! The tool's mounts, as programs meet them. They need FUSE and root, so they are run by `scripts/test mount`.

mod administration;
mod aio;
mod backup_disk;
mod cluster;
mod content;
mod direct;
mod directory;
mod ends;
mod exchange;
mod facts;
mod handles;
mod hostile;
mod killed;
mod late;
mod log;
mod mount_8;
mod mounted;
mod nameless;
mod places;
mod quotas;
mod seeing;
mod slow_export;
mod snapshots;
mod tour;
mod two_hosts;
mod upkeep;
