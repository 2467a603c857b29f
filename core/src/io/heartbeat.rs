//! Reading the heartbeat on a device, which tells who writes to it (protocol 8).

use super::{Buffer, DeviceError, DeviceOffset, Disk, Duration};
use crate::media::Heartbeat;
use crate::media::heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_OFFSET};
use crate::memory::{Heap, NoMemory};

/// The heartbeat on a root volume; none if there never was one.
pub async fn read_heartbeat(heap: Heap, disk: &Disk) -> Result<Result<Option<Heartbeat>, DeviceError>, NoMemory> {
    if disk.info().size_bytes < HEARTBEAT_OFFSET + HEARTBEAT_BYTES as u64 {
        return Ok(Ok(None));
    }
    let buffer = Buffer::new(heap, HEARTBEAT_BYTES)?;
    let read = disk.read(DeviceOffset(HEARTBEAT_OFFSET), buffer).await;
    Ok(read.map(|buffer| Heartbeat::read(buffer.bytes())))
}

/// Waits for `watch` while the heartbeat of a disk may move, and logs this first.
pub(crate) async fn watch_disk(disk: &Disk, watch: Duration) {
    announce_watch(disk);
    disk.sleep(watch).await;
}

/// Logs that a disk is watched.
pub(crate) fn announce_watch(disk: &Disk) {
    log::info!("{}: was not released by its last mount; watching it", disk.info().name);
}
