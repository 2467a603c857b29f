//! What a host provides for `hammer2-core`: devices on files, disks and NBD exports, time, random numbers, an executor, the
//! processor's check functions, other processors; and, for tests, virtual time and the replay of power cuts.
//!
//! # Example
//!
//! An image is made in a file, mounted and written to. A block device is opened by its path in the same way, an export of an NBD
//! server by [`NbdDevice`](device::NbdDevice).
//!
//! ```
//! use std::fs::File;
//! use std::path::Path;
//!
//! use allocator_api2::alloc::Global;
//! use hammer2_core::cluster::{EntryBatch, PfsSelector};
//! use hammer2_core::fs::{Cookie, FileSystem, MountOptions, NewFile, TimeSource};
//! use hammer2_core::io::{Disk, DiskOptions, boxed_device};
//! use hammer2_core::media::{FileKind, Inum};
//! use hammer2_core::memory::{self, Heap, Vec};
//! use hammer2_core::newfs::{NewfsOptions, newfs};
//! use hammer2_host::clock::HostClock;
//! use hammer2_host::device::{Access, FileDevice};
//! use hammer2_host::executor::Executor;
//! use hammer2_host::random::fill_random;
//! use hammer2_host::time_source::HostTime;
//!
//! /// All memory comes from here. `Budget` of `hammer2-kmod-shim` in its place sets a limit.
//! const HEAP: Heap = &Global;
//!
//! async fn work(path: &Path, clock: &'static HostClock) -> Result<(), Box<dyn std::error::Error>> {
//!     // The file is locked from here on: nobody else writes to it.
//!     let device = boxed_device(HEAP, FileDevice::open(path, Access::Write)?)?;
//!     let disk = Disk::new(HEAP, device, clock, DiskOptions::default())?;
//!     let mut random = |bytes: &mut [u8]| fill_random(bytes).expect("the kernel has random numbers");
//!     newfs(&[&disk], &NewfsOptions::default(), HEAP, &mut random, HostTime.now()).await?;
//!
//!     let mut disks = Vec::new_in(HEAP);
//!     memory::push(&mut disks, disk)?;
//!     let fs = FileSystem::mount(HEAP, disks, PfsSelector::Label(b"DATA"), MountOptions::default()).await?;
//!     let fs = fs.make_writable(&HostTime).await?;
//!     let file = fs.create(Inum::PFS_ROOT, b"greeting", &NewFile::new(FileKind::Regular, 0o644)).await?;
//!     fs.write(file, 0, b"hello, world").await?;
//!
//!     // A directory is read piece by piece, so that memory for a part of it is enough.
//!     let mut batch = EntryBatch::new(HEAP, 32 << 10)?;
//!     let mut next = Some(Cookie::START);
//!     while let Some(from) = next {
//!         next = fs.read_directory(Inum::PFS_ROOT, from, &mut batch).await?.next;
//!         for entry in batch.iter() {
//!             println!("{} {}", entry.inum, entry.name.escape_ascii());
//!         }
//!     }
//!     // Everything is durable when this returns.
//!     fs.unmount().await?;
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("image");
//! File::create_new(&path)?.set_len(256 << 20)?;
//! let clock = HostClock::leaked();
//! Executor::new(clock).block_on(work(&path, clock))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod check_functions;
pub mod clock;
pub mod device;
pub mod executor;
pub mod mount_table;
pub mod processors;
pub mod random;
pub mod replay;
pub mod runtime_dir;
pub mod time_source;
pub mod unsynced;
pub mod virtual_time;
