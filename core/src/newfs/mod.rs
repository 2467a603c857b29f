//! Making a filesystem on one device or several (format 8).
//!
//! Everything is computed first: a request that can't be met changes nothing. Then old content is wiped where a reader might take
//! it for ours, the first inodes are written, and last the headers, which make it a filesystem. The freemap is empty, which means
//! that all space is free.
//!
//! # Example
//!
//! `HEAP` and `Still` are like those of the [first example](crate#example), a heap and a clock.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/in_memory.txt"));
//! use hammer2_core::io::Disk;
//! use hammer2_core::media::Timestamp;
//! use hammer2_core::newfs::{LabelError, NewfsError, NewfsOptions, newfs};
//!
//! async fn format_disk(disk: &Disk) -> Result<(), NewfsError> {
//!     // Real users have better random numbers, and know what time it is.
//!     let mut random = |bytes: &mut [u8]| bytes.fill(7);
//!     let now = Timestamp { microseconds: 0 };
//!
//!     // What can't be done is refused before anything is written.
//!     let wrong = NewfsOptions { labels: &[b"a/b"], ..NewfsOptions::default() };
//!     let refused = newfs(&[disk], &wrong, HEAP, &mut random, now).await;
//!     assert_eq!(refused, Err(NewfsError::Label { index: 1, error: LabelError::Forbidden }));
//!
//!     let options = NewfsOptions { labels: &[b"HOME"], ..NewfsOptions::default() };
//!     let report = newfs(&[disk], &options, HEAP, &mut random, now).await?;
//!     assert_eq!((report.volumes, report.total_bytes), (1, 256 << 20));
//!     Ok(())
//! }
//! # fn main() {
//! #     run(format_disk(&disk_on(medium(256 << 20)))).unwrap();
//! # }
//! ```

mod content;
mod error;
mod in_use;
mod layout;
mod limits;
mod options;
mod wipe;

use core::ops::Range;

pub use error::{LabelError, NewfsError};
pub use limits::{MAX_LABELS, MIN_TOTAL_BYTES};
pub use options::{DEFAULT_LABEL, LOCAL, NewfsOptions};

use crate::io::{Buffer, DeviceOffset, Disk, SECTOR_BYTES};
use crate::media::geometry::{
    HEADER_COPIES, SEGMENT_BYTES, SLOT_BYTES, VOLUME_ALIGN_BYTES, header_copies, header_offset,
};
use crate::media::volume_header::{MAGIC, MAGIC_SWAPPED};
use crate::media::{Timestamp, Uuid};
use crate::memory::Heap;

use content::Content;
use layout::Layout;

/// How much of a header copy is read to see whether it is one.
const PROBE_BYTES: u64 = 4096;

/// The filesystem that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewfsReport {
    /// The filesystem's name for itself.
    pub fsid: Uuid,
    /// The number of its volumes.
    pub volumes: usize,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Size of the boot area in bytes.
    pub boot_bytes: u64,
    /// Size of the aux area in bytes.
    pub aux_bytes: u64,
    /// The number of bytes that can be allocated.
    pub allocator_bytes: u64,
    /// Copies of the header written, on all volumes together.
    pub header_copies: usize,
}

