//! What a kernel lends `hammer2-core`: memory, block devices, time, a place to run, a log.
//!
//! Nothing here assumes a particular kernel. Whatever is a kernel's own (how to read a tick counter, where a byte of log
//! goes, how to wait for an interrupt, what a virtual address is to a device) comes in through a trait. Userspace uses the
//! memory [`budget`] and the [`monitor`] too, without the disk driver, which is the feature `virtio`, and speaks with a mount
//! inside a kernel by [`administration`].
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(test)]
extern crate std;

pub mod administration;
pub mod budget;
pub mod executor;
pub mod heap;
pub mod logger;
pub mod monitor;
#[cfg(feature = "virtio")]
pub mod pci;
pub mod timer;
#[cfg(feature = "virtio")]
pub mod virtio_blk;
