//! What a kernel provides to `hammer2-core`: memory, block devices, time, a place to run, a log.
//!
//! Nothing here assumes a particular kernel. Everything that depends on the kernel (how to read a tick counter, where a byte of
//! log goes, how to wait for an interrupt, what a virtual address is to a device) comes in through a trait. Userspace also uses
//! the memory [`budget`] and the [`monitor`], without the disk driver, which is the feature `virtio`, and communicates with a
//! mount inside a kernel through [`administration`].
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
