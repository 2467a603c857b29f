//! HAMMER2, DragonFly BSD's copy-on-write filesystem, as a library for kernels and for userspace.
//!
//! The library reads and writes volumes, checks them ([`fsck`]) and makes new ones ([`newfs`]). It has no operating system
//! below it and no executor in it: devices, time and memory are given to it, and whoever runs it polls its futures. Every
//! byte from a disk is treated as hostile, and no more memory is used than was given.
//!
//! # The floors
//!
//! Each module uses only those below it. The three without a link are no part of what the library promises: with the feature
//! `raw`, `node` and what of `chain` reads blocks are public, for tools, tests and fuzzers that look below the filesystem.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`fs`] | files and directories: what a user calls |
//! | [`cluster`] | nodes as one: commands down, one answer up; with as many nodes as there are |
//! | `node` | one member: a volume set with its super-root and PFSs |
//! | `freemap` | where new blocks go |
//! | `chain` | one node's topology: lookup, iteration, modified chains |
//! | [`io`] | block devices, deadlines, the block cache |
//! | [`media`] | what is on disk: plain data, no I/O |
//! | [`memory`] | the heap that is given, and can run out |
//!
//! Beside them: [`newfs`] makes filesystems, [`fsck`] checks them, [`rescue`] reads what is left of them, [`manifest`] puts all
//! of one into text; [`random`] serves tests and simulators.
//!
//! # Example
//!
//! A disk in memory is formatted, mounted and written to. A real user brings a device of their own ([`io::BlockDevice`]), a
//! clock that rings and an executor that sleeps; `hammer2-kmod-shim` has them for kernels, `hammer2-host` for Linux.
//!
//! ```
//! use core::pin::pin;
//! use core::task::{Context, Poll, Waker};
//!
//! use allocator_api2::alloc::Global;
//! use hammer2_core::cluster::PfsSelector;
//! use hammer2_core::fs::{Error, FileSystem, MountOptions, NewFile, TimeSource};
//! use hammer2_core::io::{Clock, Disk, DiskOptions, Instant, MemoryDevice, MemoryDisk, boxed_device};
//! use hammer2_core::media::{FileKind, Inum, Timestamp};
//! use hammer2_core::memory::{self, Heap, Vec};
//! use hammer2_core::newfs::{NewfsOptions, newfs};
//!
//! /// Time that stands still: a disk in memory needs no deadlines.
//! struct Still;
//!
//! impl Clock for Still {
//!     fn now(&self) -> Instant {
//!         Instant { nanoseconds: 0 }
//!     }
//!     fn wake_at(&self, _: Instant, _: &Waker) {}
//! }
//!
//! impl TimeSource for Still {
//!     fn now(&self) -> Timestamp {
//!         Timestamp { microseconds: 0 }
//!     }
//!
//!     fn random(&self) -> u64 {
//!         7
//!     }
//! }
//!
//! async fn example() -> Result<(), Box<dyn std::error::Error>> {
//!     // All memory comes from here. A `Budget` in its place sets a limit.
//!     let heap: Heap = &Global;
//!     let medium: &'static MemoryDisk = Box::leak(Box::new(MemoryDisk::new(heap, 1 << 30)));
//!     let device = boxed_device(heap, MemoryDevice::new(heap, medium, &"memory", 16)?)?;
//!     let disk = Disk::new(heap, device, &Still, DiskOptions::default())?;
//!
//!     // Real users have better random numbers, for the UUIDs.
//!     let mut random = |bytes: &mut [u8]| bytes.fill(7);
//!     let report = newfs(&[&disk], &NewfsOptions::default(), heap, &mut random, Timestamp { microseconds: 0 }).await?;
//!     assert_eq!(report.total_bytes, 1 << 30);
//!
//!     let mut disks = Vec::new_in(heap);
//!     memory::push(&mut disks, disk)?;
//!     let fs = FileSystem::mount(heap, disks, PfsSelector::Label(b"DATA"), MountOptions::default()).await?;
//!     assert_eq!(fs.pfs().label, b"DATA");
//!     assert_eq!(fs.resolve(b"/no/such/file").await, Err(Error::NotFound));
//!
//!     let fs = fs.make_writable(&Still).await?;
//!     let file = fs.create(Inum::PFS_ROOT, b"greeting", &NewFile::new(FileKind::Regular, 0o644)).await?;
//!     fs.write(file, 0, b"hello, world").await?;
//!     fs.sync().await?; // From here on it survives a crash.
//!     let mut content = [0; 5];
//!     assert_eq!(fs.read(file, 7, &mut content).await?, 5);
//!     assert_eq!(&content, b"world");
//!     Ok(())
//! }
//!
//! // Nothing ever has to wait for memory, so polling once is an executor here.
//! match pin!(example()).poll(&mut Context::from_waker(Waker::noop())) {
//!     Poll::Ready(result) => result.unwrap(),
//!     Poll::Pending => unreachable!("a disk in memory answers at once"),
//! }
//! ```
//!
//! # Errors
//!
//! - [`media::Corruption`]: what is wrong with bytes from a disk.
//! - [`io::DeviceError`]: what a device didn't do.
//! - [`cluster::NodeFault`]: one of these, and the block: a statement about one node.
//! - [`cluster::OpError`]: a statement about the operation, after all nodes were asked.
//! - [`fs::Error`]: what a user is told; has an equivalent among the usual error numbers.
//!
//! [`memory::NoMemory`] may come from anything that isn't plain data. Nothing is half done then, and the next call may work.
//!
//! # Limits
//!
//! - A cluster has up to eight nodes.
//! - A mount is used by one thread; its futures may interleave in any way.
//! - Volumes are those of little-endian machines, version 1 or 2, up to 64 of them in a set.
//!
//! # Features
//!
//! None is on by itself.
//!
//! - `raw` makes what is below [`cluster`] public, to work on one member block by block. It may change with any version.
//! - `selftest` adds the suite of test cases and the image builder it works on. It is for tests: the builder compresses with
//!   memory from the global allocator.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "selftest")]
extern crate alloc;

#[cfg(not(feature = "raw"))]
#[expect(unreachable_pub, reason = "what is public here is so with the feature `raw`")]
mod chain;
#[cfg(feature = "raw")]
pub mod chain;
pub mod cluster;
mod freemap;
pub mod fs;
pub mod fsck;
pub mod io;
pub mod manifest;
pub mod media;
pub mod memory;
pub mod newfs;
#[cfg(not(feature = "raw"))]
#[expect(unreachable_pub, reason = "what is public here is so with the feature `raw`")]
mod node;
#[cfg(feature = "raw")]
pub mod node;
pub mod random;
pub mod rescue;
#[cfg(feature = "selftest")]
pub mod selftest;
