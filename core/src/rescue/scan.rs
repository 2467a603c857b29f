//! Looking at every kilobyte of the volumes.

use super::Rescue;
use super::recognition::{self, UNIT_BYTES};
use crate::io::{Buffer, DeviceError, DeviceOffset, Volume};
use crate::media::geometry::{LEAF_SPAN_BYTES, SEGMENT_BYTES};
use crate::media::{BlockKind, Blockref, Inode, MediaOffset, is_zero};
use crate::memory::NoMemory;

/// Bytes read at a time. The space reserved at the beginning of every gigabyte is a multiple of it.
const READ_BYTES: u64 = 1 << 20;
/// Sizes of the pieces in which an unreadable part is read again, so that little is lost with a bad sector.
const SMALLER_BYTES: [u64; 2] = [64 << 10, 4 << 10];

/// Receives what a scan finds.
pub trait Scanner {
    /// Something that looks like an inode.
    fn inode(&mut self, at: MediaOffset, inode: &Inode);
    /// A blockref of an inode or a name, in what looks like an array.
    fn blockref(&mut self, bref: &Blockref);
    /// Tells how many bytes have been looked at. Returning false ends the scan.
    fn progress(&mut self, bytes: u64) -> bool;
}

/// What a scan went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes that were looked at, or are known to be zeros.
    pub bytes: u64,
    /// Bytes that couldn't be read.
    pub unreadable_bytes: u64,
}

impl Rescue {
    /// Looks for inodes, and for blockrefs of inodes and names, anywhere on the volumes.
    pub async fn scan(&self, scanner: &mut dyn Scanner) -> Result<Scanned, NoMemory> {
        let mut scanned = Scanned::default();
        for volume in self.blocks.volumes().iter() {
            let end = volume.bytes().min(volume.disk.info().size_bytes);
            let (mut at, mut content) = (0, DeviceOffset(0));
            while at < end {
                // Reserved parts of the address space begin where a volume's own reserved parts do.
                if at % LEAF_SPAN_BYTES < SEGMENT_BYTES {
                    at += SEGMENT_BYTES - at % LEAF_SPAN_BYTES;
                    continue;
                }
                let bytes = READ_BYTES.min(end - at);
                if content.0 <= at {
                    content = volume.disk.next_content(DeviceOffset(at));
                }
                let is_hole = content.0 >= at + bytes;
                scanned.bytes += if is_hole { bytes } else { 0 };
                let looked =
                    if is_hole { Ok(()) } else { self.scan_piece(volume, at, bytes, &mut scanned, scanner).await? };
                match looked {
                    Ok(()) => {}
                    Err(DeviceError::Gone) => {
                        scanned.unreadable_bytes += end - at;
                        break;
                    }
                    Err(_) => self.scan_in_pieces(volume, at, bytes, &mut scanned, scanner).await?,
                }
                at += bytes;
                if !scanner.progress(scanned.bytes + scanned.unreadable_bytes) {
                    return Ok(scanned);
                }
            }
        }
        Ok(scanned)
    }

    /// Reads a piece in smaller pieces, around its bad sectors.
    async fn scan_in_pieces(
        &self,
        volume: &Volume,
        at: u64,
        bytes: u64,
        scanned: &mut Scanned,
        scanner: &mut dyn Scanner,
    ) -> Result<(), NoMemory> {
        let [middle, least] = SMALLER_BYTES;
        for start in (at..at + bytes).step_by(middle as usize) {
            let length = middle.min(at + bytes - start);
            if self.scan_piece(volume, start, length, scanned, scanner).await?.is_ok() {
                continue;
            }
            for small in (start..start + length).step_by(least as usize) {
                let length = least.min(start + length - small);
                if self.scan_piece(volume, small, length, scanned, scanner).await?.is_err() {
                    scanned.unreadable_bytes += length;
                }
            }
        }
        Ok(())
    }

    async fn scan_piece(
        &self,
        volume: &Volume,
        at: u64,
        bytes: u64,
        scanned: &mut Scanned,
        scanner: &mut dyn Scanner,
    ) -> Result<Result<(), DeviceError>, NoMemory> {
        let buffer = Buffer::new(self.heap, bytes as usize)?;
        let buffer = match volume.disk.read(DeviceOffset(at), buffer).await {
            Ok(buffer) => buffer,
            Err(error) => return Ok(Err(error)),
        };
        scanned.bytes += bytes;
        let total_bytes = self.total_bytes();
        for (index, unit) in buffer.bytes().chunks_exact(UNIT_BYTES).enumerate() {
            if is_zero(unit) {
                continue;
            }
            if let Some(inode) = recognition::inode(unit) {
                scanner.inode(MediaOffset(volume.base.0 + at + (index * UNIT_BYTES) as u64), inode);
                inode.body_set().iter().for_each(|entry| show(scanner, entry));
            } else if let Some(root) = recognition::super_root(unit) {
                root.body_set().iter().for_each(|entry| show(scanner, entry));
            } else {
                recognition::blockrefs(unit, total_bytes).iter().for_each(|entry| show(scanner, entry));
            }
        }
        Ok(Ok(()))
    }
}

fn show(scanner: &mut dyn Scanner, entry: &Blockref) {
    if matches!(entry.kind(), Ok(BlockKind::Inode | BlockKind::Dirent)) {
        scanner.blockref(entry);
    }
}
