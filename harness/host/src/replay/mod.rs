//! The possible states of a disk after a power cut, from the log of its writes.
//! Flushed writes are there; of later writes some are, in any order, some of them torn.

pub mod write_log;

use hammer2_core::io::{DeviceError, MemoryDisk};
use hammer2_core::memory::NoMemory;
use hammer2_core::random::Random;

use write_log::Event;

const SECTOR_BYTES: usize = 512;

/// A disk on its way through its log.
pub struct Replay<'l> {
    /// The disk with all flushed writes.
    durable: MemoryDisk,
    /// The writes since the last flush.
    pending: Vec<(u64, &'l [u8])>,
}

impl<'l> Replay<'l> {
    /// Begins with the disk as it was before its log.
    pub fn new(before: MemoryDisk) -> Self {
        Self { durable: before, pending: Vec::new() }
    }

    /// Takes the next entry of the log.
    pub fn take(&mut self, event: Event<'l>) -> Result<(), DeviceError> {
        match event {
            Event::Flush => self.pending.drain(..).try_for_each(|(offset, data)| self.durable.write_at(offset, data)),
            Event::Write { offset, data, forced: true } => self.durable.write_at(offset, data),
            Event::Write { offset, data, forced: false } => {
                self.pending.push((offset, data));
                Ok(())
            }
        }
    }

    /// A possible state of the disk after a power cut at this place.
    pub fn cut(&self, random: &mut Random) -> Result<MemoryDisk, CutError> {
        let disk = self.durable.try_clone()?;
        let mut order: Vec<usize> = (0..self.pending.len()).collect();
        random.shuffle(&mut order);
        order.truncate(random.index(order.len() + 1));
        for write in order {
            let (offset, data) = self.pending[write];
            let is_torn = random.index(6) == 0;
            let sectors = random.next_u64();
            for (index, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                if !is_torn || sectors.rotate_left(index as u32 * 7) & 1 == 0 {
                    disk.write_at(offset + (index * SECTOR_BYTES) as u64, sector)?;
                }
            }
        }
        Ok(disk)
    }
}

/// Why a cut can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// There is no memory for another disk.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// The log writes beyond the end of the disk.
    #[error("the log doesn't fit the disk: {0}")]
    Write(#[from] DeviceError),
}
