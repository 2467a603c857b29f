//! Checking whether a node's devices still answer.

use super::{Node, NodeError};
use crate::io::{Buffer, DeviceOffset, SECTOR_BYTES, Volume};

impl Node {
    /// Reads a sector of every volume; fails with the fault of the first volume that fails or doesn't answer in time.
    pub async fn probe(&self) -> Result<(), NodeError> {
        for Volume { disk, .. } in self.volumes().iter() {
            let buffer = Buffer::new(self.heap, SECTOR_BYTES as usize)?;
            let read = disk.read(DeviceOffset(0), buffer).await;
            read.map_err(|error| self.device_failed(disk, error))?;
        }
        Ok(())
    }
}