/// Makes a filesystem on `disks`, which become its volumes in this order. What was on them is lost. Disks that other machines can
/// reach are watched first if a mount that never ended has written to them; a mount that still writes is an error.
///
/// `random` fills its argument with random bytes, for UUIDs.
pub async fn newfs(
    disks: &[&Disk],
    options: &NewfsOptions<'_>,
    heap: Heap,
    random: &mut dyn FnMut(&mut [u8]),
    now: Timestamp,
) -> Result<NewfsReport, NewfsError> {
    let labels = options.all_labels()?;
    let layout = Layout::new(disks.iter().map(|disk| disk.info()), options)?;
    if let Some(disk) = disks.iter().find(|disk| disk.info().read_only) {
        return Err(NewfsError::ReadOnly(disk.info().name));
    }
    in_use::refuse(disks, heap).await?;
    let fsid = content::random_uuid(random);
    let content = Content { layout: &layout, labels: &labels, fsid, now };
    let (inodes, super_root) = content.inodes(heap, random)?;

    for (index, disk) in disks.iter().enumerate() {
        // With a size given, the device beyond it belongs to somebody else.
        let device_bytes = disk.info().size_bytes;
        let end = options.size_bytes.map_or(device_bytes, |_| layout.volumes[index].bytes);
        wipe::wipe(disk, &ranges_to_wipe(device_bytes, end, &layout, index), heap).await?;
    }
    if let Some(root) = disks.first() {
        write(root, layout.inodes_beg().0, inodes).await?;
    }
    flush_all(disks).await?;

    let mut copies_written = 0;
    for (index, (disk, volume)) in disks.iter().zip(&layout.volumes).enumerate() {
        let mut header = content.header(index, &super_root, heap)?;
        let copies = header_copies(volume.bytes);
        // The first copy is written last: a reader that finds it finds them all.
        for copy in (0..copies).rev() {
            header = write(disk, header_offset(copy), header).await?;
        }
        copies_written += copies;
    }
    flush_all(disks).await?;

    Ok(NewfsReport {
        fsid,
        volumes: disks.len(),
        total_bytes: layout.total_bytes,
        boot_bytes: layout.boot_bytes,
        aux_bytes: layout.aux_bytes,
        allocator_bytes: layout.allocator_bytes,
        header_copies: copies_written,
    })
}

/// True when the device holds a filesystem or remains of one: any header copy that begins like one, in either byte order.
pub async fn has_filesystem(disk: &Disk, heap: Heap) -> Result<bool, NewfsError> {
    let device_bytes = disk.info().size_bytes;
    let mut buffer = Buffer::new(heap, PROBE_BYTES as usize)?;
    for offset in (0..HEADER_COPIES).map(header_offset) {
        if offset.saturating_add(PROBE_BYTES) > device_bytes {
            break;
        }
        buffer = disk.read(DeviceOffset(offset), buffer).await.map_err(NewfsError::at(disk.info(), offset))?;
        let magic = buffer.bytes().first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if matches!(magic, Some(MAGIC | MAGIC_SWAPPED)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Parts of one device that must not keep their old content: the first segment with the boot and aux areas; the end of the
/// volume; the end of what may be wiped, where other filesystems have copies of their headers; and every place where a header of
/// ours may be looked for, even beyond the end of the volume.
fn ranges_to_wipe(device_bytes: u64, end: u64, layout: &Layout, volume: usize) -> [Range<u64>; 3 + HEADER_COPIES] {
    let volume_bytes = layout.volumes[volume].bytes;
    let first_bytes = if volume == 0 { layout.inodes_beg().0 } else { SEGMENT_BYTES };
    let end = end / SECTOR_BYTES * SECTOR_BYTES;
    core::array::from_fn(|index| match index {
        0 => 0..first_bytes,
        1 => volume_bytes - SLOT_BYTES..volume_bytes,
        2 => volume_bytes.max(end.saturating_sub(VOLUME_ALIGN_BYTES))..end,
        _ => {
            let offset = header_offset(index - 3);
            // At the end of the device, less than a whole header is never taken for one.
            let fits = offset.saturating_add(SLOT_BYTES) <= device_bytes;
            if fits { offset..offset + SLOT_BYTES } else { 0..0 }
        }
    })
}

async fn write(disk: &Disk, offset: u64, buffer: Buffer) -> Result<Buffer, NewfsError> {
    disk.write(DeviceOffset(offset), buffer).await.map_err(NewfsError::at(disk.info(), offset))
}

async fn flush_all(disks: &[&Disk]) -> Result<(), NewfsError> {
    for disk in disks {
        disk.flush().await.map_err(NewfsError::at(disk.info(), 0))?;
    }
    Ok(())
}
