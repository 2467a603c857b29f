//! Whether a node's devices still answer.

use super::{Node, NodeError};
use crate::io::{Buffer, DeviceOffset, SECTOR_BYTES};

impl Node {
    /// Reads a sector of every volume; the fault of the first that doesn't answer in time, or with an error.
    pub async fn probe(&self) -> Result<(), NodeError> {
        for (number, volume) in (0..).zip(self.volumes().iter()) {
            let buffer = Buffer::new(self.heap, SECTOR_BYTES as usize)?;
            let read = volume.disk.read(DeviceOffset(0), buffer).await;
            read.map_err(|error| self.device_failed(number, error))?;
        }
        Ok(())
    }
}
