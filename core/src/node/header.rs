//! The volume header of a device: choosing the copy that counts, and writing the next (format 1.3 and 7.4).

use zerocopy::FromBytes;

use super::open_error::OpenError;
use super::{Node, NodeError, NodeFault};
use crate::io::{Buffer, DeviceError, DeviceOffset, Disk, Volume};
use crate::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::media::{Corruption, MirrorTid, VolumeHeader, is_zero};
use crate::memory::{Heap, NoMemory};

/// The byte that fills a [blot](HeaderImage::blot).
const BLOT: u8 = 0x5a;

/// A whole volume header in memory.
pub struct HeaderImage(Buffer);

impl HeaderImage {
    /// Zeros, to read a header into.
    fn blank(heap: Heap) -> Result<Self, NoMemory> {
        Buffer::new(heap, VOLUME_HEADER_BYTES).map(Self)
    }

    /// Makes another image of the same header.
    pub(super) fn copy(&self, heap: Heap) -> Result<Self, NoMemory> {
        self.0.try_clone(heap).map(Self)
    }

    /// Makes another image of the same header in the memory of `spare`. Consecutive headers differ only in a few pages.
    pub(super) fn copy_into(&self, spare: Option<Self>, heap: Heap) -> Result<Self, NoMemory> {
        if let Some(Self(mut buffer)) = spare
            && buffer.copy_from(&self.0)
        {
            return Ok(Self(buffer));
        }
        self.copy(heap)
    }

    pub(super) fn get_mut(&mut self) -> &mut VolumeHeader {
        VolumeHeader::mut_from_bytes(self.0.bytes_mut()).expect("the buffer has a header's length")
    }

    /// Reads a copy from a device.
    pub(crate) async fn read(heap: Heap, disk: &Disk, copy: usize) -> Result<Result<Self, DeviceError>, NoMemory> {
        Self::read_at(heap, disk, header_offset(copy)).await
    }

    /// Reads a twin from a device.
    pub(crate) async fn read_twin(heap: Heap, disk: &Disk, twin: usize) -> Result<Result<Self, DeviceError>, NoMemory> {
        Self::read_at(heap, disk, twin_offset(twin)).await
    }

    /// Reads from a device what may be a header.
    pub(super) async fn read_at(heap: Heap, disk: &Disk, offset: u64) -> Result<Result<Self, DeviceError>, NoMemory> {
        let Self(buffer) = Self::blank(heap)?;
        Ok(disk.read(DeviceOffset(offset), buffer).await.map(Self))
    }

    /// Bytes to overwrite the remains of a torn header. No header has a sector like these, so that even a torn write of them
    /// doesn't make the old header whole.
    pub(super) fn blot(heap: Heap) -> Result<Self, NoMemory> {
        let mut blot = Self::blank(heap)?;
        blot.0.bytes_mut().fill(BLOT);
        Ok(blot)
    }

    /// True if it is neither a header nor blank.
    pub(super) fn is_torn(&self) -> bool {
        self.get().check_identity().is_err() && !self.is_blank()
    }

