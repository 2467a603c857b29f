//! The tool's mounts, as programs meet them. They need FUSE and root, so they are run by `scripts/test mount`.

mod administration;
mod cluster;
mod content;
mod ends;
mod exchange;
mod hostile;
mod killed;
mod log;
mod mounted;
mod tour;
