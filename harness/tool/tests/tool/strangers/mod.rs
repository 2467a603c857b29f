//! What must not happen to what others have: filesystems, disks that are in use; and what others can't do to us: servers that
//! send anything, at any pace.
//!
//! What needs root, loop devices and programs that make filesystems is run by `scripts/test strangers`.

mod busy;
mod content;
mod exports;
mod formats;
mod loop_device;
mod planted;