    /// True when nothing was ever written here.
    fn is_blank(&self) -> bool {
        is_zero(self.0.bytes())
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

/// The header by which a device was opened, and later the one committed last.
pub(super) struct Committed {
    pub(super) header: HeaderImage,
    /// The number of its copy.
    pub(super) copy: usize,
    /// True when only its twin was found: the copy itself must be written before the twin is written again.
    copy_is_missing: bool,
    /// Places that hold neither a header nor zeros.
    torn: heapless::Vec<HeaderPlace, PLACES>,
    /// The number of a damaged copy that was newer. If the place of its twin holds a header, another system wrote the copy, since
    /// our own twins are written before it. Otherwise the copy may never have been whole.
    lost: Option<MirrorTid>,
}

impl Committed {
    /// A header that was just written to a copy.
    pub(super) fn new(header: HeaderImage, copy: usize) -> Self {
        Self { header, copy, copy_is_missing: false, torn: heapless::Vec::new(), lost: None }
    }

    /// True unless all damage that was found is mended.
    pub(super) fn has_torn_places(&self) -> bool {
        !self.torn.is_empty()
    }

    /// True when only its twin exists.
    pub(super) fn is_missing(&self) -> bool {
        self.copy_is_missing
    }

    /// True for a copy that was found damaged and hasn't been written since.
    pub(super) fn is_torn(&self, copy: usize) -> bool {
        self.torn.contains(&HeaderPlace::Copy(copy))
    }
}

/// The number of places at which a header may be.
const PLACES: usize = HEADER_COPIES + HEADER_TWINS;

/// A place at which a header may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderPlace {
    Copy(usize),
    /// Every header is written twice, the second time into a reserved slot that no other system uses, so that one torn write
    /// never leaves a volume without its newest header (protocol 4.4).
    Twin(usize),
}

impl HeaderPlace {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..HEADER_COPIES).map(Self::Copy).chain((0..HEADER_TWINS).map(Self::Twin))
    }

    pub(super) fn offset(self) -> u64 {
        match self {
            Self::Copy(copy) => header_offset(copy),
            Self::Twin(twin) => twin_offset(twin),
        }
    }

    /// True when it lies on a volume of this size; the device may be larger.
    pub(super) fn is_on(self, volume_bytes: u64) -> bool {
        self.offset() < volume_bytes
    }
}

/// Reads all header copies of a device and chooses the newest valid one.
pub(super) async fn select(heap: Heap, disk: &Disk) -> Result<Committed, OpenError> {
    let device = disk.info().name;
    let mut best: Option<Committed> = None;
    let mut refusal = OpenError::Header { device, corruption: Corruption::NoHeader };
    let mut spare = None;
    let mut torn = heapless::Vec::new();
    let mut newest_trace: Option<MirrorTid> = None;
    let mut timeouts = 0;
    for place in HeaderPlace::all() {
        let offset = place.offset();
        if disk.info().size_bytes < offset.saturating_add(VOLUME_HEADER_BYTES as u64) {
            continue;
        }
        let HeaderImage(buffer) = match spare.take() {
            Some(image) => image,
            None => HeaderImage::blank(heap)?,
        };
        let header = match disk.read(DeviceOffset(offset), buffer).await {
            Ok(buffer) => HeaderImage(buffer),
            Err(error) => {
                refusal = OpenError::Device { device, error };
                // One place may be bad, but a device that doesn't answer isn't waited for at every place.
                timeouts += usize::from(error == DeviceError::Timeout);
                if timeouts == 2 {
                    return Err(refusal);
                }
                let _ = torn.push(place);
                continue;
            }
        };
        let identity = header.get().check_identity();
        if identity.is_err() && !header.is_blank() {
            let _ = torn.push(place);
            if let HeaderPlace::Copy(_) = place {
                newest_trace = newest_trace.max(header.get().newest_trace());
            }
        }
        let newest = best.as_ref().map(|best| best.header.get().mirror_tid());
        match (identity, place) {
            (Ok(()), _) if newest.is_none_or(|newest| header.get().mirror_tid() > newest) => {
                // A twin newer than every copy belongs to the copy that would have been written next.
                let after_best = |best: &Committed| header.get().next_copy(best.copy);
                let (copy, copy_is_missing) = match place {
                    HeaderPlace::Copy(copy) => (copy, false),
                    HeaderPlace::Twin(_) => (best.as_ref().map_or(0, after_best), true),
                };
                let newer = Committed { header, copy, copy_is_missing, torn: heapless::Vec::new(), lost: None };
                spare = best.replace(newer).map(|older| older.header);
            }
            (Err(corruption), HeaderPlace::Copy(_)) => {
                // The first reason to say more than that there is no header is reported.
                if let OpenError::Header { corruption: Corruption::NoHeader, .. } = &refusal {
                    refusal = OpenError::Header { device, corruption };
                }
                spare = Some(header);
            }
            _ => spare = Some(header),
        }
    }
    let mut best = best.ok_or(refusal)?;
    let fields = best.header.get().check_fields(disk.info().size_bytes);
    fields.map_err(|corruption| OpenError::Header { device, corruption })?;
    torn.retain(|place| place.is_on(best.header.get().volu_size()));
    best.torn = torn;
    let newest = best.header.get().mirror_tid();
    best.lost = VolumeHeader::lost_flush(newest_trace, newest);
    Ok(best)
}

