//! The volume header of a device: which of its copies counts (spec 1.3).

use zerocopy::FromBytes;

use super::open::OpenError;
use crate::io::{Buffer, DeviceError, DeviceOffset, Disk};
use crate::media::geometry::{HEADER_COPIES, header_offset};
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::media::{Corruption, VolumeHeader};
use crate::memory::{Heap, NoMemory};

/// A whole volume header in memory.
pub struct HeaderImage(Buffer);

impl HeaderImage {
    /// Zero bytes to read a header into.
    fn blank(heap: Heap) -> Result<Self, NoMemory> {
        Buffer::new(heap, VOLUME_HEADER_BYTES).map(Self)
    }

    /// Reads a copy from a device.
    pub(crate) async fn read(heap: Heap, disk: &Disk, copy: usize) -> Result<Result<Self, DeviceError>, NoMemory> {
        let Self(buffer) = Self::blank(heap)?;
        Ok(disk.read(DeviceOffset(header_offset(copy)), buffer).await.map(Self))
    }

    /// The header.
    pub fn get(&self) -> &VolumeHeader {
        VolumeHeader::ref_from_bytes(self.0.bytes()).expect("the buffer has a header's length")
    }
}

/// True when the device is large enough for header copy `copy`.
pub(crate) fn copy_fits(disk: &Disk, copy: usize) -> bool {
    header_offset(copy).saturating_add(VOLUME_HEADER_BYTES as u64) <= disk.info().size_bytes
}

/// The header a device is opened by.
pub(super) struct Selected {
    pub(super) header: HeaderImage,
    /// Which copy it is.
    pub(super) copy: usize,
}

/// Reads all header copies of a device and chooses the newest valid one.
pub(super) async fn select(heap: Heap, disk: &Disk) -> Result<Selected, OpenError> {
    let device = || disk.info().name.clone();
    let mut best: Option<Selected> = None;
    let mut refusal = OpenError::Header { device: device(), corruption: Corruption::NoHeader };
    let mut spare = None;
    for copy in 0..HEADER_COPIES {
        let offset = header_offset(copy);
        if !copy_fits(disk, copy) {
            break;
        }
        let HeaderImage(buffer) = match spare.take() {
            Some(image) => image,
            None => HeaderImage::blank(heap)?,
        };
        let header = match disk.read(DeviceOffset(offset), buffer).await {
            Ok(buffer) => HeaderImage(buffer),
            Err(error) => {
                refusal = OpenError::Device { device: device(), error };
                continue;
            }
        };
        let newest = best.as_ref().map(|best| best.header.get().mirror_tid());
        match header.get().check_identity() {
            Ok(()) if newest.is_none_or(|newest| header.get().mirror_tid() > newest) => {
                spare = best.replace(Selected { header, copy }).map(|older| older.header);
            }
            verdict => {
                // Of all reasons the one to report is the first that says more than that there is no header.
                if let (Err(corruption), OpenError::Header { corruption: Corruption::NoHeader, .. }) =
                    (verdict, &refusal)
                {
                    refusal = OpenError::Header { device: device(), corruption };
                }
                spare = Some(header);
            }
        }
    }
    let best = best.ok_or(refusal)?;
    let fields = best.header.get().check_fields(disk.info().size_bytes);
    fields.map_err(|corruption| OpenError::Header { device: device(), corruption })?;
    Ok(best)
}
