//! Protection of others' filesystems and of disks in use; and protection from others: servers that send anything, at any pace.
//! `scripts/test strangers` runs the tests that need root, loop devices and programs that make filesystems.

mod busy;
mod content;
mod exports;
mod formats;
mod loop_device;
mod planted;
