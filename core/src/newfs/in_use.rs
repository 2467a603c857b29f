//! Refusing devices to which a mount writes (protocol 8).

use super::NewfsError;
use crate::io::{Disk, read_heartbeat, watch_disk};
use crate::media::Heartbeat;
use crate::media::heartbeat::HEARTBEAT_OFFSET;
use crate::memory::Heap;

/// Fails if a mount, on this machine or another, writes to one of these devices.
pub(super) async fn refuse(disks: &[&Disk], heap: Heap) -> Result<(), NewfsError> {
    for disk in disks.iter().filter(|disk| disk.info().is_shared) {
        let Some(seen) = heartbeat(disk, heap).await? else { continue };
        watch_disk(disk, seen.watch()).await;
        if let Some(now) = heartbeat(disk, heap).await?
            && now != seen
        {
            let device = disk.info().name;
            return Err(NewfsError::InUse { device, host: now.host, time: now.time });
        }
    }
    Ok(())
}

/// The heartbeat of a mount that hasn't released the device.
async fn heartbeat(disk: &Disk, heap: Heap) -> Result<Option<Heartbeat>, NewfsError> {
    let found = read_heartbeat(heap, disk).await?.map_err(NewfsError::at(disk.info(), HEARTBEAT_OFFSET))?;
    Ok(found.filter(|heartbeat| !heartbeat.is_released))
}
