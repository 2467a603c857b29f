//! Block devices and what stands between them and the topology: requests with deadlines, buffers, the block cache.
//!
//! A device is driven by submission ([`BlockDevice`]): it owns a request's buffer until the request is complete, so a request
//! that hangs or is abandoned never leaves memory that a device may still write to. [`Disk`] is a device's one owner and turns
//! submissions into futures with a deadline. There is no executor here: the host of the core polls it.
//!
//! Everything that tests and tools put between a device and its user (faults, a log, counters) is a public wrapper that
//! implements [`BlockDevice`] itself: see [`wrap`].

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
