//! The log that QEMU's `blklogwrites` makes of a disk: all writes, in order, with the flushes between them.
//! It has a superblock, then entries; each is a sector of its own, with the data behind it. All numbers are little-endian.

use std::error::Error;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FORCE_UNIT_ACCESS: u64 = 2;
const DISCARD: u64 = 4;

/// A request to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'l> {
    /// All writes before it are durable once it has ended.
    Flush,
    /// A write.
    Write {
        /// The offset in bytes.
        offset: u64,
        /// The bytes.
        data: &'l [u8],
        /// Durable by itself.
        forced: bool,
    },
}

fn number(bytes: &[u8], at: usize) -> Result<u64, Box<dyn Error>> {
    Ok(u64::from_le_bytes(bytes.get(at..at + 8).ok_or("the log ends too early")?.try_into()?))
}

/// Reads a log up to the end that its superblock states.
pub fn parse(log: &[u8]) -> Result<Vec<Event<'_>>, Box<dyn Error>> {
    if number(log, 0)? != MAGIC || number(log, 8)? != 1 {
        return Err("no log of blklogwrites, version 1".into());
    }
    let entries = number(log, 16)?;
    let sector_bytes = (number(log, 24)? & u64::from(u32::MAX)) as usize;
    let mut events = Vec::new();
    let mut at = sector_bytes;
    for _ in 0..entries {
        let (sector, sectors, flags) = (number(log, at)?, number(log, at + 8)? as usize, number(log, at + 16)?);
        at += sector_bytes;
        let offset = sector * sector_bytes as u64;
        if flags & FLUSH != 0 {
            events.push(Event::Flush);
        }
        if flags & DISCARD != 0 {
            return Err("the log has a discard, which the workload never asks for".into());
        }
        if sectors > 0 {
            let data = log.get(at..at + sectors * sector_bytes).ok_or("the log ends in a write")?;
            events.push(Event::Write { offset, data, forced: flags & FORCE_UNIT_ACCESS != 0 });
            at += data.len();
        }
    }
    Ok(events)
}