impl Node {
    /// True when a header newer than the one in force may have been lost, because both places of one are damaged.
    pub(crate) fn may_lack_a_header(&self) -> bool {
        let torn = &self.committed.borrow().torn;
        let is_lost = |place: &HeaderPlace| match place {
            HeaderPlace::Copy(copy) => torn.contains(&HeaderPlace::Twin(copy % HEADER_TWINS)),
            HeaderPlace::Twin(_) => false,
        };
        torn.iter().any(is_lost)
    }

    /// The fault that the newest header is lost and the one in force is older, if that is so.
    pub(crate) fn newest_header_lost(&self) -> Option<NodeFault> {
        let committed = self.committed.borrow();
        let newest = committed.header.get().mirror_tid();
        committed.lost.filter(|_| committed.is_missing()).map(|lost| NodeFault::NewestHeaderLost { lost, newest })
    }

    /// Continues with the header in force though a newer one is lost: what was written since is given up.
    pub fn accept_older_header(&self) {
        self.committed.borrow_mut().lost = None;
    }

    /// Writes the header in force over torn ones, and to its own copy if that is missing; a volume without such places isn't
    /// written. What a torn header referred to may be overwritten from now on. If it stayed, a second torn write might bring just
    /// those sectors that both headers have in common, and make the first one whole.
    pub async fn mend_headers(&self) -> Result<(), NodeError> {
        let (torn, copy) = {
            let committed = self.committed.borrow();
            (committed.torn.clone(), committed.copy_is_missing.then_some(HeaderPlace::Copy(committed.copy)))
        };
        if torn.is_empty() && copy.is_none() {
            return Ok(());
        }
        if let Some(fault) = self.newest_header_lost() {
            return Err(NodeError::Fault(fault));
        }
        if let (Some(lost), Some(root)) = (self.committed.borrow().lost, self.volumes().root()) {
            let device = root.disk.info().name;
            log::warn!(
                "{device}: a damaged header was newer ({lost:?}) than every whole one: what only it had is lost"
            );
        }
        self.ready().await?;
        for place in &torn {
            self.write_at(0, *place, HeaderImage::blot(self.heap)?).await?;
        }
        self.flush_devices().await?;
        for place in torn.into_iter().chain(copy) {
            self.write_at(0, place, self.header_image()?).await?;
        }
        self.flush_devices().await?;
        let mut committed = self.committed.borrow_mut();
        (committed.copy_is_missing, committed.torn) = (false, heapless::Vec::new());
        Ok(())
    }

    /// Writes a header to a place of a volume, and returns the image.
    pub(super) async fn write_at(
        &self,
        volume: usize,
        place: HeaderPlace,
        image: HeaderImage,
    ) -> Result<HeaderImage, NodeError> {
        let Some(Volume { disk, .. }) = self.blocks.volumes().iter().nth(volume) else { return Ok(image) };
        let written = disk.write(DeviceOffset(place.offset()), image.0).await;
        written.map(HeaderImage).map_err(|error| self.device_failed(disk, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    #[test]
    fn a_place_that_nothing_was_written_to_is_not_torn() {
        let is_torn = |image: HeaderImage| image.is_torn();
        assert!(!is_torn(HeaderImage::blank(HEAP).unwrap()));
        assert!(is_torn(HeaderImage::blot(HEAP).unwrap()));
    }
}
