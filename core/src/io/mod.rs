//! Block devices and what stands between them and the topology: requests with deadlines, buffers, the block cache.
//!
//! A device is driven by submission ([`BlockDevice`]): it owns a request's buffer until the request is complete, so a request
//! that hangs or is abandoned never leaves memory that a device may still write to. [`Disk`] is a device's one owner and turns
//! submissions into futures with a deadline. There is no executor here: the host of the core polls it.
//!
//! Everything that tests and tools put between a device and its user (faults, a log, counters) is a public wrapper that
//! implements [`BlockDevice`] itself: see [`wrap`].
//!
//! # Example
//!
//! `HEAP` and `Still` are like those of the [first example](crate#example), a heap and a clock.
//!
//! A device of one's own is four methods. This one has its bytes in memory, and is done with a request before it has taken the
//! next; one that isn't keeps the waker of `poll`, and wakes it from wherever it learns that a request is complete.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/in_memory.txt"));
//! use core::cell::RefCell;
//! use core::task::{Context, Poll};
//!
//! use hammer2_core::io::{
//!     BlockDevice, Buffer, Completion, DeviceError, DeviceInfo, DeviceName, DeviceOffset, Disk, DiskOptions, Operation, Request,
//!     Ticket, boxed_device,
//! };
//!
//! struct Ram {
//!     info: DeviceInfo,
//!     bytes: RefCell<Vec<u8>>,
//!     done: RefCell<Option<Completion>>,
//! }
//!
//! impl Ram {
//!     fn new(size: usize) -> Self {
//!         let name = DeviceName::new(&"ram");
//!         // One request at a time.
//!         let info = DeviceInfo { name, size_bytes: size as u64, queue_depth: 1, read_only: false, is_shared: false };
//!         Self { info, bytes: RefCell::new(vec![0; size]), done: RefCell::new(None) }
//!     }
//! }
//!
//! impl BlockDevice for Ram {
//!     fn info(&self) -> &DeviceInfo {
//!         &self.info
//!     }
//!
//!     fn submit(&self, _: Ticket, mut request: Request) {
//!         let result = self.info.admit(&request).map(|()| {
//!             let (extent, mut bytes) = (request.extent(), self.bytes.borrow_mut());
//!             let range = extent.start as usize..extent.end as usize;
//!             match request.operation {
//!                 Operation::Read(_) => request.buffer.bytes_mut().copy_from_slice(&bytes[range]),
//!                 Operation::Write(_) => bytes[range].copy_from_slice(request.buffer.bytes()),
//!                 Operation::Zero { .. } => bytes[range].fill(0),
//!                 Operation::Flush | Operation::Discard { .. } => {}
//!             }
//!         });
//!         self.done.replace(Some(Completion { buffer: request.buffer, result }));
//!     }
//!
//!     fn poll(&self, _: Ticket, _: &mut Context<'_>) -> Poll<Completion> {
//!         self.done.take().map_or(Poll::Pending, Poll::Ready)
//!     }
//!
//!     fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
//!         Poll::Ready(Ok(()))
//!     }
//! }
//!
//! async fn example() -> Result<(), Box<dyn std::error::Error>> {
//!     // A disk is the device's owner: it waits for completions, and no longer than until their deadline.
//!     let device = boxed_device(HEAP, Ram::new(1 << 20))?;
//!     let disk = Disk::new(HEAP, device, &Still, DiskOptions::default())?;
//!     let mut buffer = Buffer::new(HEAP, 4096)?;
//!     buffer.bytes_mut().fill(7);
//!     disk.write(DeviceOffset(8192), buffer).await?;
//!     disk.flush().await?;
//!     let buffer = disk.read(DeviceOffset(8192), Buffer::new(HEAP, 512)?).await?;
//!     assert_eq!(buffer.bytes(), [7; 512]);
//!     let beyond = disk.read(DeviceOffset(1 << 20), buffer).await;
//!     assert_eq!(beyond.err(), Some(DeviceError::OutOfRange));
//!     Ok(())
//! }
//! # fn main() {
//! #     run(example()).unwrap();
//! # }
//! ```

mod block_cache;
mod buffer;
mod clock;
mod device;
mod disk;
mod heartbeat;
mod memory_disk;
mod permission;
#[cfg(test)]
pub(crate) mod testing;
mod time_source;
mod turns;
mod volumes;
mod wakers;
mod workers;
pub mod wrap;

pub use block_cache::{Block, BlockCache, MIN_CACHE_BYTES, ReadError};
pub use buffer::{Buffer, PAGE_BYTES};
pub use clock::{Clock, Duration, Instant};
pub use device::{
    Begin, BlockDevice, Completion, DeviceBox, DeviceError, DeviceInfo, DeviceName, DeviceOffset, Operation, Readiness,
    Request, SECTOR_BYTES, Ticket, boxed_device,
};
pub use disk::{DeviceErrors, Disk, DiskOptions};
pub(crate) use disk::{Progress, RequestId, TicketWait};
pub use heartbeat::read_heartbeat;
pub(crate) use heartbeat::{announce_watch, watch_disk};
pub use memory_disk::{MemoryDevice, MemoryDisk};
pub use permission::Permission;
pub use time_source::TimeSource;
pub use turns::{Turn, Turns};
pub use volumes::{Volume, Volumes};
pub use wakers::Wakers;
pub use workers::{EncodedBlock, Job, JobId, Tools, Workers};
